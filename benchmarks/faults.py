"""Break saves in every way the tests know, many times over, and count what was lost.

Usage: python benchmarks/faults.py [--kills N] [--seed S] [FAULT ...]

Each fault is tried up to N times on each format; faults that go by a save's steps end when every
step had its turn, and power failures when every state that a disk may hold then had its turn.
After each try the file that stood there before, or the new one, must be whole, no reader may take
a temporary file for a checkpoint, and the next run must clear it away. The exit status is 1 if
anything was lost.
"""

import argparse
import os
import pathlib
import sys
import tempfile

import numpy as np
from rich.console import Console
from rich.table import Table

ROOT = pathlib.Path(__file__).resolve().parents[1]
PATHS = [str(ROOT / "python"), str(ROOT / "tests" / "python")]
sys.path[:0] = PATHS
os.environ["PYTHONPATH"] = os.pathsep.join([*PATHS, os.environ.get("PYTHONPATH", "")])

from support import faults, small_files  # noqa: E402

# A few small arrays and a large one, so that kills find every part of a save.
ARRAYS = {
    "layers/dense/vars/0": np.zeros((1024, 1024), "float32"),
    "layers/dense/vars/1": np.zeros(1024, "float32"),
    "optimizer/vars/0": np.zeros((), "int64"),
}


def main() -> int:
    """Print a table; return 1 if a file was lost, else 0."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--kills", type=int, default=300, metavar="N", help="tries of each fault")
    parser.add_argument("--seed", type=int, default=1, metavar="S", help="chooses the moments")
    parser.add_argument(
        "faults",
        metavar="FAULT",
        nargs="*",
        help=f"which ones (default: all): {', '.join(faults.FAULTS)}",
    )
    options = parser.parse_args()
    unknown = [name for name in options.faults if name not in faults.FAULTS]
    if unknown:
        parser.error(f"there is no fault {unknown[0]!r}; there are: {', '.join(faults.FAULTS)}")
    chosen = options.faults or list(faults.FAULTS)
    table = Table("fault", "format", box=None, header_style="bold", pad_edge=False)
    for heading in ("attempts", "survived", "lost"):
        table.add_column(heading, justify="right")
    console, lost = Console(), []
    with tempfile.TemporaryDirectory() as directory, console.status("") as status:
        for fault, kind in ((f, k) for f in chosen for k in small_files.SUFFIXES):
            status.update(f"{fault} {kind}")
            outcome = _run_and_report(fault, kind, directory, options)
            attempts, losses = outcome.attempts, len(outcome.lost)
            counts = map(str, (attempts, attempts - losses, losses))
            table.add_row(
                faults.FAULTS[fault].__name__.replace("_", " "),
                kind,
                *(counts if not outcome.skipped else (outcome.skipped, "", "")),
            )
            lost += [f"{fault} {kind}, {text}" for text in outcome.lost]
    console.print(table)
    for text in lost:
        print(f"lost: {text}", file=sys.stderr)
    return 1 if lost else 0


def _run_and_report(
    fault: str, kind: str, directory: str, options: argparse.Namespace
) -> "faults.Outcome":
    sample = os.path.join(directory, f"model{kind}")
    if not os.path.exists(sample):
        small_files.write(sample, ARRAYS)
    with tempfile.TemporaryDirectory(dir=directory) as place:
        tries = sys.maxsize if fault == "power_failure" else options.kills  # each of its states
        return faults.attempt(fault, sample, place, tries, options.seed)


if __name__ == "__main__":
    sys.exit(main())
