"""When `ModelCheckpoint` saves: epochs, batches, time, and loops of the user's own."""

import warnings
from datetime import timedelta

import keras
import numpy as np
import pytest

from kerascheckpoint import (
    CheckpointWarning,
    ModelCheckpoint,
    list_checkpoints,
)
from support import training
from support.training import Script, train


@pytest.mark.parametrize("suffix", [".keras", ".weights.h5"])
def test_each_epoch_is_saved_after_its_validation(tmp_path, shared_model, suffix):
    path = tmp_path / f"{{epoch}}{suffix}"
    checkpoint = ModelCheckpoint(path, save_weights_only=suffix != ".keras")
    history = train(shared_model, checkpoint, epochs=3, validation_split=0.25)
    infos = list_checkpoints(tmp_path)
    assert training.places(tmp_path) == [("epoch", 1, 0, 3), ("epoch", 2, 0, 6), ("epoch", 3, 0, 9)]
    assert [info.metrics["val_loss"] for info in infos] == history.history["val_loss"]
    assert [info.metrics["loss"] for info in infos] == history.history["loss"]
    assert checkpoint.last_filepath == str(tmp_path / f"3{suffix}")


@pytest.mark.parametrize(
    ("save_freq", "epochs", "saved"),
    [
        (3, 2, [("batch", 0, 3, 3), ("batch", 1, 2, 6), ("train_end", 2, 0, 8)]),
        (np.int64(4), 2, [("batch", 0, 4, 4), ("batch", 1, 4, 8)]),
        (5.0, 1, [("train_end", 1, 0, 4)]),
        (100, 2, [("train_end", 2, 0, 8)]),
        (timedelta(days=1), 1, [("train_end", 1, 0, 4)]),
    ],
    ids=str,
)
def test_batches_are_counted_over_the_run_and_its_end_is_saved(
    tmp_path, shared_model, save_freq, epochs, saved
):
    train(
        shared_model, ModelCheckpoint(tmp_path / "{step}.keras", save_freq=save_freq), epochs=epochs
    )
    assert training.places(tmp_path) == saved


def test_a_time_that_is_always_over_saves_at_every_batch(tmp_path, shared_model):
    save_freq = timedelta(microseconds=1)
    train(shared_model, ModelCheckpoint(tmp_path / "{step}.keras", save_freq=save_freq))
    assert training.places(tmp_path) == [("time", 0, step, step) for step in (1, 2, 3, 4)]


def several_steps_model():
    if keras.config.backend() == "torch":
        pytest.skip("PyTorch runs one step per execution")
    return training.tiny_model(steps_per_execution=4)


@pytest.mark.parametrize("steps", [20, 10])
def test_several_steps_per_execution_save_at_the_first_chance(tmp_path, steps):
    model = several_steps_model()
    train(model, ModelCheckpoint(tmp_path / "{step}.keras", save_freq=5), steps=steps)
    due = [8, 12, 16, 20] if steps == 20 else [8, 10]
    assert [info.step for info in list_checkpoints(tmp_path)] == due


def test_several_steps_per_execution_are_all_counted_when_epochs_are_saved(tmp_path):
    model = several_steps_model()
    train(model, ModelCheckpoint(tmp_path / "{epoch}.keras"), epochs=2, steps=10)
    assert training.places(tmp_path) == [("epoch", 1, 0, 10), ("epoch", 2, 0, 20)]


def of_unknown_length():
    """Return data whose epochs Keras cannot count before they end: eight batches each."""
    x, y = training.samples(steps=8)
    if keras.config.backend() == "torch":
        import torch

        class Stream(torch.utils.data.IterableDataset):
            def __iter__(self):
                yield from zip(x, y, strict=True)

        return torch.utils.data.DataLoader(Stream(), batch_size=training.BATCH)
    tf = pytest.importorskip("tensorflow")
    data = tf.data.Dataset.from_tensor_slices((x, y)).batch(training.BATCH)
    return data.filter(lambda *_: True)


@pytest.mark.parametrize("save_freq", ["epoch", 3])
def test_data_of_unknown_length_are_counted_as_they_come(tmp_path, shared_model, save_freq):
    checkpoint = ModelCheckpoint(tmp_path / "{step}.keras", save_freq=save_freq)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*ran out of data.*")
        settings = {"epochs": 3, "shuffle": False, "verbose": 0}
        shared_model.fit(of_unknown_length(), callbacks=[checkpoint], **settings)
    steps = [8, 16, 24] if save_freq == "epoch" else [3, 6, 9, 12, 15, 18, 21, 24]
    assert [info.step for info in list_checkpoints(tmp_path)] == steps


@pytest.mark.parametrize(
    "save_freq", [0, -1, True, 2.5, "Epoch", "batch", None, timedelta(0)], ids=repr
)
def test_a_wrong_frequency_is_refused_at_once_in_keras_words(save_freq):
    with pytest.raises(ValueError, match=r'^Unrecognized save_freq: .*"epoch", a whole number'):
        ModelCheckpoint("m.keras", save_freq=save_freq)


