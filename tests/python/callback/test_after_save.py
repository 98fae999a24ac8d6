"""What is reported about each durable file, and what happens if the listener fails."""

import os
import threading

import pytest

from kerascheckpoint import CheckpointWarning, ModelCheckpoint, list_checkpoints, verify_checkpoint
from kerascheckpoint.storage.local import LocalStagedFile
from support import training
from support.training import Script, train

pytestmark = pytest.mark.filterwarnings("ignore:saves come faster than they can be written")


@pytest.mark.parametrize("background", [False, True])
@pytest.mark.parametrize("suffix", [".keras", ".weights.h5"])
def test_each_durable_file_is_reported_on_the_main_thread(
    tmp_path, shared_model, background, suffix
):
    heard = []

    def note(info):
        assert threading.current_thread() is threading.main_thread()
        assert verify_checkpoint(info.path) == info
        heard.append(info)

    settings = {"save_on_background": background, "save_weights_only": suffix != ".keras"}
    path = tmp_path / f"{{epoch}}{suffix}"
    train(shared_model, ModelCheckpoint(path, after_save=note, **settings), epochs=3)
    assert heard == list_checkpoints(tmp_path)
    assert len(heard) == 3


def test_a_subclass_may_override_the_method_instead(tmp_path, shared_model):
    class Listening(ModelCheckpoint):
        heard = ()

        def on_checkpoint_saved(self, info):
            self.heard += (info.epoch, self.last_filepath == info.path)

    checkpoint = Listening(tmp_path / "{epoch}.keras")
    train(shared_model, checkpoint, epochs=2)
    assert checkpoint.heard == (1, True, 2, True)


@pytest.mark.parametrize("background", [False, True])
def test_a_file_that_was_moved_away_at_once_ends_no_training(
    tmp_path, shared_model, background, monkeypatch
):
    """As a program does that moves finished files to another disk."""
    heard = []
    checkpoint = ModelCheckpoint(
        tmp_path / "{epoch}.keras", save_on_background=background, after_save=heard.append
    )
    publish = LocalStagedFile.publish

    def publish_and_move(staged):
        publish(staged)
        if staged.target.endswith("1.keras"):
            os.rename(staged.target, tmp_path / "moved")

    monkeypatch.setattr(LocalStagedFile, "publish", publish_and_move)
    with pytest.warns(CheckpointWarning, match="has deleted or moved it since"):
        train(shared_model, checkpoint, epochs=2)
    assert [info.epoch for info in heard] == [2]
    assert training.names_in(tmp_path) == ["2.keras", "moved"]


def failing(info):
    raise OSError("no route to host")


# In the background, the second save may begin before the first one has ended.
@pytest.mark.filterwarnings("ignore:a later save ended")
@pytest.mark.parametrize("background", [False, True])
def test_what_it_raises_ends_training_like_a_failed_save(tmp_path, shared_model, background):
    settings = {"save_on_background": background, "save_best_only": True}
    checkpoint = ModelCheckpoint(tmp_path / "{epoch}.keras", after_save=failing, **settings)
    with pytest.raises(OSError, match="no route to host"):
        train(shared_model, Script(val_loss=[0.5, 0.4]), checkpoint, epochs=2)
    standing = list_checkpoints(tmp_path)  # what stands there is what the callback believes
    assert (checkpoint.best, checkpoint.best_filepath) == (standing[-1].value, standing[-1].path)


def test_or_is_a_warning_and_training_continues(tmp_path, shared_model):
    settings = {"on_save_error": "warn", "after_save": failing}
    with pytest.warns(
        CheckpointWarning, match="after an error in the save of .*: no route to host"
    ) as said:
        train(shared_model, ModelCheckpoint(tmp_path / "{epoch}.keras", **settings), epochs=2)
    assert sum(issubclass(each.category, CheckpointWarning) for each in said) == 2
    assert training.files(tmp_path) == ["1.keras", "2.keras"]
