"""Other callbacks continue as if never stopped, wherever they are in the list."""

import io
import json
from typing import Any

import keras
import numpy as np
import pytest

from kerascheckpoint import (
    ModelCheckpoint,
    compare_checkpoints,
    restore_checkpoint,
    verify_checkpoint,
)
from support import small_files, training
from support.small_files import read_record
from support.training import arrays_of, assert_same

EPOCHS = 4


class Stop(Exception):
    """Ends a training as a crash does."""


def crash_at(epoch):
    """Return a callback that raises as an epoch begins."""

    def begin(now, logs=None):
        if now == epoch:
            raise Stop

    return keras.callbacks.LambdaCallback(on_epoch_begin=begin)


class Lowering(keras.callbacks.Callback):
    """Lowers the learning rate at every second epoch, and says what it remembers."""

    def __init__(self):
        super().__init__()
        self.seen: dict[str, Any] = {
            "epochs": 0,
            "losses": np.zeros(100),
            "pair": (1, float("nan")),
        }

    def on_epoch_end(self, epoch, logs=None):
        self.seen["losses"][self.seen["epochs"]] = logs["loss"]
        self.seen["epochs"] += 1
        if self.seen["epochs"] % 2 == 0:
            optimizer = self.model.optimizer
            optimizer.learning_rate = keras.ops.convert_to_numpy(optimizer.learning_rate) / 2

    def get_state(self):
        return self.seen

    def set_state(self, state):
        self.seen = state


KINDS = {
    "EarlyStopping": lambda run: keras.callbacks.EarlyStopping(
        "mae", patience=9, restore_best_weights=True
    ),
    "SwapEMAWeights": lambda run: keras.callbacks.SwapEMAWeights(swap_on_epoch=True),
    "CSVLogger": lambda run: keras.callbacks.CSVLogger(run / "log.csv", append=True),
    "LearningRateScheduler": lambda run: keras.callbacks.LearningRateScheduler(
        lambda epoch, rate: rate * 0.5
    ),
    "BackupAndRestore": lambda run: keras.callbacks.BackupAndRestore(run / "backup"),
    "ModelCheckpoint": lambda run: keras.callbacks.ModelCheckpoint(
        run / "keras" / "best.weights.h5", "mae", save_best_only=True, save_weights_only=True
    ),
    "of the user's": lambda run: Lowering(),
}


def fit(run, kind, seed, *others, behind=False, epochs=EPOCHS, save_freq="epoch"):
    """Train with all objects made anew; return the model, its history and the callback beside."""
    (run / "keras").mkdir(parents=True, exist_ok=True)
    optimizer = keras.optimizers.Adam(use_ema=kind == "SwapEMAWeights")
    model = training.noisy_model(optimizer)
    keras.utils.set_random_seed(seed)
    ours = ModelCheckpoint(
        run / "{step:03d}.keras", monitor="loss", resume=True, save_freq=save_freq
    )
    beside = KINDS[kind](run)
    callbacks = [*others, *([ours, beside] if behind else [beside, ours])]
    try:
        history = training.train(model, *callbacks, epochs=epochs, shuffle=True)
    finally:  # a process that ends closes its files
        getattr(beside, "csv_file", io.StringIO()).close()
    return model, history.history, beside


@pytest.mark.slow
@pytest.mark.parametrize("behind", [False, True], ids=["before", "behind"])
@pytest.mark.parametrize("kind", KINDS)
def test_as_if_never_stopped(tmp_path, kind, behind):
    whole, history, reference = fit(tmp_path / "whole", kind, 1, behind=behind)
    with pytest.raises(Stop):
        fit(tmp_path / "run", kind, 1, crash_at(3), behind=behind)
    (tmp_path / "run" / "012.keras").unlink()  # the crash came before the last file was durable
    resumed, resumed_history, beside = fit(tmp_path / "run", kind, 2, behind=behind)
    assert resumed_history == history
    assert_same(arrays_of(resumed), arrays_of(whole))
    for name in ("012.keras", "016.keras"):
        assert_same(*(small_files.read(tmp_path / run / name) for run in ("run", "whole")))
    if kind == "CSVLogger":
        logs = [(tmp_path / run / "log.csv").read_text() for run in ("run", "whole")]
        assert logs[0] == logs[1]
    if kind == "of the user's":
        assert beside.seen.pop("losses").tolist() == reference.seen.pop("losses").tolist()
        assert str(beside.seen) == str(reference.seen)
    if kind == "EarlyStopping":
        for one, other in zip(beside.best_weights, reference.best_weights, strict=True):
            np.testing.assert_array_equal(one, other)


@keras.saving.register_keras_serializable("tests")
class OnlyKerasSaves(keras.layers.Dense):
    """Uses its store in a way that only Keras' own store serves."""

    def save_own_variables(self, store):
        assert store.h5_file
        super().save_own_variables(store)


@pytest.mark.parametrize("suffix", small_files.SUFFIXES)
@pytest.mark.parametrize("layer", [keras.layers.Dense, OnlyKerasSaves])
def test_the_best_weights_are_arrays_of_the_file_and_no_part_of_the_model(tmp_path, layer, suffix):
    """A record that held them would be as large as the model, and slow to read in every list."""

    def trained(**settings):
        model = keras.Sequential([keras.Input((3,)), layer(500), keras.layers.Dense(1)])
        model.compile(optimizer="sgd", loss="mse")
        beside = keras.callbacks.EarlyStopping("loss", patience=5, restore_best_weights=True)
        path = tmp_path / f"{{epoch}}{suffix}"
        weights_only = suffix != ".keras"
        ours = ModelCheckpoint(path, "loss", save_weights_only=weights_only, resume=True)
        training.train(model, beside, ours, **settings)
        return model, beside

    model, before = trained(epochs=1)
    path = tmp_path / f"1{suffix}"
    verify_checkpoint(path)
    record = read_record(str(path))
    assert len(json.dumps(record["states"]["callbacks"])) < 2000
    assert [name for name in record["arrays"] if name.startswith("kerascheckpoint/")]
    assert {array.name for array in compare_checkpoints(path, path)} <= set(record["arrays"])
    assert not [a for a in compare_checkpoints(path, path) if a.name.startswith("kerascheckpoint")]
    if suffix == ".keras":
        assert_same(arrays_of(keras.saving.load_model(path)), arrays_of(model))
    else:
        model.load_weights(path)
    restore_checkpoint(model, path)
    _, beside = trained(epochs=2)
    assert beside.best_epoch == 1
    assert [a.shape for a in beside.best_weights] == [a.shape for a in before.best_weights]
