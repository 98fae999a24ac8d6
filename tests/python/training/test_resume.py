"""Resume: a resumed training must end exactly like one that never stopped."""

import os
import threading

import keras
import pytest

from kerascheckpoint import (
    CheckpointWarning,
    list_checkpoints,
)
from kerascheckpoint.keras_seam.private import VERSION
from support import training
from support.resuming import assert_as_if_never_stopped, checkpoint_at, fitted
from support.training import At, arrays_of, assert_same, noisy_model, train


@pytest.mark.parametrize(
    ("suffix", "background"), [(".keras", False), (".weights.h5", False), (".keras", True)]
)
def test_from_an_epochs_end_bit_for_bit(tmp_path, uninterrupted, suffix, background):
    path = tmp_path / f"{{epoch}}{suffix}"
    fitted(checkpoint_at(path, save_on_background=background), epochs=2)
    keras.utils.set_random_seed(99)
    resumed = checkpoint_at(path, resume=True, save_on_background=background)
    model, history = fitted(resumed)
    assert_as_if_never_stopped(model, history, uninterrupted)
    assert [(i.epoch, i.step) for i in list_checkpoints(tmp_path)] == [
        (1, 5),
        (2, 10),
        (3, 15),
        (4, 20),
    ]


@pytest.mark.parametrize(
    ("suffix", "stopped_after"),
    [(".keras", 1), (".weights.h5", 3), (".keras", 5), (".weights.h5", 7), (".keras", 10)],
)
def test_from_the_middle_of_an_epoch_bit_for_bit(tmp_path, uninterrupted, suffix, stopped_after):
    path = tmp_path / f"m{suffix}"
    epoch, batch = divmod(stopped_after - 1, 5)
    with pytest.raises(training.Stop):
        fitted(checkpoint_at(path, save_freq=1), At(epoch, training.stop, batch))
    (info,) = list_checkpoints(tmp_path)
    assert (info.epoch, info.batch, info.step) == (epoch, batch + 1, stopped_after)
    keras.utils.set_random_seed(99)
    model, history = fitted(checkpoint_at(path, save_freq=1, resume=True))
    assert_as_if_never_stopped(model, history, uninterrupted)
    assert list_checkpoints(tmp_path)[0].step == 20


def test_with_validation_the_history_is_whole_as_well(tmp_path):
    model, history = fitted(steps=8, validation_split=0.25, validation_freq=2)
    expected = arrays_of(model), history.history
    assert len(history.history["val_loss"]) == 2
    settings = {"steps": 8, "validation_split": 0.25, "validation_freq": 2}
    with pytest.raises(training.Stop):
        fitted(
            checkpoint_at(tmp_path / "m.keras", save_freq=5), At(2, training.stop, 4), **settings
        )
    model, history = fitted(checkpoint_at(tmp_path / "m.keras", resume=True), **settings)
    arrays, logs = expected
    assert_same(arrays_of(model), arrays)
    assert {name: list(map(float, values)) for name, values in history.history.items()} == {
        name: list(map(float, values)) for name, values in logs.items()
    }


class Seen(keras.callbacks.Callback):
    """Notes after which trained step count each batch ended."""

    def __init__(self):
        super().__init__()
        self.steps = []

    def on_train_batch_end(self, batch, logs=None):
        self.steps.append(training.steps_of(self.model))

    def state_dict(self):
        return {}

    def load_state_dict(self, state):
        pass


def test_no_batch_is_trained_twice(tmp_path):
    path = tmp_path / "m.keras"
    with pytest.raises(training.Stop):
        fitted(checkpoint_at(path, save_freq=1), At(0, training.stop, 2))
    seen = Seen()
    fitted(checkpoint_at(path, resume=True), seen, epochs=1)
    assert seen.steps == [4, 5]  # skipped batches reach no callback


