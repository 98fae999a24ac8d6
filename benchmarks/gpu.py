"""The command behind `make bench-gpu`: what a save costs a training on a GPU, and what others cost.

Each backend and model is measured by a process of its own, in turn within each round, against
Keras' callback, Orbax' (JAX) or `torch.distributed.checkpoint.async_save` (PyTorch), a copy on the
device, a memcpy and a raw write. Without a GPU small models show on the processor that all runs.
"""

import argparse
import importlib.util
import json
import os
import subprocess
import sys
from statistics import median
from typing import Any

from rich.console import Console
from rich.table import Table

console = Console(highlight=False, width=max(Console().width, 120))

# Name, megabytes, seconds for single saves, whether whole fits are measured as well.
ON_GPU = [("dense", 1600, 60, True), ("many", 16, 40, True), ("dense", 12000, 110, False)]
ON_PROCESSOR = [("dense", 60, 8, True), ("many", 16, 8, True)]


def main() -> None:
    """Measure each backend that is installed and print its tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--backends", nargs="*", default=["jax", "torch"])
    parser.add_argument("--directory", help="where to write (default: the temporary directory)")
    parser.add_argument("--if-found", action="store_true", help="measure on a GPU or not at all")
    options = parser.parse_args()
    for backend in options.backends:
        if importlib.util.find_spec(backend) is None:
            console.print(f"{backend} is not installed: left out")
            continue
        device = device_of(backend)
        if options.if_found and not device:
            continue
        cases = ON_GPU if device else ON_PROCESSOR
        if not device:
            console.print(f"{backend} finds no GPU: small models, on the processor")
        for kind, megabytes, seconds, with_fits in cases:
            case = {"kind": kind, "megabytes": megabytes, "seconds": seconds, "fits": with_fits}
            result = measure(backend, case | {"directory": options.directory})
            show_saves(f"{backend}, {device or 'processor'}", result)
            if with_fits:
                show_fits(backend, result)


def device_of(backend: str) -> str:
    """Return the name of the GPU that a backend finds, or nothing."""
    code = {
        "jax": "import jax; d = jax.devices()[0]; print(d.device_kind * (d.platform != 'cpu'))",
        "torch": "import torch; c = torch.cuda; print(c.is_available() and c.get_device_name())",
    }[backend]
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    lines = done.stdout.split("\n")
    name = lines[-2].strip() if done.returncode == 0 and len(lines) > 1 else ""
    return "" if name == "False" else name


def measure(backend: str, case: dict[str, Any]) -> dict[str, Any]:
    """Run `measure_gpu.py` on one backend and model."""
    script = os.path.join(os.path.dirname(__file__), "measure_gpu.py")
    environment = os.environ | {"KERAS_BACKEND": backend}
    with console.status(f"{backend}, {case['kind']}, {case['megabytes']} MB ..."):
        finished = subprocess.run(
            [sys.executable, script, json.dumps(case)],
            stdout=subprocess.PIPE,
            check=True,
            env=environment,
        )
    result: dict[str, Any] = json.loads(finished.stdout.splitlines()[-1])
    return result


def show_saves(title: str, result: dict[str, Any]) -> None:
    """Print single saves: the first, the median and the longest of the others, and ratios."""
    saves = result["saves"]
    usual = {name: median(times[1:] or times) for name, times in saves.items()}
    references = [
        name for name in ("Keras .keras", "Orbax", "DCP", "raw write + fsync") if name in usual
    ]
    size = f"{result['bytes'] / 1e6:.0f} MB in {result['arrays']} arrays"
    table = Table(title=f"{title}: {size}; one save", title_justify="left")
    table.add_column("", no_wrap=True)
    for heading in ("first, ms", "ms", "most, ms", *(f"x {name}" for name in references)):
        table.add_column(heading, justify="right")
    for name, times in saves.items():
        figures = [times[0], usual[name], max(times[1:] or times)]
        ratios = [f"{usual[name] / usual[reference]:.3g}" for reference in references]
        table.add_row(name, *(f"{figure * 1e3:.1f}" for figure in figures), *ratios)
    console.print(table)
    rate = result["bytes"] / usual["to the host"] / 1e9
    console.print(f"To the host: {rate:.1f} GB/s. {result['note']}\n")


def show_fits(backend: str, result: dict[str, Any]) -> None:
    """Print what one save per epoch costs a whole `fit`, the wait at its end left out."""
    fits = result["fits"]
    alone = median(fits["none"]["totals"])
    title = f"{backend}: fit, {result['epochs']} epochs of {alone / result['epochs']:.1f} s"
    table = Table(title=f"{title}, one save each", title_justify="left")
    table.add_column("", no_wrap=True)
    headings = ("fit", "x none", "wait at the end", "stall, ms", "most, ms", "next step", "a step")
    for heading in headings:
        table.add_column(heading, justify="right")
    for name, fit in fits.items():
        total = median(fit["totals"])
        table.add_row(
            name,
            f"{total:.2f} s",
            f"{total / alone:.3f}",
            f"{median(fit['ends']):.2f} s",
            f"{median(fit['stalls'][1:]) * 1e3:.1f}",
            f"{max(fit['stalls']) * 1e3:.1f}",
            f"{median(fit['first_steps'][1:]) * 1e3:.1f} ms",
            f"{fit['other_steps'] * 1e3:.1f} ms",
        )
    console.print(table)
    console.print()


if __name__ == "__main__":
    main()
