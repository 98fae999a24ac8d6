"""What files are called, and which paths are refused."""

import os
import pathlib
import sys

import keras
import numpy as np
import pytest

from kerascheckpoint import (
    CheckpointNameError,
    CheckpointWarning,
    CheckpointWriteError,
    ModelCheckpoint,
    list_checkpoints,
    verify_checkpoint,
)
from support import training
from support.training import Script, train


@pytest.mark.parametrize(
    ("template", "save_freq", "saved"),
    [
        ("{epoch:02d}-{val_loss:.2f}.keras", "epoch", ["01-0.50.keras", "02-0.25.keras"]),
        (
            "{epoch}-{batch}-{step:03d}.keras",
            3,
            ["1-3-003.keras", "2-2-006.keras", "2-4-008.keras"],
        ),
        ("{epoch}-{batch}-{step}.keras", "epoch", ["1-4-4.keras", "2-4-8.keras"]),
        ("m.keras", 3, ["m.keras"]),
    ],
)
def test_names_are_filled_from_counters_and_logs(
    tmp_path, shared_model, template, save_freq, saved
):
    checkpoint = ModelCheckpoint(tmp_path / template, save_freq=save_freq)
    train(shared_model, Script(val_loss=[0.5, 0.25]), checkpoint, epochs=2)
    assert training.files(tmp_path) == saved


def test_directories_may_be_named_by_placeholders(tmp_path, shared_model):
    train(shared_model, ModelCheckpoint(tmp_path / "{epoch}" / "m.keras"), epochs=2)
    assert [(tmp_path / name / "m.keras").is_file() for name in "12"] == [True, True]


def test_a_metric_called_epoch_does_not_crash(tmp_path, shared_model):
    checkpoint = ModelCheckpoint(tmp_path / "{epoch}.keras", "epoch", mode="max")
    train(shared_model, Script(epoch=[0.5], batch=[0.1], step=[7.0]), checkpoint)
    (info,) = list_checkpoints(tmp_path)
    assert (info.epoch, info.step, os.path.basename(info.path)) == (1, 4, "1.keras")
    assert info.metrics["epoch"] == 0.5


@pytest.mark.parametrize(
    ("path", "settings", "words"),
    [
        ("{}.keras", {}, "not a valid template"),
        ("{epoch.keras", {}, "not a valid template"),
        ("m", {}, "must end in `.keras`"),
        ("m.weights.h5", {}, "set `save_weights_only=True`"),
        ("m.keras", {"save_weights_only": True}, "must end in `.weights.h5`"),
        ("m.h5", {"resume": True}, "resume=True needs files with a record"),
        ("", {}, "filepath must name a file"),
    ],
)
def test_a_wrong_path_is_refused_at_construction(path, settings, words):
    with pytest.raises(ValueError, match=words):
        ModelCheckpoint(path, **settings)


def test_an_existing_directory_is_refused_at_construction(tmp_path):
    (tmp_path / "m.keras").mkdir()
    with pytest.raises(IsADirectoryError, match="Please specify a non-directory filepath"):
        ModelCheckpoint(tmp_path / "m.keras")


@pytest.mark.parametrize("below", ["m.keras", "a/{epoch}/m.keras"])
def test_a_file_where_a_directory_should_be_is_refused_at_construction(tmp_path, below):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(NotADirectoryError, match="filepath must lie in a directory"):
        ModelCheckpoint(tmp_path / "file" / below)


def test_a_directory_that_cannot_be_written_is_an_error_before_the_first_batch(
    tmp_path, shared_model
):
    refusing = [tmp_path / "file"]
    if sys.platform == "linux":  # nobody, not even root, makes files there
        refusing += [pathlib.Path("/proc/kerascheckpoint"), pathlib.Path("/sys")]
    checkpoints = [ModelCheckpoint(directory / "m.keras") for directory in refusing]
    (tmp_path / "file").write_text("in the way")  # since then
    trained = []
    begin = keras.callbacks.LambdaCallback(on_train_batch_begin=lambda *_: trained.append(1))
    for checkpoint in checkpoints:
        with pytest.raises(CheckpointWriteError, match=r"could not write.*m\.keras"):
            train(shared_model, checkpoint, begin)
    assert not trained


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_directory_is_an_error_before_the_first_batch(tmp_path, shared_model):
    tmp_path.chmod(0o500)
    with pytest.raises(CheckpointWriteError, match="No permission to write"):
        train(shared_model, ModelCheckpoint(tmp_path / "m.keras"))


