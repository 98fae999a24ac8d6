"""A save that fails or is interrupted: what is decided follows the disk."""

import errno
import shutil
import threading

import keras
import pytest

from kerascheckpoint import (
    CheckpointWarning,
    CheckpointWriteError,
    ModelCheckpoint,
    list_checkpoints,
)
from kerascheckpoint.formats.keras_file.forms import SnapshotWriter
from support import training
from support.training import Script, train


@pytest.mark.parametrize("background", [False, True])
def test_after_a_failed_save_the_best_is_as_before_and_the_next_good_epoch_is_saved(
    tmp_path, shared_model, background
):
    folder = tmp_path / "run"
    checkpoint = ModelCheckpoint(
        folder / "{epoch}.keras",
        save_best_only=True,
        on_save_error="warn",
        save_on_background=background,
    )

    def hide():
        checkpoint.wait()
        folder.rename(tmp_path / "hidden")
        folder.write_text("in the way")

    def reveal():
        folder.unlink()
        (tmp_path / "hidden").rename(folder)

    script = Script(val_loss=[0.5, 0.1, 0.3])
    around = [training.At(0, hide), training.At(1, checkpoint.wait), training.At(1, reveal)]
    with pytest.warns(CheckpointWarning, match=r"goes on without.*could not write.*2\.keras"):
        train(shared_model, script, checkpoint, *around, epochs=3)
    assert [info.epoch for info in list_checkpoints(folder)] == [1, 3]
    assert checkpoint.best == 0.3
    assert training.names_in(folder) == ["1.keras", "3.keras"]


def test_by_default_a_failed_save_ends_training_with_path_and_cause(tmp_path, shared_model):
    folder = tmp_path / "run"
    checkpoint = ModelCheckpoint(folder / "m.keras")
    with pytest.raises(
        CheckpointWriteError, match=r"could not write checkpoint .*m\.keras"
    ) as caught:
        train(
            shared_model,
            training.At(0, lambda: (folder.rmdir(), folder.write_text("in the way"))),
            checkpoint,
        )
    assert isinstance(caught.value, OSError)
    assert caught.value.errno in (errno.EEXIST, errno.ENOTDIR)


def test_the_first_of_several_errors_is_raised_and_the_others_are_told(
    tmp_path, shared_model, monkeypatch
):
    """All of them are found out at the end of training."""
    is_over = threading.Event()

    class End(keras.callbacks.Callback):
        def on_train_end(self, logs=None):
            is_over.set()

    def fail(self, target, content, fields):
        assert is_over.wait(60)
        raise CheckpointWriteError(f"no room for {target.path}")

    monkeypatch.setattr(SnapshotWriter, "save", fail)
    checkpoint = ModelCheckpoint(tmp_path / "{epoch}.keras", save_on_background=True)
    with (
        pytest.warns(CheckpointWarning, match=r"later save ended in an error as well: .*2\.keras"),
        pytest.raises(CheckpointWriteError, match=r"^no room for .*1\.keras$"),
    ):
        train(shared_model, End(), checkpoint, epochs=2)


class Moody(keras.layers.Dense):
    """A layer whose saving is interrupted when it is in the mood."""

    mood: BaseException | None = None

    def get_config(self):
        if self.mood is not None:
            raise self.mood
        return super().get_config()


@pytest.mark.parametrize("error", [KeyboardInterrupt(), ValueError("no")], ids=["ctrl-c", "bug"])
def test_a_save_that_was_interrupted_leaves_no_bar_for_the_next_fit(tmp_path, error):
    layer = Moody(1)
    model = keras.Sequential([keras.Input((3,)), layer])
    model.compile(optimizer="sgd", loss="mse")
    checkpoint = ModelCheckpoint(tmp_path / "{val_loss}.keras", save_best_only=True)
    layer.mood = error
    with pytest.raises(type(error)):
        train(model, Script(val_loss=[0.1]), checkpoint)
    layer.mood = None
    assert (checkpoint.best, training.names_in(tmp_path)) == (None, [])
    train(model, Script(val_loss=[0.5]), checkpoint)
    assert checkpoint.best == 0.5
    assert training.files(tmp_path) == ["0.5.keras"]


def test_a_directory_that_is_deleted_in_training_is_an_error_and_not_made_again(
    tmp_path, shared_model
):
    """A directory that was removed, or a lost mount, must be reported."""
    place = tmp_path / "run"
    saving = ModelCheckpoint(place / "{epoch}.keras")
    remove = training.At(1, lambda: shutil.rmtree(place))
    with pytest.raises(CheckpointWriteError, match="No such file or directory") as caught:
        training.train(shared_model, remove, saving, epochs=2)
    assert str(place / "2.keras") in str(caught.value)
    assert training.names_in(tmp_path) == []
