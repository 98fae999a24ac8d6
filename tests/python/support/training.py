"""Tiny models, tiny data, small callbacks and checkpoint files made to order, for the tests."""

import json
import os
import pathlib
import subprocess
import sys
import warnings
import zipfile
from collections.abc import Sequence
from typing import Any

import h5py
import keras
import numpy as np

from kerascheckpoint import CheckpointWarning, list_checkpoints
from kerascheckpoint.formats.keras_file import add_record
from kerascheckpoint.keras_seam.fit_control import BATCH_END_NAMES_FIRST
from support import small_files
from support.small_files import read_record

if keras.config.backend() == "tensorflow":
    import tensorflow

    # It takes longer than a tiny model trains. Child processes must do without it as well: their
    # results would differ in the last bit.
    tensorflow.config.optimizer.set_experimental_options({"disable_meta_optimizer": True})

STEPS = 4  # batches of an epoch of `samples()`
BATCH = 2  # samples of a batch


def samples(steps: int = STEPS, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return inputs of shape (steps * 2, 3) and targets of shape (steps * 2, 1)."""
    random = np.random.default_rng(seed)
    x = random.normal(size=(steps * BATCH, 3)).astype("float32")
    return x, x.sum(axis=1, keepdims=True)


def tiny_model(*, compiled: bool = True, optimizer: Any = "sgd", **settings: Any) -> Any:
    """Return a model of two dense layers for `samples()`; `settings` go to `compile`."""
    layers = [keras.Input((3,)), keras.layers.Dense(4), keras.layers.Dense(1)]
    model = keras.Sequential(layers)
    if compiled:
        model.compile(optimizer=optimizer, loss="mse", **settings)
    return model


def noisy_model(optimizer: str = "adam", **settings: Any) -> Any:
    """Return a model whose training depends on every kind of state: dropout, moving averages."""
    keras.utils.set_random_seed(7)
    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input((3,)),
            layers.Dense(8, activation="relu"),
            layers.BatchNormalization(),
            layers.Dropout(0.5),
            layers.Dense(1),
        ]
    )
    model.compile(optimizer=optimizer, loss="mse", metrics=["mae"], **settings)
    return model


def train(model: Any, *callbacks: Any, epochs: int = 1, steps: int = STEPS, **settings: Any) -> Any:
    """Fit on `samples()` in their order, without a word, and return the history."""
    x, y = samples(steps)
    settings = {"batch_size": BATCH, "shuffle": False, "verbose": 0} | settings
    return model.fit(x, y, epochs=epochs, callbacks=list(callbacks), **settings)


class Script(keras.callbacks.Callback):
    """Puts values into the logs of each epoch, so that a test decides which model is best.

    Stands before the checkpoint callback. `None` takes the name out of the logs.
    """

    def __init__(self, **values: Sequence[Any]) -> None:
        super().__init__()
        self.values = values

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        for name, values in self.values.items():
            logs.pop(name, None)
            if values[epoch] is not None:
                logs[name] = values[epoch]


class At(keras.callbacks.Callback):
    """Runs an action once: at the end of an epoch, or of a batch of it (or the next one shown)."""

    def __init__(self, epoch: int, action: Any, batch: int | None = None) -> None:
        super().__init__()
        self.epoch, self.batch, self.action = epoch, batch, action
        self._now = 0

    def state_dict(self) -> dict[str, Any]:
        """Say that nothing is to be remembered."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Start again."""

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self._now = epoch

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        if BATCH_END_NAMES_FIRST:
            batch += int(getattr(self.model, "steps_per_execution", 1) or 1) - 1
        if self.batch is not None and self._now == self.epoch and batch >= self.batch:
            self.batch = self.epoch = -1
            self.action()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        if self.batch is None and epoch == self.epoch:
            self.action()


class Stop(Exception):
    """Ends a training the hard way."""


def stop() -> None:
    raise Stop


def steps_of(model: Any) -> int:
    """Return the number of steps that a model's optimizer has made."""
    return int(keras.ops.convert_to_numpy(model.optimizer.iterations))


def arrays_of(model: Any) -> dict[str, np.ndarray]:
    """Return every variable of a model and of its optimizer as NumPy arrays."""
    variables = {f"model {index} {v.path}": v for index, v in enumerate(model.variables)}
    optimizer = getattr(model, "optimizer", None)
    if optimizer is not None:
        variables |= {f"optimizer {i} {v.path}": v for i, v in enumerate(optimizer.variables)}
    return {name: np.array(keras.ops.convert_to_numpy(v)) for name, v in variables.items()}


def assert_same(found: dict[str, np.ndarray], expected: dict[str, np.ndarray]) -> None:
    """Assert that arrays are equal bit for bit; their names only have to have the same order."""
    assert len(found) == len(expected)
    for (name, array), reference in zip(found.items(), expected.values(), strict=True):
        assert array.dtype == reference.dtype, name
        assert array.tobytes() == reference.tobytes(), name


def names_in(directory: Any) -> list[str]:
    """Return every name in a directory, hidden ones too."""
    return sorted(path.name for path in directory.iterdir())


def files(directory: Any) -> list[str]:
    """Return the names of the checkpoints in a directory, oldest first."""
    return [os.path.basename(info.path) for info in list_checkpoints(directory)]


def places(directory: Any) -> list[tuple[Any, ...]]:
    """Return (reason, epoch, batch, step) of each checkpoint in a directory, oldest first."""
    infos = list_checkpoints(directory)
    return [(info.reason, info.epoch, info.batch, info.step) for info in infos]


def in_python(code: str, *arguments: str, **settings: Any) -> "subprocess.CompletedProcess[str]":
    """Run code in a Python of its own, with this one's backend and search path."""
    settings = {"capture_output": True, "text": True, "timeout": 240} | settings
    return subprocess.run([sys.executable, "-c", code, *arguments], **settings)


def texts(caught: "Sequence[warnings.WarningMessage]") -> list[str]:
    """Return the texts of our own warnings among those caught; frameworks have theirs."""
    return [str(entry.message) for entry in caught if entry.category is CheckpointWarning]


GOLDEN = pathlib.Path(__file__).parents[1] / "golden"


def golden(suffix: str, schema: int = 1) -> pathlib.Path:
    """Return the golden file of a schema, as the version wrote it that had this schema first."""
    return GOLDEN / f"schema-{schema}{suffix}"


def checkpoint_file(path: Any, **fields: Any) -> str:
    """Write a whole checkpoint with these fields in its record, without any training."""
    path = pathlib.Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    suffix = next(suffix for suffix in small_files.SUFFIXES if path.name.endswith(suffix))
    usual = read_record(str(golden(suffix)))
    record = {key: usual[key] for key in usual if key not in ("schema", "arrays", "image")}
    metrics = fields.get("metrics", {})
    record |= {"metrics": metrics, "value": metrics.get("val_loss"), "best": None} | fields
    stock = stock_file(path.with_name(f"stock{suffix}"))
    with open(path, "xb") as file:
        add_record.add_record(file.fileno(), str(stock), record)
    stock.unlink()
    return str(path)


def stock_file(path: Any) -> pathlib.Path:
    """Write a whole file such as Keras itself does, without a record."""
    path = pathlib.Path(path)
    if path.name.endswith(".weights.h5"):
        with h5py.File(golden(".weights.h5")) as source, h5py.File(path, "w") as copy:
            for name in source:
                source.copy(name, copy)
        return path
    with zipfile.ZipFile(golden(".keras")) as source, zipfile.ZipFile(path, "w") as copy:
        for member in source.infolist():
            content = source.read(member)
            if member.filename == "metadata.json":
                metadata = json.loads(content)
                del metadata["kerascheckpoint"]
                content = json.dumps(metadata).encode()
            copy.writestr(member.filename, content)
    return path


def damage(path: Any) -> None:
    """Flip one bit of the first stored array, which no look at the structure alone can find."""
    start = next(start for start, length in small_files.places_of(path).values() if length)
    whole = bytearray(pathlib.Path(path).read_bytes())
    whole[start] ^= 1
    pathlib.Path(path).write_bytes(whole)
