"""Code written for Keras' `ModelCheckpoint`: subclasses that override, call and read its parts."""

import os

import keras
import numpy as np
import pytest

from kerascheckpoint import ModelCheckpoint, list_checkpoints, verify_checkpoint
from support import training
from support.training import Script, train


def test_it_is_one_of_keras_model_checkpoints(tmp_path):
    assert isinstance(ModelCheckpoint(tmp_path / "m.keras"), keras.callbacks.ModelCheckpoint)


class HalvedWeights(ModelCheckpoint):
    """Saves other weights than those in training, as callbacks for averaged weights do."""

    def _save_model(self, epoch, batch, logs):
        weights = self.model.get_weights()
        self.model.set_weights([weight / 2 for weight in weights])
        super()._save_model(epoch, batch, logs)
        self.model.set_weights(weights)


@pytest.mark.parametrize("background", [False, True])
def test_weights_that_a_subclass_swaps_in_for_the_save_are_saved(tmp_path, background):
    model = training.tiny_model()
    settings = {"save_on_background": background}
    train(model, HalvedWeights(tmp_path / "m.keras", **settings))
    saved = keras.saving.load_model(tmp_path / "m.keras").get_weights()
    for found, trained in zip(saved, model.get_weights(), strict=True):
        np.testing.assert_array_equal(found, trained / 2)


class EverySecond(ModelCheckpoint):
    def _should_save_model(self, epoch, batch, logs, filepath):
        return epoch % 2 == 1 and super()._should_save_model(epoch, batch, logs, filepath)


class ByItself(ModelCheckpoint):
    def _should_save_model(self, epoch, batch, logs, filepath):
        assert filepath.endswith(f"{epoch + 1}.keras")
        return epoch == 2


class OnThirdBatches(ModelCheckpoint):
    def _should_save_on_batch(self, batch):
        return batch == 2


class AtEpochsEnd(ModelCheckpoint):
    """Keeps Keras' events for itself and calls what Keras' own methods call."""

    def on_epoch_end(self, epoch, logs=None):
        if epoch != 1:
            self._save_model(epoch=epoch, batch=None, logs=logs)


class AtBatchesEnd(ModelCheckpoint):
    def on_train_batch_end(self, batch, logs=None):
        if self._should_save_on_batch(batch):
            self._save_model(epoch=self._current_epoch, batch=batch, logs=logs)


class CountsEpochs(ModelCheckpoint):
    def on_epoch_end(self, epoch, logs=None):
        if self.epochs_since_last_save >= 1:
            super().on_epoch_end(epoch, logs)
        else:
            self.epochs_since_last_save += 1


