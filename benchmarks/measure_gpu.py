"""Measure saves of one model on one backend for `gpu.py`, and print the raw times as JSON."""

import json
import logging
import os
import shutil
import statistics
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import measure  # type: ignore[import-not-found]
from measure import FIELDS, check, timed

EPOCHS = 4
EPOCH_SECONDS = 2.5
MOST_ROUNDS = 7

Actions = dict[str, Callable[[], Any]]


def main() -> None:
    """Measure the case that the command line holds as JSON."""
    case = json.loads(sys.argv[1])
    warnings.simplefilter("ignore")
    logging.getLogger("absl").setLevel(logging.ERROR)
    model, data = measure.build(case["kind"], case["megabytes"])
    with tempfile.TemporaryDirectory(dir=case["directory"]) as directory:
        result: dict[str, Any] = {
            "bytes": measure.state_bytes(model),
            "arrays": len(model.variables) + len(model.optimizer.variables),
            "epochs": EPOCHS,
            **measure_saves(model, directory, case["seconds"]),
        }
        if case["fits"]:
            result["fits"] = measure_fits(model, data, directory)
    json.dump(result, sys.stdout)


def measure_saves(model: Any, directory: str, seconds: float) -> dict[str, Any]:
    """Return the seconds of each kind of save, as many rounds as the time allows, at least two.

    What takes longer than a quarter of the time is measured once.
    """
    from kerascheckpoint.saving import Saver

    saver = Saver(on_background=True)
    saver.prepare(model)
    behind = lambda: saver.report_finished(wait_for_all=True)  # noqa: E731
    actions, note = actions_for(model, saver, directory)
    times: dict[str, list[float]] = {name: [] for name in actions}
    begin = time.perf_counter()
    for made in range(MOST_ROUNDS):
        for name, action in actions.items():
            if made and times[name][-1] > seconds / 4 and not name.startswith("ours"):
                continue
            times[name].append(timed(action))
            if name == "ours: stall":
                times.setdefault("ours: until durable", []).append(times[name][-1] + timed(behind))
        if made and time.perf_counter() - begin > seconds:
            break
    saver.release_memory()
    return {"saves": times, "note": note}


def actions_for(model: Any, saver: Any, directory: str) -> tuple[Actions, str]:
    """Return what is measured, by name, and a remark."""
    import keras
    import numpy as np

    from kerascheckpoint.saving import Saver

    def path(name: str) -> str:
        return os.path.join(directory, name)

    source = np.ones(measure.state_bytes(model), np.uint8)
    target = source.copy()
    now = Saver(on_background=False)
    on_device, to_host = device_actions(model)
    actions: Actions = {
        "ours: stall": lambda: saver.save(model, path("b.keras"), FIELDS, check),
        "ours: foreground": lambda: now.save(model, path("o.keras"), FIELDS, check),
        "raw write + fsync": lambda: measure.write_raw(path("raw"), source),
        "memcpy on the host": lambda: np.copyto(target, source),
        "copy on the device": on_device,
        "to the host": to_host,
        "Keras .weights.h5": lambda: model.save_weights(path("k.weights.h5")),
        "Keras .keras": lambda: model.save(path("k.keras")),
    }
    if keras.config.backend() == "torch":
        actions["DCP"] = DistributedCheckpoint(model, path("dcp")).save
        return actions, "DCP: torch.distributed.checkpoint.async_save, its stall."
    if hasattr(keras.callbacks, "OrbaxCheckpoint") and measure.orbax_is_installed():
        orbax = orbax_callback(path("orbax"))
        orbax.set_model(model)
        epochs = iter(range(10**6))
        actions["Orbax"] = lambda: orbax.on_epoch_end(next(epochs))
        return actions, "Orbax: Keras' OrbaxCheckpoint in the background, its stall."
    return actions, "Orbax is not installed."


def orbax_callback(path: str) -> Any:
    """Return Keras' callback that saves in the background through Orbax."""
    import keras

    return keras.callbacks.OrbaxCheckpoint(path, save_on_background=True, max_to_keep=1)


def device_actions(model: Any) -> tuple[Callable[[], Any], Callable[[], Any]]:
    """Return a copy of the state on its device and one to pinned host memory, both waited for."""
    import keras

    from kerascheckpoint.backends.arrays import backend
    from kerascheckpoint.snapshot.capture import state_variables
    from kerascheckpoint.snapshot.device_copy import size_of
    from kerascheckpoint.snapshot.memory_layout import memory_for, place_arrays

    variables = state_variables(model)
    sizes = {name: size_of(variable) for name, variable in variables.items()}
    places, size = list(place_arrays(sizes, {}).values()), memory_for(sizes.values())
    copier = backend().new_copier()

    def values() -> list[Any]:
        is_torch = keras.config.backend() == "torch"
        return [v.value.detach() if is_torch else v.value for v in variables.values()]

    copier.prepare(values(), size)

    def on_device() -> None:
        copies = copier.copy(values())
        wait_for_device(copies)
        copies.release()

    def to_host() -> None:
        transfer = copier.to_host(values(), places, size)
        transfer.wait()
        transfer.release()

    return on_device, to_host