def test_a_second_fit_counts_again_and_remembers_the_best(tmp_path, shared_model):
    checkpoint = ModelCheckpoint(tmp_path / "{epoch}-{step}.keras", save_best_only=True)
    train(shared_model, Script(val_loss=[0.5]), checkpoint)
    train(shared_model, Script(val_loss=[0.6, 0.4]), checkpoint, epochs=2)
    assert training.files(tmp_path) == ["1-4.keras", "2-8.keras"]
    assert checkpoint.best == 0.4


def test_another_model_has_to_beat_the_best_and_one_warning_says_whose(tmp_path, shared_model):
    checkpoint = ModelCheckpoint(tmp_path / "m.keras", save_best_only=True)
    train(shared_model, Script(val_loss=[0.1]), checkpoint)
    with pytest.warns(CheckpointWarning, match="only if it beats .* val_loss, 0.1") as said:
        train(training.tiny_model(), Script(val_loss=[0.5]), checkpoint)
    assert len(training.texts(said)) == 1
    assert (checkpoint.best, list_checkpoints(tmp_path)[0].value) == (0.1, 0.1)
    checkpoint.best = None
    train(training.tiny_model(), Script(val_loss=[0.5]), checkpoint)
    assert (checkpoint.best, list_checkpoints(tmp_path)[0].value) == (0.5, 0.5)


@pytest.mark.parametrize(
    ("settings", "needed"),
    [
        ({}, False),
        ({"save_best_only": True}, False),
        ({"save_on_background": True}, False),
        ({"resume": True}, False),
        ({"save_freq": 3}, True),
        ({"save_freq": timedelta(1)}, True),
        ({"save_on_interrupt": True}, True),
    ],
    ids=str,
)
def test_batch_ends_are_asked_for_only_when_needed_so_that_dispatch_stays_asynchronous(
    tmp_path, settings, needed
):
    checkpoint = ModelCheckpoint(tmp_path / "m.keras", **settings)
    empty = keras.callbacks.Callback.on_train_batch_end.__get__(checkpoint)
    assert (checkpoint.on_train_batch_end != empty) is needed


@pytest.mark.parametrize("announced", [True, False])
def test_a_custom_loop_calls_the_hooks_itself(tmp_path, shared_model, announced):
    checkpoint = ModelCheckpoint(tmp_path / "{epoch}-{step}.keras", save_freq=2)
    checkpoint.set_model(shared_model)
    checkpoint.on_train_begin()
    for epoch in range(2):
        if announced:
            checkpoint.on_epoch_begin(epoch)
        for batch in range(3):
            checkpoint.on_train_batch_begin(batch)
            checkpoint.on_train_batch_end(batch)
        checkpoint.on_epoch_end(epoch)
    checkpoint.on_train_end()
    assert [info.step for info in list_checkpoints(tmp_path)] == [2, 4, 6]
    assert training.files(tmp_path) == ["1-2.keras", "2-4.keras", "2-6.keras"]


def test_a_custom_loop_without_logs_saves_its_epochs(tmp_path, shared_model):
    checkpoint = ModelCheckpoint(tmp_path / "{epoch}.keras")
    checkpoint.set_model(shared_model)
    checkpoint.on_train_begin()
    for epoch in range(2):
        checkpoint.on_epoch_end(epoch)
    checkpoint.on_train_end()
    assert [(info.epoch, info.metrics) for info in list_checkpoints(tmp_path)] == [(1, {}), (2, {})]


def test_a_custom_loop_counts_every_batch(tmp_path, shared_model):
    saving = ModelCheckpoint(tmp_path / "{epoch}-{batch}-{step}.keras")
    saving.set_model(shared_model)
    saving.on_train_begin()
    for epoch in range(2):
        saving.on_epoch_begin(epoch)
        for batch in range(3):
            saving.on_train_batch_begin(batch)
            saving.on_train_batch_end(batch)
        saving.on_epoch_end(epoch)
    saving.on_train_end()
    assert training.names_in(tmp_path) == ["1-3-3.keras", "2-3-6.keras"]


class Synced(keras.Sequential):
    """A model that counts how often Keras puts the state of training back into it on JAX."""

    times = 0

    def jax_state_sync(self):
        self.times += 1
        super().jax_state_sync()


@pytest.mark.skipif(keras.backend.backend() != "jax", reason="only JAX keeps the state elsewhere")
@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"save_freq": 1000},
        {"save_freq": timedelta(days=1)},
        {"save_freq": lambda epoch, batch, logs: False},
        {"save_on_interrupt": ("SIGUSR1",)},
    ],
    ids=["epoch", "batches", "time", "function", "signals"],
)
def test_a_batch_without_a_save_leaves_the_state_of_training_where_it_is(tmp_path, settings):
    times = []
    for steps in (3, 12):
        model = Synced([keras.Input((2,)), keras.layers.Dense(1)])
        model.compile("sgd", "mse")
        x = np.ones((steps, 2), "float32")
        saving = ModelCheckpoint(tmp_path / "m.keras", **settings)
        model.fit(x, x[:, :1], batch_size=1, verbose=0, callbacks=[saving])
        times.append(model.times)
    assert times[0] == times[1] > 0
