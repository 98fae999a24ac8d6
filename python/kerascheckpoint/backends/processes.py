"""Which process of a distributed training this one is."""

import sys
from typing import Any

from ..keras_seam.private import BACKEND


def is_first_process(model: Any) -> bool:
    """Tell whether this process is the one of a distributed training that writes files."""
    if BACKEND == "torch" and "torch.distributed" in sys.modules:
        distributed = sys.modules["torch.distributed"]
        if distributed.is_available() and distributed.is_initialized():
            return bool(distributed.get_rank() == 0)
    if BACKEND == "jax":
        return bool(sys.modules["jax"].process_index() == 0)
    if BACKEND == "tensorflow":
        strategy = getattr(model, "distribute_strategy", None)
        resolver = getattr(strategy, "cluster_resolver", None)
        return resolver is None or _is_chief(resolver)
    return True


def _is_chief(resolver: Any) -> bool:
    chief = "chief" if "chief" in resolver.cluster_spec().jobs else "worker"
    return resolver.task_type in (None, chief) and resolver.task_id in (None, 0)
