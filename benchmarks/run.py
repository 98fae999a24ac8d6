"""The command behind `make bench`: ours against Keras' and Orbax' callbacks, as ratios.

Each backend and model is measured by a process of its own (`measure.py`); all figures of a table
come from one run of it. Ours are flushed to the disk and checksummed, Keras' are not.
"""

import argparse
import sys
from typing import Any

import cases  # type: ignore[import-not-found]
import targets  # type: ignore[import-not-found]
from rich.markup import escape
from tables import (  # type: ignore[import-not-found]
    console,
    show_fits,
    show_saves,
    show_targets,
)
from timing import Clock  # type: ignore[import-not-found]

REFERENCES = ("raw write + fsync", "memcpy of the state", "Keras .weights.h5", "Keras .keras")
SHARES = {"dense": 3, "many": 2}  # of the time
EPOCH_SECONDS = {"dense": 2.0, "many": 1.0}


def main() -> None:
    """Measure every backend that is installed and print its tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--backends", nargs="*", default=["tensorflow", "jax", "torch"])
    parser.add_argument("--minutes", type=float, default=11, help="for all of them (default: 11)")
    parser.add_argument("--megabytes", type=int, default=400, help="size of the dense model")
    parser.add_argument("--directory", help="where to write (default: the temporary directory)")
    options = parser.parse_args()
    backends = [name for name in options.backends if cases.is_installed(name)]
    for name in options.backends:
        if name not in backends:
            console.print(f"{name} is not installed: left out")
    planned = [(backend, kind) for backend in backends for kind in SHARES]
    clock = cases.whole_time(options.minutes)
    results: dict[str, dict[str, Any]] = {backend: {} for backend in backends}
    for place, (backend, kind) in enumerate(planned):
        ahead = sum(SHARES[kind] for _, kind in planned[place:])
        result = measure(backend, kind, clock.part(SHARES[kind] / ahead), options)
        results[backend][kind] = result
        if "arrays" in result:
            show_saves(f"{backend}, {kind}", result, REFERENCES)
            show_fits(f"{backend}, {kind}", result)
        for remark in filter(None, (*result.get("notes", ()), result["failure"])):
            console.print(f"[red]{backend}, {kind}: {escape(remark)}[/red]\n")
        if place + 1 == len(planned) or planned[place + 1][0] != backend:
            rows = targets.on_processor(backend, results[backend])
            show_targets(f"{backend}: targets", rows)
    sys.exit(any(cases.went_wrong(each) for kinds in results.values() for each in kinds.values()))


def measure(backend: str, kind: str, clock: Clock, options: argparse.Namespace) -> dict[str, Any]:
    """Run `measure.py` on one backend and model."""
    case = {
        "kind": kind,
        "megabytes": options.megabytes,
        "epoch_seconds": EPOCH_SECONDS[kind],
        "directory": options.directory,
    }
    with console.status(f"{backend}, {kind} ..."):
        result: dict[str, Any] = cases.run("measure.py", backend, case, clock.left())
    return result


if __name__ == "__main__":
    main()
