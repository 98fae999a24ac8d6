"""Faults on purpose: processes that die, disks that refuse, readers at the wrong moment.

Nothing here imports Keras, so that the process for a fault starts quickly. `attempt` runs one of
the `FAULTS` in such a process, which forks a child for each try. `benchmarks/faults.py` runs the
same faults more often.
"""

from support.faults.attempt import FAULTS, MOUNTING, attempt
from support.faults.flipped_bits import damage

__all__ = ["FAULTS", "MOUNTING", "attempt", "damage"]
