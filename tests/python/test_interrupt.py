"""Signals: the first ends training with a checkpoint, the second at once, then all is as before."""

import copy
import os
import pickle
import signal
import threading

import pytest

from kerascheckpoint import CheckpointWarning, ModelCheckpoint, list_checkpoints
from kerascheckpoint.interrupt import InterruptWatch

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


def test_a_loop_of_ones_own_is_watched_until_it_says_that_it_ends(tmp_path, shared_model, received):
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