def test_an_unknown_placeholder_is_named_with_what_can_be_used(tmp_path, shared_model):
    checkpoint = ModelCheckpoint(tmp_path / "{val_los}.keras", on_save_error="warn")
    with pytest.raises(CheckpointNameError, match=r"no 'val_los'.*batch, epoch, loss, step"):
        train(shared_model, checkpoint)


def test_an_epoch_without_validation_is_named_nan_with_one_warning(tmp_path, shared_model):
    checkpoint = ModelCheckpoint(tmp_path / "{epoch}-{val_loss:.2f}.keras")
    with pytest.warns(CheckpointWarning, match="val_loss has no value at this save") as caught:
        train(shared_model, Script(val_loss=[None, 0.5, None]), checkpoint, epochs=3)
    assert len(training.texts(caught)) == 1
    assert training.files(tmp_path) == ["1-nan.keras", "2-0.50.keras", "3-nan.keras"]


@pytest.mark.parametrize("background", [False, True])
def test_a_legacy_h5_model_is_written_by_keras_and_published_whole(
    tmp_path, shared_model, background
):
    checkpoint = ModelCheckpoint(tmp_path / "m.h5", save_on_background=background)
    train(shared_model, checkpoint)
    assert training.names_in(tmp_path) == ["m.h5"]
    loaded = keras.saving.load_model(tmp_path / "m.h5", compile=False)
    for found, expected in zip(loaded.get_weights(), shared_model.get_weights(), strict=True):
        np.testing.assert_array_equal(found, expected)


def test_home_paths_and_missing_parents_are_accepted(tmp_path, shared_model, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    checkpoint = ModelCheckpoint(pathlib.Path("~") / "a b" / "ü" / "m.keras")
    train(shared_model, checkpoint)
    assert checkpoint.filepath == str(tmp_path / "a b" / "ü" / "m.keras")
    assert os.path.isfile(checkpoint.filepath)


def test_a_relative_path_is_fixed_at_construction(tmp_path, shared_model, monkeypatch):
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)
    checkpoint = ModelCheckpoint("run/m.keras")
    monkeypatch.chdir(tmp_path / "elsewhere")
    train(shared_model, checkpoint)
    assert (tmp_path / "run" / "m.keras").is_file()
    assert training.names_in(tmp_path / "elsewhere") == []


def test_two_callbacks_of_one_fit_on_one_path_are_both_named(tmp_path, shared_model):
    first = ModelCheckpoint(tmp_path / "m.keras", monitor="loss")
    second = ModelCheckpoint(tmp_path / "m.keras", monitor="val_loss")
    with pytest.warns(CheckpointWarning, match=r"monitor='loss'.*monitor='val_loss'") as caught:
        train(shared_model, first, second)
    assert len(training.texts(caught)) == 1


def test_a_callback_of_keras_on_the_same_path_is_named_as_well(tmp_path, shared_model):
    path = tmp_path / "m.keras"
    of_keras = keras.callbacks.ModelCheckpoint(str(path))
    with pytest.warns(CheckpointWarning, match=r"two callbacks.*Keras' own ModelCheckpoint"):
        train(shared_model, ModelCheckpoint(path), of_keras)


def test_templates_that_give_the_same_names_are_one_path(tmp_path, shared_model):
    names = ("{epoch}.keras", "{epoch:1d}.keras")
    with pytest.warns(CheckpointWarning, match=r"two callbacks.*\{epoch\}.*\{epoch:1d\}") as caught:
        train(shared_model, *(ModelCheckpoint(tmp_path / name) for name in names))
    assert len(training.texts(caught)) == 1


def test_a_callback_that_is_listed_twice_is_named_and_acts_once(tmp_path, shared_model):
    for epochs in (1, 3):  # the second time resumes
        checkpoint = ModelCheckpoint(tmp_path / "{epoch}-{step}.keras", resume=True, save_freq=3)
        with pytest.warns(
            CheckpointWarning, match=r"listed more than once.*\{epoch\}-\{step\}"
        ) as caught:
            train(shared_model, checkpoint, checkpoint, epochs=epochs)
        assert len(training.texts(caught)) == 1
    assert training.files(tmp_path) == [
        "1-3.keras",
        "1-4.keras",
        "2-6.keras",
        "3-9.keras",
        "3-12.keras",
    ]
    assert verify_checkpoint(tmp_path / "3-12.keras").step == 12


def test_callbacks_of_different_fits_may_use_one_path(tmp_path, shared_model):
    first, second = (ModelCheckpoint(tmp_path / "m.keras") for _ in range(2))
    with pytest.raises(training.Stop):
        train(shared_model, first, training.At(0, training.stop))
    train(shared_model, second)
