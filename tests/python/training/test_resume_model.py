"""Resume: which models can resume, and what it leaves on them."""

import json
import zipfile

import keras
import numpy as np
import pytest

from kerascheckpoint import (
    CheckpointMismatchError,
    CheckpointSchemaError,
    ModelCheckpoint,
    list_checkpoints,
)
from support import small_files, training
from support.resuming import assert_as_if_never_stopped, checkpoint_at, fitted
from support.training import arrays_of, assert_same, noisy_model, train

SUFFIXES = pytest.mark.parametrize("suffix", small_files.SUFFIXES)


@SUFFIXES
def test_a_model_that_differs_gets_the_first_difference_and_is_not_changed(tmp_path, suffix):
    path = tmp_path / f"m{suffix}"
    train(training.tiny_model(), checkpoint_at(path))
    other = keras.Sequential([keras.Input((3,)), keras.layers.Dense(7), keras.layers.Dense(1)])
    other.compile(optimizer="sgd", loss="mse")
    before = [np.array(weight) for weight in other.get_weights()]
    with pytest.raises(CheckpointMismatchError, match=r"has shape \(3, 4\).*\(3, 7\) in the model"):
        train(other, checkpoint_at(path, resume=True))
    for found, expected in zip(other.get_weights(), before, strict=True):
        np.testing.assert_array_equal(found, expected)
    history = train(other)
    assert history.epoch == [0]


def test_a_model_that_fit_has_to_build_is_resumed(tmp_path):
    def make():
        keras.utils.set_random_seed(3)
        model = keras.Sequential([keras.layers.Dense(4), keras.layers.Dense(1)])
        model.compile(optimizer="adam", loss="mse")
        return model

    expected = make()
    train(expected, epochs=3)
    path, model = tmp_path / "m.keras", make()
    train(make(), checkpoint_at(path), epochs=1)
    train(model, checkpoint_at(path, resume=True), epochs=3)
    assert_same(arrays_of(model), arrays_of(expected))


def test_a_second_fit_with_the_same_callback_resumes_from_its_own_files(tmp_path, uninterrupted):
    checkpoint, model = checkpoint_at(tmp_path / "m.keras", resume=True), noisy_model()
    fitted(checkpoint, epochs=2, model=model)
    _, history = fitted(checkpoint, epochs=4, model=model)
    assert_as_if_never_stopped(model, history, uninterrupted)


@pytest.mark.filterwarnings("ignore:saves come faster than they can be written")
@pytest.mark.parametrize("place", ["on_train_begin", "on_epoch_begin", "on_train_batch_begin"])
@pytest.mark.parametrize("freq", ["epoch", 3])
def test_a_fit_that_dies_early_leaves_no_trace(tmp_path, shared_model, freq, place):
    """Whoever fixes the error in the same session trains from where they say."""
    path = tmp_path / "m.keras"
    train(shared_model, ModelCheckpoint(path, save_freq=freq), epochs=2, steps=4)

    class Dying(keras.callbacks.Callback):
        pass

    setattr(Dying, place, lambda self, *given, **logs: training.stop())
    with pytest.raises(training.Stop):
        train(shared_model, ModelCheckpoint(path, resume=True), Dying(), epochs=5)
    steps = training.steps_of(shared_model)
    shared_model.train_on_batch(*training.samples(1))
    assert training.steps_of(shared_model) == steps + 1
    assert train(shared_model, epochs=2).epoch == [0, 1]


def test_a_newer_schema_is_refused_and_not_overwritten(tmp_path, shared_model):
    path = tmp_path / "m.keras"
    training.checkpoint_file(path)
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    metadata = json.loads(members["metadata.json"])
    metadata["kerascheckpoint"]["schema"] = 99
    with zipfile.ZipFile(path, "w") as archive:
        for name, member in (members | {"metadata.json": json.dumps(metadata)}).items():
            archive.writestr(name, member)
    content = path.read_bytes()
    with pytest.raises(CheckpointSchemaError, match="schema 99"):
        train(shared_model, ModelCheckpoint(path, resume=True))
    assert path.read_bytes() == content


@pytest.mark.parametrize("freq", ["epoch", 3])
def test_a_custom_loop_resumes_too(tmp_path, shared_model, freq):
    """Its state is restored; skipping the data that are done is up to the loop."""
    path = tmp_path / "m.keras"
    train(shared_model, ModelCheckpoint(path, save_freq=freq), epochs=1, steps=4)
    (info,) = list_checkpoints(path)
    model = training.tiny_model()
    saving = ModelCheckpoint(path, resume=True)
    saving.set_model(model)
    saving.on_train_begin()
    assert_same(arrays_of(model), arrays_of(shared_model))
    for batch in range(2):
        saving.on_train_batch_begin(batch)
        model.train_on_batch(*training.samples(1))
        saving.on_train_batch_end(batch)
    saving.on_epoch_end(info.epoch)
    saving.on_train_end()
    (last,) = list_checkpoints(path)
    assert (last.epoch, last.step) == (info.epoch + 1, info.step + 2)
    assert train(model, epochs=2).epoch == [0, 1]
