"""A resumed run is the run that never stopped, with what people pass to `fit`.

Each cell of the table trains once without a stop, and once in two parts with all objects made anew
in between, as in a new process, and with another seed in the second part. Then weights, optimizer,
history and every file that was written after the stop have to be the same.
"""

import itertools
from typing import Any

import keras
import numpy as np
import pytest

from kerascheckpoint import ModelCheckpoint, list_checkpoints
from support import small_files, training
from support.small_files import read_record
from support.training import arrays_of, assert_same

EPOCHS = 5
SETTINGS: dict[str, dict[str, Any]] = {
    "epoch's end": {"save_freq": "epoch"},
    "middle": {"save_freq": 3},
}


class Stop(Exception):
    """Ends a training as a crash does."""


def crash_after(count):
    """Return a callback that raises after a number of batches."""
    batches = itertools.count()

    def begin(batch, logs=None):
        if next(batches) == count:
            raise Stop

    return keras.callbacks.LambdaCallback(on_train_batch_begin=begin)


class CountsEpochs(keras.callbacks.Callback):
    """A callback of the user's, which lowers the learning rate at every second epoch."""

    def __init__(self):
        super().__init__()
        self.seen = 0

    def on_epoch_end(self, epoch, logs=None):
        self.seen += 1
        if self.seen % 2 == 0:
            optimizer = self.model.optimizer
            optimizer.learning_rate = float(np.asarray(optimizer.learning_rate)) / 2

    def state_dict(self):
        return {"seen": self.seen}

    def load_state_dict(self, state):
        self.seen = state["seen"]


def early_stopping():
    return keras.callbacks.EarlyStopping("mae", patience=3, restore_best_weights=True)


def plateau():
    return keras.callbacks.ReduceLROnPlateau("mae", patience=1, min_delta=10.0, factor=0.5)


BESIDE = {
    "none": lambda ours: [ours],
    "EarlyStopping before": lambda ours: [early_stopping(), ours],
    "EarlyStopping behind": lambda ours: [ours, early_stopping()],
    "ReduceLROnPlateau before": lambda ours: [plateau(), ours],
    "ReduceLROnPlateau behind": lambda ours: [ours, plateau()],
    "of the user's": lambda ours: [CountsEpochs(), ours],
    "two": lambda ours: [plateau(), ours, early_stopping()],
}


def fit(run, beside, seed, *others, shuffle=True, epochs=EPOCHS, **settings):
    """Train with all objects made anew; return the model and its history."""
    model = training.noisy_model()
    keras.utils.set_random_seed(seed)
    ours = ModelCheckpoint(run / "{step:03d}.keras", monitor="loss", resume=True, **settings)
    callbacks = [*others, *BESIDE[beside](ours)]
    history = training.train(
        model, *callbacks, epochs=epochs, shuffle=shuffle, validation_data=training.samples(2)
    )
    return model, history.history


def assert_files_are_equal(run, whole):
    """Assert that both runs left the same files, down to each array and metric."""
    found, expected = list_checkpoints(run), list_checkpoints(whole)
    assert [info.step for info in found] == [info.step for info in expected]
    for info, reference in zip(found, expected, strict=True):
        assert info.metrics == reference.metrics
        assert_same(small_files.read(info.path), small_files.read(reference.path))
        one, other = (continued_from(i.path) for i in (info, reference))
        assert one == other


def continued_from(path):
    """Return what a resume uses of a record, without the places of callbacks in the list."""
    found = read_record(path)
    states = found["states"]
    states["callbacks"] = [s | {"place": None} for s in states["callbacks"]["states"]]
    return found["history"], found["epochs"], states


@pytest.mark.slow
@pytest.mark.parametrize("place", SETTINGS)
@pytest.mark.parametrize(
    ("beside", "shuffle"),
    [*itertools.product(BESIDE, [True]), ("none", "batch"), ("none", False)],
)
def test_as_if_never_stopped(tmp_path, beside, shuffle, place):
    settings = {"shuffle": shuffle, **SETTINGS[place]}
    whole, history = fit(tmp_path / "whole", beside, 1, **settings)
    with pytest.raises(Stop):
        fit(tmp_path / "run", beside, 1, crash_after(9), **settings)
    resumed, resumed_history = fit(tmp_path / "run", beside, 2, **settings)
    assert resumed_history == history
    assert_same(arrays_of(resumed), arrays_of(whole))
    assert_files_are_equal(tmp_path / "run", tmp_path / "whole")


class StopsAtSecond(keras.callbacks.Callback):
    """Has no state, and ends the run at the end of the second epoch."""

    def on_epoch_end(self, epoch, logs=None):
        self.model.stop_training = epoch == 1


def impatient():
    return keras.callbacks.EarlyStopping("mae", patience=0, min_delta=10.0, baseline=0.0)


