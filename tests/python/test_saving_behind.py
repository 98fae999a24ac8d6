"""Background saving: what was accepted is written, in order, exactly as it was, and never silently
lost."""

import copy
import os
import pickle
import subprocess
import sys
import threading
import warnings

import keras
import numpy as np
import pytest

import training
from kerascheckpoint import (
    CheckpointWarning,
    CheckpointWriteError,
    ModelCheckpoint,
    background,
    list_checkpoints,
)
from kerascheckpoint.background import BackgroundWriter

# Epochs of tiny models are shorter than a flush of the disk; one test is about what is said then.
pytestmark = pytest.mark.filterwarnings("ignore:saves come faster")


class At(keras.callbacks.Callback):
    """Calls a function at the end of one epoch."""

    def __init__(self, epoch, action):
        super().__init__()
        self.epoch, self.action = epoch, action

    def on_epoch_end(self, epoch, logs=None):
        if epoch == self.epoch:
            self.action()


def in_background(path, **settings):
    weights_only = str(path).endswith(".weights.h5")
    settings = {"save_weights_only": weights_only, "save_on_background": True} | settings
    return ModelCheckpoint(path, "loss", **settings)


def hold(checkpoint):
    """Let the writer be busy until the event that is returned is set."""
    gate = threading.Event()
    checkpoint._saver._writer.submit(gate.wait, lambda error: None)
    return gate


def test_jobs_run_in_order_and_a_third_waits_and_says_so_once():
    writer, gate, log = BackgroundWriter(), threading.Event(), []
    writer.submit(gate.wait, lambda error: log.append("first settled"))
    writer.submit(lambda: log.append("second ran"), lambda error: log.append("second settled"))
    threading.Timer(0.05, gate.set).start()
    with pytest.warns(CheckpointWarning, match="faster than they can be written") as caught:
        writer.submit(lambda: log.append("third ran"), lambda error: log.append("third settled"))
    writer.settle(wait_for_all=True)
    assert len(caught) == 1
    assert log.index("second ran") < log.index("third ran")
    assert [entry for entry in log if "settled" in entry] == [
        *("first settled", "second settled", "third settled")
    ]


@pytest.mark.parametrize("suffix", [".keras", ".weights.h5"])
def test_the_file_holds_the_state_of_its_instant(tmp_path, suffix):
    keras.utils.set_random_seed(1)
    model = training.tiny_model()
    training.train(model)
    checkpoint = in_background(tmp_path / f"m{suffix}")
    checkpoint.set_model(model)
    checkpoint.on_train_begin()
    gate = hold(checkpoint)
    reference = [np.array(weight) for weight in model.get_weights()]
    slots = [np.array(keras.ops.convert_to_numpy(v)) for v in model.optimizer.variables]
    checkpoint.on_epoch_begin(0)
    checkpoint.on_epoch_end(0, {"loss": 1.0})
    training.train(model, epochs=20)
    assert not all(
        np.array_equal(a, b) for a, b in zip(reference, model.get_weights(), strict=True)
    )
    gate.set()
    checkpoint.wait()
    model.load_weights(tmp_path / f"m{suffix}")
    assert all(np.array_equal(a, b) for a, b in zip(reference, model.get_weights(), strict=True))
    loaded = [keras.ops.convert_to_numpy(v) for v in model.optimizer.variables]
    assert all(np.array_equal(a, b) for a, b in zip(slots, loaded, strict=True))


def test_fit_returns_when_everything_is_written(tmp_path, shared_model):
    training.train(shared_model, in_background(tmp_path / "{epoch}.keras"), epochs=4)
    assert [info.epoch for info in list_checkpoints(tmp_path)] == [1, 2, 3, 4]


def test_after_a_fit_that_raised_wait_finishes(tmp_path, shared_model):
    checkpoint = in_background(tmp_path / "{epoch}.keras")

    def stop():
        raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        training.train(shared_model, checkpoint, At(1, stop), epochs=3)
    checkpoint.wait()
    assert [info.epoch for info in list_checkpoints(tmp_path)] == [1, 2]
    assert checkpoint.last_filepath == str(tmp_path / "2.keras")


def test_a_failure_is_raised_at_the_end_of_fit_at_the_latest(tmp_path, shared_model):
    checkpoint = in_background(tmp_path / "{epoch}.keras")
    (tmp_path / "3.keras").mkdir()
    with pytest.raises(CheckpointWriteError, match=r"3\.keras.*directory"):
        training.train(shared_model, checkpoint, epochs=3)
    assert checkpoint.last_filepath == str(tmp_path / "2.keras")


def test_with_warn_a_failure_is_a_warning(tmp_path, shared_model):
    checkpoint = in_background(tmp_path / "{epoch}.keras", on_save_error="warn")
    (tmp_path / "2.keras").mkdir()
    with pytest.warns(CheckpointWarning, match=r"goes on without .*2\.keras"):
        training.train(shared_model, checkpoint, epochs=3)
    assert [info.epoch for info in list_checkpoints(tmp_path)] == [1, 3]


def test_of_two_failures_the_first_is_raised_and_the_other_said():
    writer = BackgroundWriter()

    def fail(number):
        raise OSError(f"failure {number}")

    def report(error):
        raise error

    writer.submit(lambda: fail(1), report)
    writer.submit(lambda: fail(2), report)
    with pytest.warns(CheckpointWarning, match="failure 2"), pytest.raises(OSError, match="1"):
        writer.settle(wait_for_all=True)
    writer.settle(wait_for_all=True)  # and nothing is left for a later fit


def test_the_best_is_known_only_when_it_is_durable(tmp_path, shared_model):
    checkpoint = in_background(tmp_path / "m.keras", save_best_only=True)
    checkpoint.set_model(shared_model)
    checkpoint.on_train_begin()
    gate = hold(checkpoint)
    checkpoint.on_epoch_end(0, {"loss": 0.5})
    assert checkpoint.best is None
    gate.set()
    checkpoint.wait()
    assert checkpoint.best == 0.5


def test_exit_of_the_interpreter_finishes_accepted_saves(tmp_path):
    code = """
import sys
from kerascheckpoint import background
writer = background.BackgroundWriter()
def write(name):
    open(f"{sys.argv[1]}/{name}", "w").write("whole")
def fail():
    raise OSError("the last one failed")
writer.submit(lambda: write("a"), lambda error: None)
writer.submit(fail, lambda error: None)
"""
    done = subprocess.run(
        [sys.executable, "-c", code, tmp_path], capture_output=True, text=True, timeout=60
    )
    assert (tmp_path / "a").read_text() == "whole"
    assert "the last one failed" in done.stderr


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_a_fork_does_not_hang():
    writer, gate, log = BackgroundWriter(), threading.Event(), []
    writer.submit(gate.wait, lambda error: None)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # newer Pythons warn of forks beside threads
        child = os.fork()
    if child == 0:
        try:
            writer.submit(lambda: log.append("ran"), lambda error: None)
            writer.settle(wait_for_all=True)
            background.wait_all()
        finally:
            os._exit(0 if log == ["ran"] else 1)
    gate.set()
    writer.settle(wait_for_all=True)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_copies_have_a_writer_of_their_own(tmp_path, shared_model):
    checkpoint = in_background(tmp_path / "{epoch}.keras")
    for twin in (copy.deepcopy(checkpoint), pickle.loads(pickle.dumps(checkpoint))):
        training.train(shared_model, twin, epochs=2)
        assert twin.last_filepath == str(tmp_path / "2.keras")
    assert checkpoint.last_filepath is None
