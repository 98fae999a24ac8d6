"""Measure saving on one Keras backend and print the raw times as JSON; `run.py` makes the tables.

Everything is measured in turn within each round, so that a machine that gets slower or faster
meanwhile does so for all of them.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from typing import Any

FIELDS = {
    "epoch": 1,
    "batch": 0,
    "step": 1,
    "metrics": {"loss": 1.0},
    "reason": "epoch",
    "saved_at": "2026-01-01T00:00:00+00:00",
}


def main() -> None:
    """Measure one backend."""
    parser = argparse.ArgumentParser()
    parser.add_argument("backend", choices=("tensorflow", "jax", "torch"))
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--fits", type=int, default=3)
    parser.add_argument("--megabytes", type=int, default=400)
    parser.add_argument("--directory", default=None)
    options = parser.parse_args()
    os.environ["KERAS_BACKEND"] = options.backend
    warnings.simplefilter("ignore")
    results: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(dir=options.directory) as directory:
        for kind in ("dense", "many"):
            model, data = build(kind, options.megabytes)
            results[kind] = {
                "bytes": state_bytes(model),
                "arrays": len(model.variables) + len(model.optimizer.variables),
                "saves": measure_saves(model, directory, options.rounds),
                "memory": measure_memory(model, directory),
                "fit": measure_fits(model, data, options.epochs, options.fits, directory),
            }
    json.dump(results, sys.stdout)


def build(kind: str, megabytes: int) -> tuple[Any, Any]:
    """Return a compiled model that has trained one step, and data for it."""
    import keras
    import numpy as np

    if kind == "dense":  # ten large kernels; weights and Adam's two moments take three times them
        width = int((megabytes * 1e6 / 3 / 4 / 9) ** 0.5)
        layers = [keras.layers.Dense(width, activation="relu") for _ in range(9)]
        steps, batch = 8, 16
    else:
        width = 66  # 16 MB with Adam's two moments
        layers = [keras.layers.Dense(width, activation="relu") for _ in range(300)]
        steps, batch = 40, 16
    model = keras.Sequential([keras.Input((width,)), *layers, keras.layers.Dense(1)])
    model.compile("adam", "mse")
    x = np.random.default_rng(0).normal(size=(steps * batch, width)).astype("float32")
    data = (x, x[:, :1], batch)
    model.fit(x[:batch], x[:batch, :1], batch_size=batch, verbose=0)
    return model, data


def state_bytes(model: Any) -> int:
    """Return the bytes of weights and optimizer state."""

    from kerascheckpoint.training.preflight import state_size

    return state_size(model)


def measure_saves(model: Any, directory: str, rounds: int) -> dict[str, list[float]]:
    """Return the seconds of each kind of save, one figure a round; the first is the first save."""
    import numpy as np

    from kerascheckpoint.backends.arrays import numpy_views
    from kerascheckpoint.saving import Saver

    source = np.ones(state_bytes(model), np.uint8)
    target = source.copy()
    variables = [*model.variables, *model.optimizer.variables]
    arrays = list(numpy_views({variable.path: variable for variable in variables}).values())
    copies = [array.copy() for array in arrays]
    # A callback writes one format, so each has a saver of its own, which keeps its layout.
    now = {suffix: Saver(on_background=False) for suffix in (".weights.h5", ".keras")}
    behind = {suffix: Saver(on_background=True) for suffix in (".weights.h5", ".keras")}

    def path(name: str) -> str:
        return os.path.join(directory, name)

    def save(savers: dict[str, Saver], name: str, suffix: str) -> None:
        savers[suffix].save(model, path(f"{name}{suffix}"), FIELDS, check)

    actions: dict[str, Callable[[], Any]] = {
        "raw write + fsync": lambda: write_raw(path("raw"), source),
        "memcpy of one block": lambda: np.copyto(target, source),
        "memcpy of the state": lambda: list(map(np.copyto, copies, arrays)),
        "ours .weights.h5": lambda: save(now, "o", ".weights.h5"),
        "ours .keras": lambda: save(now, "o", ".keras"),
        "Keras .weights.h5": lambda: model.save_weights(path("k.weights.h5")),
        "Keras .keras": lambda: model.save(path("k.keras")),
        "stall .weights.h5": lambda: save(behind, "b", ".weights.h5"),
        "stall .keras": lambda: save(behind, "b", ".keras"),
    }
    seconds: dict[str, list[float]] = {name: [] for name in actions}
    for _ in range(rounds):
        for name, action in actions.items():
            seconds[name].append(timed(action))
            for saver in behind.values():
                saver.report_finished(wait_for_all=True)
    return seconds


def check(error: BaseException | None) -> None:
    """Raise what went wrong in a save."""
    if error is not None:
        raise error


def timed(action: Callable[[], Any]) -> float:
    """Return the seconds that an action takes."""
    begin = time.perf_counter()
    action()
    return time.perf_counter() - begin


def write_raw(path: str, source: Any) -> None:
    """Write bytes to a new file, one after the other, flush them to the disk, and rename it.

    A file written over in place finds its blocks ready, which no file that replaces another does.
    """
    fd = os.open(f"{path}.new", os.O_CREAT | os.O_WRONLY | os.O_TRUNC)
    view = memoryview(source)
    while view:
        view = view[os.write(fd, view[: 1 << 24]) :]
    os.fsync(fd)
    os.close(fd)
    os.replace(f"{path}.new", path)


def measure_memory(model: Any, directory: str) -> dict[str, int]:
    """Return the bytes of memory that a save takes on top, by the system's own peak (Linux)."""
    from kerascheckpoint.saving import Saver

    ours, behind = Saver(on_background=False), Saver(on_background=True)
    extra = {}
    for saver in (ours, behind):
        saver.save(model, os.path.join(directory, "m.keras"), FIELDS, check)  # lays out
        saver.report_finished(wait_for_all=True)
    for name, saver in (("foreground", ours), ("background", Saver(on_background=True))):
        extra[name] = peak_of(
            lambda saver=saver: (
                saver.save(model, os.path.join(directory, "m.keras"), FIELDS, check),
                saver.report_finished(wait_for_all=True),
            )
        )
    extra["Keras"] = peak_of(lambda: model.save(os.path.join(directory, "k.keras")))
    return extra


