"""The command behind `make bench-gpu`: what a save costs a training on a GPU, and what others cost.

It needs Keras, this package's dependencies, and the builds of JAX or PyTorch for the GPU; both
may be in one environment:

    pip install keras h5py isal rich ml-dtypes orbax-checkpoint torch "jax[cuda13]"
    python benchmarks/gpu.py

The tests run there too, once per backend: `KERAS_BACKEND=jax python -m pytest tests/python`.

Each backend and model is measured by a process of its own (`measure_gpu.py`), in turn within each
round, against Keras' callback, Orbax' (JAX) or `torch.distributed.checkpoint.async_save` (PyTorch),
a copy on the device, a memcpy and a raw write. Without a GPU, small models show on the processor
that all runs.
"""

import argparse
import shutil
import subprocess
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
    usual,
)
from timing import Clock  # type: ignore[import-not-found]

REFERENCES = ("Keras .keras", "Orbax", "DCP", "raw write + fsync")

# Name: kind and megabytes on a GPU, megabytes without one, share of the time, seconds of an epoch
# of the fits, and whether the disk may be too small for all files at once.
CASES: dict[str, tuple[str, int, int, int, dict[str, float]]] = {
    "dense": ("dense", 1600, 60, 5, {"fits": 2.5, "is_large": False}),
    "many": ("many", 16, 16, 3, {"fits": 1.0, "is_large": False}),
    "large": ("dense", 12800, 120, 4, {"fits": 0, "is_large": True}),
}
INSTALL = {"jax": 'pip install "jax[cuda13]" (or cuda12)', "torch": "pip install torch"}


def main() -> None:
    """Measure each backend that is installed and print its tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--backends", nargs="*", default=["jax", "torch"], choices=[*INSTALL])
    parser.add_argument("--minutes", type=float, default=9.5, help="for all of them (default: 9.5)")
    parser.add_argument("--directory", help="where to write (default: the temporary directory)")
    parser.add_argument("--small", action="store_true", help="small models, on a GPU too")
    parser.add_argument("--if-found", action="store_true", help="measure on a GPU or not at all")
    options = parser.parse_args()
    devices = {backend: device_of(backend) for backend in options.backends}
    for backend, device in devices.items():
        say_what_is_missing(backend, device)
    wanted = [name for name, device in devices.items() if device or not options.if_found]
    planned = [(name, case) for name in wanted if cases.is_installed(name) for case in CASES]
    clock = cases.whole_time(options.minutes)
    results: dict[str, dict[str, Any]] = {}
    for place, (backend, name) in enumerate(planned):
        ahead = sum(CASES[name][3] for _, name in planned[place:])
        done = results.setdefault(backend, {})
        device, share = devices[backend], CASES[name][3] / ahead
        done[name] = measure(backend, name, clock.part(share), done, options, bool(device))
        show(f"{backend} on {device or 'the processor'}, {name}", done[name])
        if name == [*CASES][-1]:
            show_all_targets(backend, done, is_full=bool(device) and not options.small)
    sys.exit(any(cases.went_wrong(each) for done in results.values() for each in done.values()))


def show_all_targets(backend: str, done: dict[str, Any], *, is_full: bool) -> None:
    """Print the targets; without a GPU only to show that each figure is measured."""
    rows = targets.on_gpu(backend, done)
    title = f"{backend}: targets"
    if not is_full:
        title += " for the full models on a GPU, which these figures are not of"
        rows = [(what, measured, target, None) for what, measured, target, _ in rows]
    show_targets(title, rows)


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


def say_what_is_missing(backend: str, device: str) -> None:
    """Say why a backend is left out, or that it will run on the processor although it need not."""
    has_gpu = shutil.which("nvidia-smi") is not None
    if not cases.is_installed(backend):
        console.print(f"{backend} is not installed, so it is left out: {INSTALL[backend]}")
    elif not device and has_gpu:
        how = INSTALL[backend]
        console.print(f"[red]{backend} does not find this machine's GPU: {escape(how)}[/red]")
    elif not device:
        console.print(f"{backend} finds no GPU: small models, on the processor")


def measure(
    backend: str,
    name: str,
    clock: Clock,
    done: dict[str, Any],
    options: argparse.Namespace,
    on_gpu: bool,
) -> dict[str, Any]:
    """Run `measure_gpu.py` on one backend and model."""
    kind, full, small, _, what = CASES[name]
    megabytes = full if on_gpu and not options.small else small
    case = what | {"kind": kind, "megabytes": megabytes, "directory": options.directory}
    if name == "large":  # what a save took of the smaller model says what it will take of this one
        saves, times = done.get("dense", {}).get("saves", {}), full / CASES["dense"][1]
        case["expected"] = {each: usual(took) * times for each, took in saves.items()}
    with console.status(f"{backend}, {name}, {megabytes} MB ..."):
        result: dict[str, Any] = cases.run("measure_gpu.py", backend, case, clock.left())
    return result


def show(title: str, result: dict[str, Any]) -> None:
    """Print the tables of one case, and what is missing in them."""
    if "arrays" in result:
        show_saves(title, result, REFERENCES)
        if "to the host" in result.get("saves", {}):
            rate = result["bytes"] / usual(result["saves"]["to the host"]) / 1e9
            console.print(f"From the device to the host: {rate:.1f} GB/s")
        if "exact" in result:
            words = {True: "holds exactly", False: "[red]does not hold[/red]"}[result["exact"]]
            console.print(f"A file {words} the state of its instant while training goes on.")
        console.print()
        show_fits(title, result)
    for note in result.get("notes", ()):
        console.print(escape(note))
    if result["failure"]:
        console.print(f"[red]{escape(title)}: {escape(result['failure'])}[/red]")
    console.print()


if __name__ == "__main__":
    main()