@pytest.mark.parametrize(
    ("kind", "settings", "saved"),
    [
        (EverySecond, {}, [("epoch", 2, 0, 8)]),
        (EverySecond, {"save_best_only": True, "monitor": "loss"}, [("epoch", 2, 0, 8)]),
        (ByItself, {}, [("epoch", 3, 0, 12)]),
        (ByItself, {"save_best_only": True, "monitor": "loss"}, [("epoch", 3, 0, 12)]),
        (OnThirdBatches, {}, [("batch", 0, 3, 3), ("epoch", 1, 0, 4)]),
        (OnThirdBatches, {"save_freq": 100}, [("batch", n, 3, 4 * n + 3) for n in range(3)]),
        (AtEpochsEnd, {}, [("epoch", 1, 0, 4), ("epoch", 3, 0, 12)]),
        (AtBatchesEnd, {"save_freq": 5}, [("batch", 1, 1, 5), ("batch", 2, 2, 10)]),
        (CountsEpochs, {}, [("epoch", 2, 0, 8)]),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_a_subclass_decides_when_to_save_and_nothing_else_is_saved(
    tmp_path, shared_model, kind, settings, saved
):
    epochs = 1 if kind is OnThirdBatches and not settings else 3
    train(shared_model, kind(tmp_path / "{step}-{epoch}.keras", **settings), epochs=epochs)
    assert training.places(tmp_path) == saved


class Named(ModelCheckpoint):
    folder = None

    def _get_file_path(self, epoch, batch, logs):
        return self.folder / f"of-{epoch}.keras"


def test_a_subclass_names_the_files(tmp_path, shared_model):
    checkpoint = Named(tmp_path / "m.keras")
    checkpoint.folder = tmp_path / "elsewhere {epoch}"
    train(shared_model, checkpoint, epochs=2)
    assert training.names_in(checkpoint.folder) == ["of-0.keras", "of-1.keras"]
    assert checkpoint.last_filepath == str(checkpoint.folder / "of-1.keras")
    checkpoint.folder = tmp_path / "x.keras"
    type(checkpoint)._get_file_path = lambda self, epoch, batch, logs: "m.txt"
    with pytest.raises(ValueError, match="must end in"):
        train(shared_model, checkpoint)


class Logger(ModelCheckpoint):
    """Written as experiment loggers' subclasses are: after each save its file is uploaded."""

    def __init__(self, filepath, **settings):
        super().__init__(filepath=filepath, **settings)
        self.save_weights_only = settings.get("save_weights_only", False)
        self.uploaded = []

    def on_train_batch_end(self, batch, logs=None):
        if self._should_save_on_batch(batch):
            self._save_model(epoch=self._current_epoch, batch=batch, logs=logs)
            self._upload(self._get_file_path(epoch=self._current_epoch, batch=batch, logs=logs))

    def on_epoch_end(self, epoch, logs=None):
        super().on_epoch_end(epoch, logs)
        if self.save_freq == "epoch":
            self._upload(self._get_file_path(epoch=epoch, batch=None, logs=logs))

    def _upload(self, path):
        verify_checkpoint(path)
        self.uploaded.append(os.path.basename(path))


@pytest.mark.parametrize("background", [False, True])
@pytest.mark.parametrize(
    ("save_freq", "uploaded"),
    [("epoch", ["1.keras", "2.keras"]), (3, ["1-3.keras", "2-2.keras"])],
)
def test_what_a_subclass_uploads_after_a_save_is_whole(
    tmp_path, shared_model, save_freq, uploaded, background
):
    template = "{epoch}.keras" if save_freq == "epoch" else "{epoch}-{batch}.keras"
    settings = {"save_freq": save_freq, "save_on_background": background}
    checkpoint = Logger(tmp_path / template, **settings)
    train(shared_model, checkpoint, epochs=2)
    assert checkpoint.uploaded == uploaded == training.files(tmp_path)


def test_a_class_for_keras_can_be_put_on_top_of_ours(tmp_path, shared_model):
    class ForKeras(keras.callbacks.ModelCheckpoint):
        def __init__(self, filepath, monitor="val_loss", verbose=0, **more):
            super().__init__(filepath=filepath, monitor=monitor, verbose=verbose, **more)
            self.paths = []

        def on_epoch_end(self, epoch, logs=None):
            super().on_epoch_end(epoch, logs)
            self.paths.append(self._get_file_path(epoch=epoch, batch=None, logs=logs))

    class Both(ForKeras, ModelCheckpoint):
        pass

    checkpoint = Both(tmp_path / "{epoch}.keras", keep_last=1)
    train(shared_model, checkpoint, epochs=3)
    assert [os.path.basename(path) for path in checkpoint.paths] == [
        "1.keras",
        "2.keras",
        "3.keras",
    ]
    assert training.files(tmp_path) == ["3.keras"]


@pytest.mark.parametrize(
    ("mode", "monitor", "expected"),
    [
        ("min", "val_loss", np.less),
        ("max", "val_loss", np.greater),
        ("auto", "val_loss", None),
    ],
)
def test_monitor_op_says_which_is_better(tmp_path, mode, monitor, expected):
    checkpoint = ModelCheckpoint(tmp_path / "m.keras", monitor, mode=mode)
    assert checkpoint.monitor_op is expected


def test_monitor_op_can_be_set_and_is_obeyed(tmp_path, shared_model):
    checkpoint = ModelCheckpoint(tmp_path / "{epoch}.keras", "speed", save_best_only=True)
    checkpoint.monitor_op = np.greater
    train(shared_model, Script(speed=[0.5, 0.9, 0.3]), checkpoint, epochs=3)
    assert [info.epoch for info in list_checkpoints(tmp_path)] == [1, 2]
    with pytest.raises(ValueError, match="monitor_op must tell"):
        checkpoint.monitor_op = np.add


def test_the_counts_that_keras_keeps_are_kept(tmp_path, shared_model):
    checkpoint = ModelCheckpoint(tmp_path / "m.keras", save_freq=3)
    seen = []

    def look():
        seen.append((checkpoint._current_epoch, checkpoint._batches_seen_since_last_saving))

    train(shared_model, checkpoint, training.At(0, look, 1), training.At(1, look, 0), epochs=2)
    assert seen == [(0, 2), (1, 2)]


def test_epochs_since_the_last_save_are_counted(tmp_path, shared_model):
    checkpoint = ModelCheckpoint(tmp_path / "m.keras", save_best_only=True)
    train(shared_model, Script(val_loss=[0.1, 0.5, 0.4]), checkpoint, epochs=3)
    assert checkpoint.epochs_since_last_save == 2


@pytest.mark.parametrize(
    ("name", "instead"),
    [
        ("_is_improvement", "override _should_save_model"),
        ("_set_monitor_op", "pass mode='min' or mode='max'"),
    ],
)
def test_a_method_that_cannot_be_served_is_refused_when_the_class_is_defined(name, instead):
    if not hasattr(keras.callbacks.ModelCheckpoint, name):
        pytest.skip("this Keras has no such method")
    with pytest.raises(TypeError, match=rf"Mine overrides {name}\(\).*{instead}"):
        type("Mine", (ModelCheckpoint,), {name: lambda self, *given: True})


def test_a_subclass_with_attributes_of_its_own_disturbs_nothing(tmp_path, shared_model):
    class Mine(ModelCheckpoint):
        def __init__(self, *given, **settings):
            super().__init__(*given, **settings)
            self._run = self._best = self._policy = self._writer = "mine"

    train(shared_model, Mine(tmp_path / "{epoch}.keras"), epochs=2)
    assert training.files(tmp_path) == ["1.keras", "2.keras"]
