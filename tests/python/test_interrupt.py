"""Signals: the first ends training with a checkpoint, the second at once, then all is as before."""

import copy
import ctypes
import os
import pickle
import signal
import subprocess
import sys
import threading

import pytest

from kerascheckpoint import CheckpointWarning, ModelCheckpoint, list_checkpoints
from kerascheckpoint.interrupt import InterruptWatch, end_finished

SIGNALS = [signal.SIGINT, signal.SIGTERM]


class Training:
    """Stands for a model in training: whoever looks for a `fit` of it finds one on the stack."""

    def fit(self, action):
        return action()


def send(number):
    os.kill(os.getpid(), number)


@pytest.fixture
def received():
    """Collects the signals that reach the handlers that were there before."""
    numbers = []
    earlier = {each: signal.signal(each, lambda n, frame: numbers.append(n)) for each in SIGNALS}
    yield numbers
    for number, handler in earlier.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", SIGNALS)
def test_the_first_signal_is_a_wish_and_the_second_goes_where_it_went_before(received, number):
    watch, model = InterruptWatch(), Training()
    watch.begin(model)
    model.fit(lambda: send(number))
    assert (watch.requested, received) == (True, [])
    model.fit(lambda: send(number))
    assert received == [number]


def test_at_the_end_the_earlier_handlers_are_back(received):
    before = [signal.getsignal(number) for number in SIGNALS]
    watch = InterruptWatch()
    watch.begin(Training())
    assert [signal.getsignal(number) for number in SIGNALS] != before
    watch.end()
    assert [signal.getsignal(number) for number in SIGNALS] == before


def test_after_a_fit_that_raised_a_signal_is_not_swallowed(received):
    watch = InterruptWatch()
    watch.begin(Training())
    send(signal.SIGTERM)
    assert (watch.requested, received) == (False, [signal.SIGTERM])


TWO_AT_ONCE = """
import _thread, signal
from kerascheckpoint.interrupt import InterruptWatch

signal.signal(signal.SIGINT, lambda *_: print("earlier", flush=True))
InterruptWatch().begin(object())
# In C, so that no handler runs before both are pending.
any(map(_thread.interrupt_main, (signal.SIGINT, signal.SIGTERM)))
print("still alive")
"""


def test_of_two_signals_at_once_none_is_lost():
    done = subprocess.run([sys.executable, "-c", TWO_AT_ONCE], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (-signal.SIGTERM, "earlier\n"), done.stderr


def test_a_handler_that_a_host_put_there_comes_back_though_python_knows_of_another(received):
    library = ctypes.CDLL(None)
    library.signal.restype = ctypes.c_void_p
    of_host = ctypes.cast(library.abs, ctypes.c_void_p)  # takes a number and does no harm
    library.signal(signal.SIGINT, of_host)
    assert signal.getsignal(signal.SIGINT) is not None
    watch = InterruptWatch()
    watch.begin(Training())
    watch.end()
    assert library.signal(signal.SIGINT, of_host) == of_host.value


def test_a_host_ends_the_watch_of_a_fit_that_is_over_and_of_no_other(received):
    model = Training()
    over, running, by_hand = InterruptWatch(), InterruptWatch(), InterruptWatch()
    before = signal.getsignal(signal.SIGINT)
    over.begin(Training())
    running.begin(model)
    by_hand.begin(Training(), in_fit=False)
    model.fit(end_finished)
    assert (over.model, running.model) == (None, model)
    end_finished()
    assert running.model is None
    assert by_hand.model is not None
    by_hand.end()
    assert signal.getsignal(signal.SIGINT) is before


def test_a_handler_that_somebody_else_put_there_meanwhile_stays(received):
    watch, other = InterruptWatch(), lambda number, frame: None
    watch.begin(Training())
    signal.signal(signal.SIGINT, other)
    watch.end()
    assert signal.getsignal(signal.SIGINT) is other


def test_the_fit_of_another_model_is_none_of_its_business(received):
    watch = InterruptWatch()
    watch.begin(Training())
    Training().fit(lambda: send(signal.SIGINT))
    assert (watch.requested, received) == (False, [signal.SIGINT])


def test_each_run_begins_without_a_wish_and_never_stacks_handlers(received):
    watch, model = InterruptWatch(), Training()
    watch.begin(model)
    model.fit(lambda: send(signal.SIGINT))
    watch.begin(model)
    assert not watch.requested
    watch.end()
    send(signal.SIGINT)
    assert received == [signal.SIGINT]


def test_ignored_signals_are_ignored_again_afterwards():
    before = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        watch = InterruptWatch()
        watch.begin(Training())
        watch.end()
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGTERM, before)


def test_on_another_thread_it_says_that_it_cannot_work():
    caught = []

    def train():
        with pytest.warns(CheckpointWarning, match="signals reach the main thread only") as found:
            InterruptWatch().begin(Training())
        caught.extend(found)

    thread = threading.Thread(target=train)
    thread.start()
    thread.join()
    assert len(caught) == 1


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda each: pickle.loads(pickle.dumps(each))])
def test_a_copy_watches_for_itself(copied, received):
    watch = InterruptWatch()
    watch.begin(Training())
    assert not copied(watch).requested
    watch.end()


def test_a_custom_loop_is_watched_until_on_train_end(tmp_path, shared_model, received):
    saving = ModelCheckpoint(tmp_path / "m.keras", save_on_interrupt=True)
    saving.set_model(shared_model)
    saving.on_train_begin()
    saving.on_train_batch_end(0)
    os.kill(os.getpid(), signal.SIGINT)
    saving.on_train_batch_end(1)
    (info,) = list_checkpoints(tmp_path)
    assert (info.reason, info.step) == ("interrupt", 2)
    assert shared_model.stop_training
    saving.on_train_end()
    os.kill(os.getpid(), signal.SIGINT)
    assert received == [signal.SIGINT]
