"""Signals in a real `fit`: which are handled, also during validation, and what they leave."""

import os
import signal

import keras
import numpy as np
import pytest

from kerascheckpoint import ModelCheckpoint, list_checkpoints
from support import training
from support.resuming import assert_as_if_never_stopped, checkpoint_at, fitted
from support.training import At, arrays_of, train


class InValidation(keras.callbacks.Callback):
    """Sends a signal at the first batch of a validation, and counts how many follow."""

    def __init__(self, epoch, number=signal.SIGTERM):
        super().__init__()
        self.epoch, self.number, self.batches, self._now = epoch, number, 0, 0

    def on_epoch_begin(self, epoch, logs=None):
        self._now = epoch

    def on_test_batch_end(self, batch, logs=None):
        if self._now == self.epoch:
            self.batches += 1
            if batch == 0:
                os.kill(os.getpid(), self.number)


VALIDATED = {"steps": 10, "validation_split": 0.5}


@pytest.fixture(scope="module")
def validated():
    """Where two epochs with a validation end that are never stopped."""
    model, history = fitted(epochs=2, **VALIDATED)
    return arrays_of(model), history.history


@pytest.mark.parametrize("epoch", [0, 1])
def test_a_signal_during_validation_is_handled_at_its_next_batch(tmp_path, validated, epoch):
    path = tmp_path / "m.keras"
    send = InValidation(epoch)
    stopped = checkpoint_at(path, save_on_interrupt=True)
    model, _ = fitted(send, stopped, epochs=2, **VALIDATED)
    assert (send.batches, stopped.interrupted, model.stop_training) == (1, True, True)
    (info,) = list_checkpoints(tmp_path)
    assert (info.reason, info.epoch, info.batch) == ("interrupt", epoch, 5)
    resumed = checkpoint_at(path, resume=True)
    model, history = fitted(resumed, epochs=2, **VALIDATED)
    assert not resumed.interrupted
    assert_as_if_never_stopped(model, history, validated)


@pytest.mark.parametrize("given", ["SIGUSR1", ("SIGUSR1",), ["SIGTERM", "SIGUSR1"]])
def test_only_the_named_signals_end_training(tmp_path, shared_model, given):
    checkpoint = ModelCheckpoint(tmp_path / "m.keras", save_on_interrupt=given)
    before = [signal.getsignal(each) for each in (signal.SIGUSR1, signal.SIGINT)]
    heard = []

    def look():
        heard.append(signal.getsignal(signal.SIGINT) is before[1])
        os.kill(os.getpid(), signal.SIGUSR1)

    train(shared_model, At(0, look, 1), checkpoint, epochs=2)
    assert heard == [True]  # Ctrl-C is none of them
    assert checkpoint.interrupted
    assert [info.reason for info in list_checkpoints(tmp_path)] == ["interrupt"]
    assert before == [signal.getsignal(each) for each in (signal.SIGUSR1, signal.SIGINT)]


@pytest.mark.parametrize("given", ["SIGKILL", ["SIGSTOP"], "Ctrl-C", (), (15,), ("SIGTERM", 2), 3])
def test_unknown_signals_are_refused_at_once(given):
    with pytest.raises(ValueError, match=r"^save_on_interrupt must be True, False or names of sig"):
        ModelCheckpoint("m.keras", save_on_interrupt=given)


def test_two_callbacks_may_watch_for_different_signals(tmp_path, shared_model):
    first = ModelCheckpoint(tmp_path / "a.keras", save_on_interrupt="SIGUSR1")
    second = ModelCheckpoint(tmp_path / "b.keras", save_on_interrupt="SIGUSR2")
    send = At(0, lambda: os.kill(os.getpid(), signal.SIGUSR2), 1)
    train(shared_model, send, first, second, epochs=3)
    assert (first.interrupted, second.interrupted) == (False, True)
    assert training.places(tmp_path / "b.keras") == [("interrupt", 0, 3, 3)] or training.places(
        tmp_path / "b.keras"
    ) == [("interrupt", 0, 2, 2)]


def test_an_evaluation_outside_of_fit_is_none_of_its_business(tmp_path, shared_model):
    checkpoint = ModelCheckpoint(tmp_path / "m.keras", save_on_interrupt=True)
    x, y = training.samples()
    shared_model.evaluate(x, y, callbacks=[checkpoint], verbose=0)
    assert training.names_in(tmp_path) == []
    assert np.isfinite(shared_model.evaluate(x, y, verbose=0))
