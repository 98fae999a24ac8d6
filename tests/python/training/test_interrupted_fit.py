"""A signal ends a real `fit` with a checkpoint, from which the run can resume."""

import os
import signal
import subprocess
import sys

import pytest

from kerascheckpoint import (
    ModelCheckpoint,
    list_checkpoints,
)
from support import training
from support.resuming import assert_as_if_never_stopped, checkpoint_at, fitted
from support.small_files import read_record
from support.training import At, Script, train

VICTIM = """
import os, signal, sys
import keras
from support import training
from kerascheckpoint import ModelCheckpoint

directory, number, epoch, batch, times, suffix, best_only = sys.argv[1:]
number, epoch, batch, times = int(number), int(epoch), int(batch), int(times)
earlier = lambda *_: print("earlier", flush=True)
for each in (signal.SIGINT, signal.SIGTERM):
    signal.signal(each, signal.default_int_handler if each == signal.SIGINT else signal.SIG_DFL)
before = [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)]

def send():
    for _ in range(times):
        os.kill(os.getpid(), number)

checkpoint = ModelCheckpoint(
    f"{directory}/m{suffix}", "loss",
    save_weights_only=suffix != ".keras", save_on_interrupt=True, resume=True,
    save_best_only=bool(int(best_only)),
)
at = training.At(epoch, send, batch if batch >= 0 else None)
model = training.noisy_model()
history = training.train(model, at, checkpoint, epochs=4, steps=5)
after = [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)]
print("returned", before == after, len(history.epoch), model.stop_training, flush=True)
"""


def victim(directory, number, epoch, batch, times=1, suffix=".keras", best_only=0):
    """Train in a process of its own that gets a signal after a batch (-1: after the epoch)."""
    arguments = (directory, int(number), epoch, batch, times, suffix, best_only)
    search = os.pathsep.join([os.path.dirname(training.__file__), os.environ["PYTHONPATH"]])
    return subprocess.run(
        [sys.executable, "-c", VICTIM, *map(str, arguments)],
        env=os.environ | {"PYTHONPATH": search},
        capture_output=True,
        text=True,
        timeout=240,
    )


@pytest.mark.parametrize(
    ("number", "suffix"), [(signal.SIGINT, ".keras"), (signal.SIGTERM, ".weights.h5")]
)
def test_a_signal_ends_training_with_a_checkpoint_to_resume_from(
    tmp_path, uninterrupted, number, suffix
):
    done = victim(tmp_path, number, 1, 2, suffix=suffix)
    assert (done.returncode, done.stdout.splitlines()) == (0, ["returned True 2 True"]), done.stderr
    (info,) = list_checkpoints(tmp_path)
    assert (info.reason, info.epoch, info.batch, info.step) == ("interrupt", 1, 3, 8)
    model, history = fitted(checkpoint_at(tmp_path / f"m{suffix}", resume=True))
    assert_as_if_never_stopped(model, history, uninterrupted)


def test_a_second_signal_ends_at_once(tmp_path):
    done = victim(tmp_path, signal.SIGTERM, 1, 2, times=2)
    assert (done.returncode, done.stdout) == (-signal.SIGTERM, "")
    assert [info.epoch for info in list_checkpoints(tmp_path)] == [1]
    assert training.names_in(tmp_path) == ["m.keras"]


def interrupted(directory, shared_model, epoch, batch, **settings):
    """Train in this process with a signal to itself; return the callback."""
    checkpoint = ModelCheckpoint(directory / "m.keras", save_on_interrupt=True, **settings)
    send = At(epoch, lambda: os.kill(os.getpid(), signal.SIGTERM), batch)
    before = signal.getsignal(signal.SIGTERM)
    train(shared_model, Script(val_loss=[0.5, 0.4, 0.3]), send, checkpoint, epochs=3)
    assert signal.getsignal(signal.SIGTERM) is before
    return checkpoint


def test_a_signal_at_an_epochs_end_needs_no_second_save(tmp_path, shared_model):
    interrupted(tmp_path, shared_model, 1, None)
    (info,) = list_checkpoints(tmp_path)
    assert (info.reason, info.epoch, info.batch) == ("interrupt", 2, 0)


def test_the_state_of_an_interrupt_does_not_replace_the_best(tmp_path, shared_model):
    interrupted(tmp_path, shared_model, 1, 1, save_best_only=True)
    assert training.names_in(tmp_path) == ["m.interrupt.keras", "m.keras"]
    best, last = list_checkpoints(tmp_path)
    assert (best.reason, best.value, best.best) == ("epoch", 0.5, True)
    assert (last.reason, last.epoch, last.batch) == ("interrupt", 1, 2)
    fields = read_record(last.path)
    assert (fields["best_value"], fields["best_name"]) == (0.5, "m.keras")


def test_a_resume_from_an_interrupt_beside_the_best_knows_the_best(tmp_path, shared_model):
    interrupted(tmp_path, shared_model, 1, 1, save_best_only=True)
    resumed = ModelCheckpoint(tmp_path / "m.keras", save_best_only=True, resume=True)
    train(shared_model, Script(val_loss=[9, 0.6, 0.7]), resumed, epochs=3)
    assert (resumed.best, resumed.best_filepath) == (0.5, str(tmp_path / "m.keras"))
    assert list_checkpoints(tmp_path / "m.keras")[0].value == 0.5


def test_a_fit_that_raised_restores_the_earlier_signal_handlers(tmp_path, shared_model):
    received = []
    before = signal.signal(signal.SIGTERM, lambda *_: received.append(1))
    try:
        checkpoint = ModelCheckpoint(tmp_path / "m.keras", save_on_interrupt=True)
        with pytest.raises(training.Stop):
            train(shared_model, checkpoint, At(0, training.stop))
        os.kill(os.getpid(), signal.SIGTERM)
        assert received == [1]
    finally:
        signal.signal(signal.SIGTERM, before)
