"""The command behind `make bench`: ours against Keras' and Orbax' callbacks, as ratios.

Each backend is measured by a process of its own (`measure.py`); all figures of a table come from
one run of it. Ours are flushed to the disk and checksummed, Keras' are not.
"""

import argparse
import importlib.util
import json
import os
import statistics
import subprocess
import sys
from typing import Any

from rich.console import Console
from rich.table import Table

console = Console(highlight=False, width=max(Console().width, 120))


def main() -> None:
    """Measure every backend that is installed and print its tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--backends", nargs="*", default=["tensorflow", "jax", "torch"])
    parser.add_argument("--rounds", type=int, default=7, help="saves of each kind")
    parser.add_argument("--epochs", type=int, default=8, help="epochs of each fit")
    parser.add_argument("--fits", type=int, default=3, help="fits with each callback, in turn")
    parser.add_argument("--megabytes", type=int, default=400, help="size of the dense model")
    parser.add_argument("--directory", help="where to write (default: the temporary directory)")
    options = parser.parse_args()
    for backend in options.backends:
        if importlib.util.find_spec(backend) is None:
            console.print(f"{backend} is not installed: left out")
            continue
        results = measure(backend, options)
        for kind in ("dense", "many"):
            show_saves(backend, kind, results[kind])
            show_fits(backend, kind, results[kind])


def measure(backend: str, options: argparse.Namespace) -> dict[str, Any]:
    """Run `measure.py` on one backend."""
    command = [sys.executable, os.path.join(os.path.dirname(__file__), "measure.py"), backend]
    for name in ("rounds", "epochs", "fits", "megabytes", "directory"):
        value = getattr(options, name)
        command += [f"--{name}", str(value)] if value is not None else []
    with console.status(f"{backend} ..."):
        finished = subprocess.run(command, stdout=subprocess.PIPE, check=True)
    results: dict[str, Any] = json.loads(finished.stdout.splitlines()[-1])
    return results


def show_saves(backend: str, kind: str, result: dict[str, Any]) -> None:
    """Print the times of single saves: median from the second on, and the first."""
    saves = {name: statistics.median(times[1:]) for name, times in result["saves"].items()}
    references = ("raw write + fsync", "memcpy of the state", "Keras .weights.h5", "Keras .keras")
    size = f"{result['bytes'] / 1e6:.0f} MB in {result['arrays']} arrays"
    table = Table(title=f"{backend}, {kind}: {size}; one save", title_justify="left")
    table.add_column("", no_wrap=True)
    for heading in ("ms", "first, ms", *(f"x {name}" for name in references)):
        table.add_column(heading, justify="right")
    for name, seconds in saves.items():
        ratios = [f"{seconds / saves[reference]:.3g}" for reference in references]
        first = result["saves"][name][0]
        table.add_row(name, f"{seconds * 1e3:.1f}", f"{first * 1e3:.0f}", *ratios)
    console.print(table)
    memory = ", ".join(f"{name} {size / 1e6:.0f} MB" for name, size in result["memory"].items())
    console.print(f"Memory on top of the model while a .keras is saved: {memory}\n")


def show_fits(backend: str, kind: str, result: dict[str, Any]) -> None:
    """Print what a callback with one save per epoch costs a whole `fit`, against none beside it.

    "Stolen" is the share of the processors' time that a virtual machine wanted and was not given.
    """
    fits = result["fit"]
    none = fits["none"]["totals"]
    epochs = len(fits["none"]["stalls"]) // len(none)
    seconds = statistics.median(none) / epochs
    title = f"{backend}, {kind}: fit, {epochs} epochs of {seconds:.1f} s, one save each"
    table = Table(title=title, title_justify="left")
    table.add_column("", no_wrap=True)
    for heading in (
        "fit",
        "x none",
        "least, most",
        "stolen",
        "stall, ms",
        "largest",
        "next step, ms",
        "other steps, ms",
    ):
        table.add_column(heading, justify="right")
    for name, fit in fits.items():
        ratios = [total / alone for total, alone in zip(fit["totals"], none, strict=True)]
        table.add_row(
            name,
            f"{statistics.median(fit['totals']):.2f} s",
            f"{statistics.median(ratios):.2f}",
            f"{min(ratios):.2f}, {max(ratios):.2f}",
            f"{sum(fit['stolen']) / sum(fit['totals']) / (os.cpu_count() or 1):.0%}",
            f"{statistics.median(fit['stalls'][1:]) * 1e3:.1f}",
            f"{max(fit['stalls']) * 1e3:.0f}",
            f"{statistics.median(fit['first_steps'][1:]) * 1e3:.0f}",
            f"{fit['other_steps'] * 1e3:.0f}",
        )
    console.print(table)
    console.print()


if __name__ == "__main__":
    main()