def wait_for_device(copies: Any) -> None:
    """Wait until the device has done what it was told."""
    import keras

    if keras.config.backend() == "jax":
        import jax

        jax.block_until_ready([array.shards for array in copies._arrays])
    else:
        import torch

        if torch.cuda.is_available():
            torch.cuda.synchronize()


class DistributedCheckpoint:
    """Saves through `torch.distributed.checkpoint.async_save`, as one process of one."""

    def __init__(self, model: Any, path: str) -> None:
        import torch.distributed as distributed

        if not distributed.is_initialized():
            store = distributed.HashStore()
            distributed.init_process_group("gloo", store=store, rank=0, world_size=1)
        self._model, self._path = model, path
        self._running: Any = None
        self._made = 0

    def save(self) -> None:
        """Begin a save; wait for the one before first, as the function itself demands."""
        import torch.distributed.checkpoint as dcp

        from kerascheckpoint.snapshot.capture import state_variables

        self.finish()
        shutil.rmtree(f"{self._path}{self._made - 1}", ignore_errors=True)
        variables = state_variables(self._model)
        state = {name: variable.value.detach() for name, variable in variables.items()}
        self._running = dcp.async_save(state, checkpoint_id=f"{self._path}{self._made}")
        self._made += 1

    def finish(self) -> None:
        """Wait until the last save is on the disk."""
        if self._running is not None:
            self._running.result()
            self._running = None

    def callback(self) -> Any:
        """Return a callback that saves at each epoch's end."""
        import keras

        return keras.callbacks.LambdaCallback(
            on_epoch_end=lambda epoch, logs: self.save(),
            on_train_end=lambda logs: self.finish(),
        )


def measure_fits(model: Any, data: Any, directory: str) -> dict[str, dict[str, Any]]:
    """Return the seconds of a `fit` with each callback, and of its stalls and steps."""
    import keras

    from kerascheckpoint import ModelCheckpoint

    def path(name: str) -> str:
        return os.path.join(directory, name)

    makers: Actions = {
        "none": keras.callbacks.Callback,
        "ours": lambda: ModelCheckpoint(path("f.keras"), save_on_background=True),
        "Keras": lambda: keras.callbacks.ModelCheckpoint(path("g.keras")),
    }
    if keras.config.backend() == "torch":
        makers["DCP"] = lambda: DistributedCheckpoint(model, path("fit-dcp")).callback()
    elif hasattr(keras.callbacks, "OrbaxCheckpoint") and measure.orbax_is_installed():
        makers["Orbax"] = lambda: orbax_callback(path("orbax-fit"))
    steps = steps_of_an_epoch(model, data)
    results = {}
    for name, make in makers.items():
        watch, ending = measure.Stopwatch(), Ending()
        callbacks = [ending.callback(), watch.before(), make(), watch.after()]
        ending.begin = time.perf_counter()
        fit(model, data, steps, EPOCHS, callbacks)
        results[name] = {
            "totals": [ending.end - ending.begin],
            "ends": [time.perf_counter() - ending.end],
            "stalls": watch.stalls,
            "first_steps": watch.first_steps,
            "other_steps": statistics.median(watch.other_steps),
        }
    return results


def steps_of_an_epoch(model: Any, data: Any) -> int:
    """Return how many steps take about as long as an epoch shall."""
    fit(model, data, 20, 1, [])
    seconds = timed(lambda: fit(model, data, 40, 1, [])) / 40
    return max(20, min(4000, int(EPOCH_SECONDS / seconds)))


def fit(model: Any, data: Any, steps: int, epochs: int, callbacks: list[Any]) -> None:
    """Train on one batch over and over."""
    x, y, batch = data

    def batches() -> Iterator[Any]:
        while True:
            yield x[:batch], y[:batch]

    model.fit(batches(), steps_per_epoch=steps, epochs=epochs, callbacks=callbacks, verbose=0)


class Ending:
    """Notes when training ends, before any callback waits for a file."""

    begin = end = 0.0

    def callback(self) -> Any:
        """Return the callback to put first."""
        import keras

        def note(logs: Any) -> None:
            self.end = time.perf_counter()

        return keras.callbacks.LambdaCallback(on_train_end=note)


if __name__ == "__main__":
    main()
