"""Saves behind training, under control: the writing thread held, the state of each epoch kept."""

import threading
from typing import Any

import keras
import numpy as np

from kerascheckpoint import ModelCheckpoint
from kerascheckpoint.saving import Saver
from support import small_files, training


def saver(path: Any, **settings: Any) -> Any:
    """Return a callback that saves each epoch behind training."""
    settings = {"monitor": "loss", "save_on_background": True} | settings
    return ModelCheckpoint(path, save_weights_only=str(path).endswith(".weights.h5"), **settings)


class Hold(keras.callbacks.Callback):
    """Stops the writing thread when training begins, until `release` is called."""

    def __init__(self, saving: Any) -> None:
        super().__init__()
        self.saving, self.event = saving, threading.Event()
        self.release = self.event.set

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        if epoch == 0:
            self.saving._saver._writer.submit(self.event.wait, lambda error: None)


class Reference(keras.callbacks.Callback):
    """Takes copies of all state at the end of each epoch."""

    def __init__(self) -> None:
        super().__init__()
        self.states: list[dict[str, np.ndarray]] = []

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.states.append(training.arrays_of(self.model))


def without_seeds(arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Leave out the state of seed generators, which loading a model may change."""
    return {name: array for name, array in arrays.items() if "seed_generator" not in name}


def assert_saves_stay_apart(directory: Any) -> None:
    """Save eight states of one model, two of them while the writing thread is held.

    Each file has to hold its own state: no memory may be used again too early.
    """
    model = training.tiny_model()
    saver, event = Saver(on_background=True), threading.Event()
    outcomes: list[BaseException | None] = []
    saver.prepare(model)
    saver._writer.submit(event.wait, lambda error: None)
    saver._writer._said_full = True
    for number in range(8):
        for variable in model.variables:
            variable.assign(np.full(variable.shape, number))
        if number == 1:
            event.set()
        path = str(directory / f"{number}.weights.h5")
        saver.save(model, path, small_files.FIELDS, outcomes.append)
    for variable in model.variables:
        variable.assign(np.full(variable.shape, -1))
    saver.report_finished(wait_for_all=True)
    saver.release_memory()
    assert outcomes == [None] * 8
    for number in range(8):
        found = small_files.read(directory / f"{number}.weights.h5")
        values = {float(v) for name, a in found.items() if "layers" in name for v in a.flat}
        assert values == {number}