@pytest.mark.parametrize("background", [False, True])
@pytest.mark.filterwarnings("ignore:saves come faster than they can be written")
def test_a_resume_from_an_epochs_last_batch_keeps_saving(tmp_path, shared_model, background):
    path = tmp_path / "{step}.keras"
    settings = {"save_freq": training.STEPS // 2, "resume": True, "save_on_background": background}
    train(shared_model, checkpoint_at(path, **settings), epochs=1)
    train(shared_model, checkpoint_at(path, **settings), epochs=3)
    places = [(info.epoch, info.batch) for info in list_checkpoints(tmp_path)]
    assert places == [
        (epoch, batch) for epoch in range(3) for batch in (training.STEPS // 2, training.STEPS)
    ]


def test_it_can_be_stopped_and_resumed_again_and_again(tmp_path, uninterrupted):
    path = tmp_path / "m.keras"
    for epoch, batch in ((0, 1), (1, 0), (2, 4), (3, 3)):
        with pytest.raises(training.Stop):
            fitted(checkpoint_at(path, save_freq=1, resume=True), At(epoch, training.stop, batch))
    model, history = fitted(checkpoint_at(path, resume=True))
    assert_as_if_never_stopped(model, history, uninterrupted)


@pytest.mark.parametrize(
    ("suffix", "stopped_after"), [(".keras", 4), (".weights.h5", 8), (".keras", 10)]
)
def test_with_several_steps_per_execution(tmp_path, suffix, stopped_after):
    if keras.config.backend() == "torch":
        pytest.skip("PyTorch runs one step per execution")
    settings = {"steps": 10, "epochs": 2}
    model, history = fitted(model=noisy_model(steps_per_execution=4), **settings)
    expected = arrays_of(model), history.history
    path = tmp_path / f"m{suffix}"
    with pytest.raises(training.Stop):
        fitted(
            checkpoint_at(path, save_freq=1),
            At(1, training.stop, stopped_after - 1),
            model=noisy_model(steps_per_execution=4),
            **settings,
        )
    assert list_checkpoints(tmp_path)[0].step == 10 + stopped_after
    resumed = checkpoint_at(path, save_freq=1, resume=True)
    model, history = fitted(resumed, model=noisy_model(steps_per_execution=4), **settings)
    assert_as_if_never_stopped(model, history, expected)


def test_nothing_there_trains_from_the_start(tmp_path, uninterrupted):
    model, history = fitted(checkpoint_at(tmp_path / "run" / "m.keras", resume=True))
    assert_as_if_never_stopped(model, history, uninterrupted)


def test_a_stock_file_is_never_resumed_from(tmp_path, uninterrupted):
    noisy_model().save(tmp_path / "0.keras")
    with pytest.warns(
        CheckpointWarning, match=r"only files without a record.*0\.keras.*from the beg"
    ):
        model, history = fitted(checkpoint_at(tmp_path / "{epoch}.keras", resume=True))
    assert_as_if_never_stopped(model, history, uninterrupted)


@pytest.mark.parametrize("epochs", [1, 2])
def test_finished_training_is_left_alone_with_a_warning(tmp_path, capsys, epochs):
    path = tmp_path / "{epoch}.keras"
    model, history = fitted(checkpoint_at(path), epochs=2)
    other = noisy_model()
    with pytest.warns(CheckpointWarning, match="2 epochs already") as caught:
        _, again = fitted(checkpoint_at(path, resume=True), epochs=epochs, model=other)
    assert len(training.texts(caught)) == 1
    assert capsys.readouterr().out == ""
    assert_same(arrays_of(other), arrays_of(model))
    assert again.history == history.history
    assert [info.epoch for info in list_checkpoints(tmp_path)] == [1, 2]


@pytest.mark.parametrize("given", [{"initial_epoch": 3}, {}])
def test_the_epoch_of_the_file_is_used_instead_of_initial_epoch(
    tmp_path, uninterrupted, capsys, given
):
    path = tmp_path / "m.keras"
    fitted(checkpoint_at(path), epochs=2)
    resumed = checkpoint_at(path, resume=True, verbose=1)
    model, history = fitted(resumed, **given)
    assert_as_if_never_stopped(model, history, uninterrupted)
    said = capsys.readouterr().out
    assert f"Resuming after epoch 2, batch 0, from {path}" in said
    assert ("fit's initial_epoch=3 is ignored" in said) == bool(given)
    assert ("initial_epoch" in said) == bool(given)


def test_a_resume_from_the_first_epochs_middle_ignores_initial_epoch_too(tmp_path, uninterrupted):
    path = tmp_path / "m.keras"
    with pytest.raises(training.Stop):
        fitted(checkpoint_at(path, save_freq=1), At(0, training.stop, 2))
    model, history = fitted(checkpoint_at(path, resume=True), initial_epoch=2)
    assert_as_if_never_stopped(model, history, uninterrupted)


@pytest.mark.parametrize("done", [False, True])
@pytest.mark.filterwarnings("ignore:.*epochs already")
def test_no_trace_is_left_on_the_model(tmp_path, done):
    path = tmp_path / "m.keras"
    model, _ = fitted(checkpoint_at(path), epochs=2)
    fitted(checkpoint_at(path, resume=True), epochs=2 if done else 3, model=model)
    before = training.steps_of(model)
    _, history = fitted(epochs=2, model=model)
    assert history.epoch == [0, 1]
    assert training.steps_of(model) == before + 10


@pytest.mark.skipif(
    keras.config.backend() == "jax" and VERSION < (3, 10),
    reason="this Keras leaves a model on JAX without its weights when fit() raises in an epoch",
)
def test_an_error_in_the_resumed_epoch_leaves_no_trace_either(tmp_path):
    path = tmp_path / "m.keras"
    model, _ = fitted(checkpoint_at(path), epochs=2)
    with pytest.raises(training.Stop):
        fitted(checkpoint_at(path, resume=True), At(2, training.stop, 0), model=model)
    _, history = fitted(epochs=2, model=model)
    assert history.epoch == [0, 1]


def test_the_history_of_a_file_written_behind_the_training_ends_with_its_epoch(
    tmp_path, monkeypatch
):
    disk, pwrite = threading.Event(), os.pwrite
    monkeypatch.setattr(os, "pwrite", lambda *arguments: disk.wait(60) and pwrite(*arguments))
    slow = checkpoint_at(tmp_path / "{epoch}.keras", save_on_background=True)
    fitted(slow, At(1, disk.set), epochs=2)
    (tmp_path / "2.keras").unlink()
    _, history = fitted(checkpoint_at(tmp_path / "{epoch}.keras", resume=True), epochs=3)
    assert history.epoch == [0, 1, 2] and len(history.history["loss"]) == 3
