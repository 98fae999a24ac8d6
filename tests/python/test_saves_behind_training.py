"""When saves behind training become visible: their order, their failures, the end of `fit`.

A job that waits for an event is put into the writing thread first: it stands for a slow disk.
"""

import os
import threading
import time

import keras
import pytest
from keras import layers

from kerascheckpoint import (
    CheckpointWarning,
    CheckpointWriteError,
    list_checkpoints,
    verify_checkpoint,
)
from kerascheckpoint.formats.keras_file.writer import KerasFileWriter
from support import training
from support.background import saver

# Epochs of a millisecond are no use for the hint that a slow disk holds training up.
pytestmark = pytest.mark.filterwarnings("ignore:saves come faster")


@keras.saving.register_keras_serializable("saving")
class Odd(layers.Dense):
    """From some time on, stores in a way that only Keras' own saving serves."""

    is_odd = False

    def save_own_variables(self, store):
        super().save_own_variables(store)
        if self.is_odd:
            store.h5_file.attrs["note"] = "kept"


def test_a_save_by_keras_keeps_its_place_behind_those_before_it(hold, tmp_path, capsys):
    """Else retention would take the older file for the newest, and delete the newer one."""
    layer = Odd(1)
    model = keras.Sequential([keras.Input((3,)), layer])
    model.compile("sgd", "mse")
    saving = saver(tmp_path / "{epoch}.keras", keep_last=1, verbose=1)
    holding = hold(saving)

    class BecomeOdd(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            if epoch == 1:
                layer.is_odd = True
                threading.Timer(0.1, holding.release).start()

    losses = training.Script(loss=[2.0, 1.0])  # the best file would be kept as well
    training.train(model, losses, holding, BecomeOdd(), saving, epochs=2)
    assert training.names_in(tmp_path) == ["2.keras"]
    assert saving.last_filepath == str(tmp_path / "2.keras")
    said = capsys.readouterr().out
    assert said.index("Epoch 1: finished") < said.index("Epoch 2: finished")


def in_the_way(place):
    """Put a file where a directory was."""
    place.rmdir()
    place.write_text("in the way")


@pytest.mark.parametrize("last", [False, True], ids=["in the middle", "the last one"])
def test_a_failed_write_ends_training_at_the_next_event(last, shared_model, tmp_path):
    """The user is warned while something can still be done, at the latest when `fit` ends."""
    place = tmp_path / "place"
    saving = saver(place / "{epoch}.keras")
    reached = []
    obstacle = keras.callbacks.LambdaCallback(
        on_epoch_begin=lambda epoch, logs: in_the_way(place) if epoch == 0 else saving.wait(),
        on_epoch_end=lambda epoch, logs: reached.append(epoch),
    )
    with pytest.raises(CheckpointWriteError, match=r"1\.keras"):
        training.train(shared_model, obstacle, saving, epochs=1 if last else 5)
    assert reached == [0]
    assert saving.last_filepath is None
    saving.wait()  # it was said: not once more


def test_with_warn_training_continues_and_the_last_failure_is_reported(shared_model, tmp_path):
    place = tmp_path / "place"
    saving = saver(place / "{epoch}.keras", on_save_error="warn")
    obstacle = keras.callbacks.LambdaCallback(
        on_epoch_begin=lambda epoch, logs: in_the_way(place) if epoch == 0 else None
    )
    with pytest.warns(CheckpointWarning, match="training goes on without") as caught:
        training.train(shared_model, obstacle, saving, epochs=3)
    said = training.texts(caught)
    assert [f"{epoch}.keras" in text for epoch, text in enumerate(said, 1)] == [True] * 3


def test_best_follows_the_disk_and_not_the_intention(hold, shared_model, tmp_path):
    """As long as the file is not durable, its value is not the best that is on the disk."""
    saving = saver(tmp_path / "best.keras", monitor="score", mode="min", save_best_only=True)
    holding = hold(saving)
    seen = []

    class Look(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            seen.append((saving.best, saving.best_filepath))
            holding.release()
            saving.wait()
            seen.append((saving.best, saving.best_filepath))

    scores = training.Script(score=[0.5])
    training.train(shared_model, scores, holding, saving, Look())
    assert seen == [(None, None), (0.5, str(tmp_path / "best.keras"))]


def test_a_worse_model_does_not_pass_one_that_is_still_being_written(hold, shared_model, tmp_path):
    """The bar is the best save accepted, so the file at the end is the best."""
    saving = saver(tmp_path / "best.keras", monitor="score", mode="min", save_best_only=True)
    holding = hold(saving)
    scores = training.Script(score=[0.5, 0.7])
    release = training.At(1, holding.release)
    training.train(shared_model, scores, holding, saving, release, epochs=2)
    assert verify_checkpoint(tmp_path / "best.keras").value == 0.5
    assert saving.best == 0.5


def test_retention_deletes_only_when_the_newer_file_is_durable(hold, shared_model, tmp_path):
    """While a write is under way, the file before it is the only one there is."""
    saving = saver(tmp_path / "{epoch}.keras", keep_last=1)
    holding = hold(saving)
    seen = []

    class Look(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 1:
                holding.release()
                saving.wait()
                holding.event.clear()
                saving._saver._writer.submit(holding.event.wait, lambda error: None)

        def on_epoch_end(self, epoch, logs=None):
            seen.append(training.names_in(tmp_path))

    losses = training.Script(loss=[2.0, 1.0])  # the best file would be kept as well
    release = training.At(1, holding.release)
    training.train(shared_model, losses, holding, Look(), saving, release, epochs=2)
    assert seen == [[], ["1.keras"]]
    assert training.names_in(tmp_path) == ["2.keras"]


@pytest.mark.parametrize("save_freq", ["epoch", 1000], ids=["of an epoch", "of the end"])
def test_fit_returns_when_every_file_is_there(save_freq, shared_model, tmp_path, monkeypatch):
    """The next line of the script may load the file, however slow the disk is."""
    saving = saver(tmp_path / "{epoch}.keras", save_freq=save_freq)
    write = KerasFileWriter.write

    def write_slowly(*arguments, **settings):
        time.sleep(0.2)
        write(*arguments, **settings)

    monkeypatch.setattr(KerasFileWriter, "write", write_slowly)
    training.train(shared_model, saving, epochs=2)
    epochs = (1, 2) if save_freq == "epoch" else (2,)
    assert training.names_in(tmp_path) == [f"{epoch}.keras" for epoch in epochs]
    assert saving.last_filepath == str(tmp_path / "2.keras")


def test_what_was_accepted_before_fit_raised_is_finished_by_wait(hold, shared_model, tmp_path):
    """Keras calls no hook when training fails; the last good epoch is on its way all the same."""
    saving = saver(tmp_path / "{epoch}.keras")
    holding = hold(saving)
    with pytest.raises(training.Stop):
        training.train(shared_model, holding, saving, training.At(0, training.stop), epochs=3)
    assert training.names_in(tmp_path) == []
    holding.release()
    saving.wait()
    assert training.names_in(tmp_path) == ["1.keras"]
    assert saving.last_filepath == str(tmp_path / "1.keras")


def test_what_was_accepted_before_fit_raised_is_finished_by_the_next_fit(
    hold, shared_model, tmp_path
):
    saving = saver(tmp_path / "{epoch}.keras", save_freq="epoch")
    holding = hold(saving)
    with pytest.raises(training.Stop):
        training.train(shared_model, holding, saving, training.At(0, training.stop), epochs=3)
    holding.release()
    training.train(shared_model, saving, epochs=2)
    assert training.names_in(tmp_path) == ["1.keras", "2.keras"]


EXIT = """
import sys
from support import training
from kerascheckpoint import ModelCheckpoint

path = sys.argv[1]
saving = ModelCheckpoint(path, monitor="loss", save_on_background=True)
training.train(training.tiny_model(), saving, training.At(1, training.stop), epochs=3)
"""


def test_what_was_accepted_is_finished_when_the_script_ends_by_its_error(tmp_path):
    """An uncaught exception ends the script; the files of the epochs before it are whole."""
    template = str(tmp_path / "{epoch}.keras")
    done = training.in_python(EXIT, template, cwd=os.path.dirname(__file__))
    assert "Stop" in done.stderr
    assert [info.epoch for info in list_checkpoints(tmp_path)] == [1, 2]
    for info in list_checkpoints(tmp_path):
        verify_checkpoint(info.path)


FORK = """
import os, sys, warnings
warnings.simplefilter("ignore")
from support import training
import kerascheckpoint as kc

path = sys.argv[1]
saving = kc.ModelCheckpoint(path, monitor="loss", save_on_background=True)
codes = []


def fork():
    pid = os.fork()
    if pid == 0:
        saving.wait()
        kc.list_checkpoints(os.path.dirname(path))
        os._exit(7)
    codes.append(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))


training.train(training.tiny_model(), saving, training.At(1, fork), epochs=3)
sys.exit(0 if codes == [7] else 1)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_fork_in_the_middle_of_training_does_not_hang(tmp_path):
    """Data loaders fork when they like; neither process waits for the other's thread."""
    template = str(tmp_path / "{epoch}.keras")
    done = training.in_python(FORK, template, cwd=os.path.dirname(__file__), timeout=120)
    assert done.returncode == 0, done.stderr
    assert [info.epoch for info in list_checkpoints(tmp_path)] == [1, 2, 3]
