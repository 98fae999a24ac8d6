"""Saves of a model that is spread over devices: our `.orbax` beside Keras' OrbaxCheckpoint.

The devices are the processor's, as many as JAX is told to show. Both callbacks save in turn within
each round. The stall is what the event at an epoch's end takes; the whole time ends when the
checkpoint is durable. Ours are flushed to the disk and carry checksums.
"""

import argparse
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from typing import Any

HERE = os.path.abspath(__file__)


def main() -> None:
    """Measure on 4 and on 8 devices, each in a process of its own, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--devices", nargs="*", type=int, default=[4, 8])
    parser.add_argument("--megabytes", type=int, default=200, help="size of weights and optimizer")
    parser.add_argument("--rounds", type=int, default=7, help="saves with each callback")
    parser.add_argument("--child", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        json.dump(measure(options.megabytes, options.rounds), sys.stdout)
        return
    for devices in options.devices:
        show(devices, _in_child(devices, options))


def _in_child(devices: int, options: argparse.Namespace) -> dict[str, Any]:
    flags = f"--xla_force_host_platform_device_count={devices}"
    settings = {"KERAS_BACKEND": "jax", "XLA_FLAGS": flags, "TF_CPP_MIN_LOG_LEVEL": "3"}
    command = [sys.executable, HERE, "--child", str(devices), "--rounds", str(options.rounds)]
    command += ["--megabytes", str(options.megabytes)]
    finished = subprocess.run(
        command, env=os.environ | settings, stdout=subprocess.PIPE, check=True, timeout=900
    )
    found: dict[str, Any] = json.loads(finished.stdout.splitlines()[-1])
    return found


def show(devices: int, result: dict[str, Any]) -> None:
    """Print the medians from the second save on, and ours as a share of Keras'."""
    from rich.console import Console
    from rich.table import Table

    size = f"{result['bytes'] / 1e6:.0f} MB in {result['arrays']} arrays"
    table = Table(title=f"JAX, {devices} devices, {size}", title_justify="left")
    table.add_column("", no_wrap=True)
    for heading in ("stall, ms", "x Keras", "next step, ms", "whole, ms", "x Keras"):
        table.add_column(heading, justify="right")
    for mode in ("background", "foreground"):
        theirs = result["times"][f"Keras, {mode}"]
        for name in (f"ours, {mode}", f"Keras, {mode}"):
            own = result["times"][name]
            row = []
            for kind in ("stall", "step", "whole"):
                value = statistics.median(own[kind][1:])
                row.append(f"{value * 1e3:.1f}")
                if kind != "step":
                    row.append(f"{value / statistics.median(theirs[kind][1:]):.2f}")
            table.add_row(name, *row)
    Console(highlight=False, width=120).print(table)


def measure(megabytes: int, rounds: int) -> dict[str, Any]:
    """Return the times of each callback's saves, in seconds, and the size of what is saved."""
    warnings.simplefilter("ignore")
    import keras
    import numpy as np

    width = int((megabytes * 1e6 / 3 / 4 / 8) ** 0.5) // 8 * 8
    _spread(keras)
    layers = [keras.layers.Dense(width, activation="relu") for _ in range(8)]
    model = keras.Sequential([keras.Input((width,)), *layers])
    model.compile("adam", "mse")
    x = np.random.default_rng(0).normal(size=(16, width)).astype("float32")
    with tempfile.TemporaryDirectory() as directory, contextlib.ExitStack() as stack:
        savers = {
            name: stack.enter_context(make(keras, model, x, directory, name))
            for name, make in _MAKERS.items()
        }
        times: dict[str, Any] = {name: {"stall": [], "step": [], "whole": []} for name in savers}
        for number in range(rounds):
            for name, (save, wait) in savers.items():
                begin = time.perf_counter()
                save(number)
                stalled = time.perf_counter()
                model.train_on_batch(x, x)
                stepped = time.perf_counter()
                wait()
                times[name]["stall"].append(stalled - begin)
                times[name]["step"].append(stepped - stalled)
                times[name]["whole"].append(time.perf_counter() - begin)
    variables = [*model.variables, *model.optimizer.variables]
    size = sum(int(np.prod(v.shape)) * 4 for v in variables)
    return {"times": times, "bytes": size, "arrays": len(variables)}


def _spread(keras: Any) -> None:
    """Let Keras spread the kernels and biases over all devices."""
    devices = keras.distribution.list_devices()
    mesh = keras.distribution.DeviceMesh((1, len(devices)), ["batch", "model"], devices)
    layout = keras.distribution.LayoutMap(mesh)
    layout[".*kernel"] = (None, "model")
    layout[".*bias"] = ("model",)
    parallel = keras.distribution.ModelParallel(layout_map=layout, batch_dim_name="batch")
    keras.distribution.set_distribution(parallel)


_Actions = tuple[Callable[[int], None], Callable[[], None]]


@contextlib.contextmanager
def _ours(keras: Any, model: Any, x: Any, directory: str, name: str) -> Any:
    from kerascheckpoint import ModelCheckpoint

    path = os.path.join(directory, "ours", name, "m.orbax")
    callback = ModelCheckpoint(path, "loss", save_on_background="background" in name)
    yield _actions(callback, model, x, callback.wait)


@contextlib.contextmanager
def _theirs(keras: Any, model: Any, x: Any, directory: str, name: str) -> Any:
    path = os.path.join(directory, "theirs", name)
    callback = keras.callbacks.OrbaxCheckpoint(
        path, monitor="loss", save_on_background="background" in name, max_to_keep=1
    )
    yield _actions(callback, model, x, callback.wait_until_finished)


def _actions(callback: Any, model: Any, x: Any, wait: Callable[[], None]) -> _Actions:
    callback.set_params({"steps": 1})
    callback.set_model(model)
    model.train_on_batch(x, x)
    callback.on_train_begin()

    def save(number: int) -> None:
        callback.on_epoch_begin(number)
        callback.on_epoch_end(number, {"loss": 1.0})

    return save, wait


_MAKERS: dict[str, Any] = {
    "ours, background": _ours,
    "Keras, background": _theirs,
    "ours, foreground": _ours,
    "Keras, foreground": _theirs,
}

if __name__ == "__main__":
    main()