def peak_of(action: Callable[[], Any]) -> int:
    """Return how far the process's resident memory rises while `action` runs."""
    try:
        with open("/proc/self/clear_refs", "w") as file:
            file.write("5")  # forget the peak so far
    except OSError:
        return 0
    before = status("VmRSS")
    action()
    return max(0, status("VmHWM") - before)


def status(field: str) -> int:
    """Return a field of /proc/self/status, in bytes."""
    with open("/proc/self/status") as file:
        line = next(line for line in file if line.startswith(field))
    return int(line.split()[1]) * 1024


def measure_fits(
    model: Any, data: Any, epochs: int, rounds: int, directory: str
) -> dict[str, dict[str, Any]]:
    """Return, for each callback, the seconds of whole `fit`s and of the stalls of their saves."""
    import keras

    from kerascheckpoint import ModelCheckpoint

    def path(name: str) -> str:
        return os.path.join(directory, name)

    makers: dict[str, Callable[[], Any]] = {
        "none": keras.callbacks.Callback,
        "ours .weights.h5": lambda: ModelCheckpoint(
            path("f.weights.h5"), save_weights_only=True, save_on_background=True
        ),
        "ours .keras": lambda: ModelCheckpoint(path("f.keras"), save_on_background=True),
        "Keras .weights.h5": lambda: keras.callbacks.ModelCheckpoint(
            path("g.weights.h5"), save_weights_only=True
        ),
        "Keras .keras": lambda: keras.callbacks.ModelCheckpoint(path("g.keras")),
    }
    if hasattr(keras.callbacks, "OrbaxCheckpoint") and orbax_is_installed():
        makers["Orbax"] = lambda: keras.callbacks.OrbaxCheckpoint(
            path("orbax"), save_on_background=True, max_to_keep=1
        )
    if sys.platform == "linux":
        makers["dd, no callback"] = lambda: other_program(path("dd"), state_bytes(model))
    x, y, batch = data
    arguments = {"batch_size": batch, "verbose": 0, "shuffle": False}
    totals: dict[str, list[float]] = {name: [] for name in makers}
    stolen: dict[str, list[float]] = {name: [] for name in makers}
    watches = {name: Stopwatch() for name in makers}
    for made in range(rounds + 1):
        for name, make in makers.items():
            if not made:  # what a process does only once
                model.fit(x, y, epochs=2, callbacks=[make()], **arguments)
            else:
                callbacks = [watches[name].before(), make(), watches[name].after()]
                before, begin = stolen_seconds(), time.perf_counter()
                model.fit(x, y, epochs=epochs, callbacks=callbacks, **arguments)
                totals[name].append(time.perf_counter() - begin)
                stolen[name].append(stolen_seconds() - before)
            shutil.rmtree(path("orbax"), ignore_errors=True)
    return {
        name: {
            "totals": totals[name],
            "stolen": stolen[name],
            "stalls": watch.stalls,
            "first_steps": watch.first_steps,
            "other_steps": statistics.median(watch.other_steps),
        }
        for name, watch in watches.items()
    }