@pytest.mark.parametrize("background", [False, True])
@pytest.mark.parametrize("behind", [False, True], ids=["before", "behind"])
@pytest.mark.parametrize("stopping", [impatient, StopsAtSecond])
def test_a_run_that_was_stopped_early_is_finished(tmp_path, stopping, behind, background):
    """A script that is run again must not train four more epochs each time."""

    def again():
        ours = ModelCheckpoint(
            tmp_path / "{epoch}.keras", "loss", resume=True, save_on_background=background
        )
        both = [ours, stopping()] if behind else [stopping(), ours]
        model = training.noisy_model()
        return model, training.train(model, *both, epochs=20)

    first, history = again()
    assert len(history.epoch) < 20
    with pytest.warns(UserWarning, match="a callback ended the run there"):
        second, repeated = again()
    assert repeated.history == history.history
    assert_same(arrays_of(second), arrays_of(first))


class Patient(StopsAtSecond):
    """Ends the run as well, and has state."""

    def state_dict(self):
        return {"epochs": 1}

    def load_state_dict(self, state):
        pass


def best_restored():
    return keras.callbacks.EarlyStopping(
        "mae", patience=1, min_delta=10.0, restore_best_weights=True
    )


@pytest.mark.parametrize(
    ("stopping", "behind", "said"),
    [
        (best_restored, True, "a callback ended the run there"),
        (best_restored, False, "a callback ended the run there"),
        (Patient, True, r"\(Patient\) had ended the run, so one more batch is trained: put it"),
        (StopsAtSecond, True, "what the callback StopsAtSecond did at the end of epoch 2 is not"),
    ],
)
def test_a_kill_before_the_file_says_that_the_run_is_finished(tmp_path, stopping, behind, said):
    """The file of an epoch is written before the callbacks behind ours are called."""

    def again(run, *others):
        ours = ModelCheckpoint(run / "{epoch}.keras", "loss", resume=True)
        both = [ours, stopping()] if behind else [stopping(), ours]
        model = training.noisy_model()
        return model, training.train(model, *both, *others, epochs=3)

    class Killed(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            if self.model.stop_training:
                raise Stop

    whole, history = again(tmp_path / "whole")
    with pytest.raises(Stop):
        again(tmp_path / "run", Killed())
    with pytest.warns(UserWarning, match=said):
        resumed, resumed_history = again(tmp_path / "run")
    if stopping is best_restored:
        assert resumed_history.history == history.history
        assert_same(arrays_of(resumed), arrays_of(whole))


@pytest.mark.parametrize("behind", [False, True], ids=["before", "behind"])
def test_a_run_with_all_its_epochs_ends_with_the_best_weights_again(tmp_path, behind):
    def again():
        ours = ModelCheckpoint(tmp_path / "{epoch}.keras", "loss", resume=True)
        stopping = keras.callbacks.EarlyStopping(
            "mae", patience=9, min_delta=10.0, restore_best_weights=True
        )
        model = training.noisy_model()
        training.train(model, *([ours, stopping] if behind else [stopping, ours]), epochs=2)
        return arrays_of(model)

    first = again()
    with pytest.warns(UserWarning, match="nothing to train"):
        assert_same(again(), first)


def test_a_callback_with_unsaved_state_is_named_once(tmp_path):
    class Forgetful(keras.callbacks.Callback):
        def __init__(self):
            super().__init__()
            self.seen = 0

        def on_epoch_end(self, epoch, logs=None):
            self.seen += 1

    ours = ModelCheckpoint(tmp_path / "{epoch}.keras", monitor="loss", resume=True)
    with pytest.warns(UserWarning, match=r"Forgetful changed its attributes seen .*state_dict\(\)"):
        training.train(training.tiny_model(), Forgetful(), ours, epochs=3)


@pytest.mark.filterwarnings("error::kerascheckpoint.CheckpointWarning")
def test_a_subclass_of_our_own_callback_is_not_named_for_what_ours_changes(tmp_path):
    class Uploading(ModelCheckpoint):
        """Has nothing of its own that changes."""

        def __init__(self, path, **settings):
            self.bucket = "models"
            super().__init__(path, **settings)

    for epochs in (2, 3):
        ours = Uploading(tmp_path / "{epoch}.keras", monitor="loss", resume=True, save_freq=3)
        training.train(training.tiny_model(), ours, epochs=epochs)


def test_batches_that_are_passed_over_are_not_shown_to_other_callbacks(tmp_path):
    class Watch(keras.callbacks.Callback):
        def __init__(self):
            super().__init__()
            self.seen = []

        def on_train_batch_begin(self, batch, logs=None):
            self.seen.append(("begin", batch))

        def on_train_batch_end(self, batch, logs=None):
            self.seen.append(("end", batch))

        def get_state(self):
            return None

        def set_state(self, state):
            pass

    def ours():
        return ModelCheckpoint(tmp_path / "{step}.keras", save_freq=3, monitor="loss", resume=True)

    with pytest.raises(Stop):
        training.train(training.tiny_model(), crash_after(3), ours())
    watch = Watch()
    training.train(training.tiny_model(), watch, ours())
    assert watch.seen == [("begin", 3), ("end", 3)]