def orbax_is_installed() -> bool:
    """Tell whether Keras' Orbax callback can run."""
    try:
        import orbax.checkpoint  # noqa: F401
    except ImportError:
        return False
    return True


def other_program(path: str, size: int) -> Any:
    """Return a callback that lets `dd` write so many bytes past the cache at each epoch's end.

    What this costs a `fit` is the disk's part, which no way to write behind the training avoids.
    """
    import keras

    # A file written over in place would find its blocks ready.
    how = "bs=8M iflag=count_bytes oflag=direct conv=fsync"
    script = f'rm -f "$0" && dd if=/dev/zero of="$0" count="$1" {how}'
    command = ["sh", "-c", script, path, str(size)]
    running: list[subprocess.Popen[bytes]] = []

    def finish() -> None:
        if running and running.pop().wait():
            raise OSError(f"{command} failed")

    class Disk(keras.callbacks.Callback):  # type: ignore[misc]
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            finish()
            running.append(subprocess.Popen(command, stderr=subprocess.DEVNULL))

        def on_train_end(self, logs: Any = None) -> None:
            finish()

    return Disk()


def stolen_seconds() -> float:
    """Return the processor time that a virtual machine wanted and was not given (Linux)."""
    try:
        with open("/proc/stat") as file:
            return int(file.readline().split()[8]) / os.sysconf("SC_CLK_TCK")
    except OSError:
        return 0.0


class Stopwatch:
    """Times what happens between two callbacks at each epoch's end, and the steps after it."""

    def __init__(self) -> None:
        self.stalls: list[float] = []
        self.first_steps: list[float] = []
        self.other_steps: list[float] = []
        self._begin = self._step = 0.0

    def before(self) -> Any:
        """Return the callback to put before the one that is measured."""
        import keras

        class Before(keras.callbacks.Callback):  # type: ignore[misc]
            def on_epoch_end(_, epoch: int, logs: Any = None) -> None:
                self._begin = time.perf_counter()

            def on_train_batch_begin(_, batch: int, logs: Any = None) -> None:
                self._step = time.perf_counter()

        return Before()

    def after(self) -> Any:
        """Return the callback to put behind the one that is measured."""
        import keras

        class After(keras.callbacks.Callback):  # type: ignore[misc]
            def on_epoch_end(_, epoch: int, logs: Any = None) -> None:
                self.stalls.append(time.perf_counter() - self._begin)

            def on_train_batch_end(_, batch: int, logs: Any = None) -> None:
                steps = self.other_steps if batch else self.first_steps
                steps.append(time.perf_counter() - self._step)

        return After()


if __name__ == "__main__":
    main()
