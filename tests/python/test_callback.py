"""`ModelCheckpoint` in real trainings: when it saves, what is best, what files are called."""

import copy
import errno
import math
import os
import pathlib
import pickle
import shutil
import warnings
from datetime import timedelta

import keras
import numpy as np
import pytest

import kerascheckpoint
from kerascheckpoint import (
    CheckpointNameError,
    CheckpointWarning,
    CheckpointWriteError,
    ModelCheckpoint,
    list_checkpoints,
)
from support import training
from support.training import Script, train


def files(directory):
    return [os.path.basename(info.path) for info in list_checkpoints(directory)]


def places(directory):
    """Return (reason, epoch, batch, step) of each file, oldest first."""
    infos = list_checkpoints(directory)
    return [(info.reason, info.epoch, info.batch, info.step) for info in infos]


# When it saves ----------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".keras", ".weights.h5"])
def test_each_epoch_is_saved_after_its_validation(tmp_path, shared_model, suffix):
    path = tmp_path / f"{{epoch}}{suffix}"
    checkpoint = ModelCheckpoint(path, save_weights_only=suffix != ".keras")
    history = train(shared_model, checkpoint, epochs=3, validation_split=0.25)
    infos = list_checkpoints(tmp_path)
    assert places(tmp_path) == [("epoch", 1, 0, 3), ("epoch", 2, 0, 6), ("epoch", 3, 0, 9)]
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
    assert places(tmp_path) == saved


def test_a_time_that_is_always_over_saves_at_every_batch(tmp_path, shared_model):
    save_freq = timedelta(microseconds=1)
    train(shared_model, ModelCheckpoint(tmp_path / "{step}.keras", save_freq=save_freq))
    assert places(tmp_path) == [("time", 0, step, step) for step in (1, 2, 3, 4)]


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
    assert places(tmp_path) == [("epoch", 1, 0, 10), ("epoch", 2, 0, 20)]


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
    assert files(tmp_path) == ["1-4.keras", "2-8.keras"]
    assert checkpoint.best == 0.4


def test_another_model_is_not_measured_by_the_last_ones_best(tmp_path, shared_model):
    checkpoint = ModelCheckpoint(tmp_path / "m.keras", save_best_only=True)
    train(shared_model, Script(val_loss=[0.1]), checkpoint)
    train(training.tiny_model(), Script(val_loss=[0.5]), checkpoint)
    assert checkpoint.best == 0.5
    assert list_checkpoints(tmp_path)[0].value == 0.5


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
    hook = ModelCheckpoint(tmp_path / "m.keras", **settings).on_train_batch_end
    assert getattr(hook, "_is_default", False) is not needed


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
    assert files(tmp_path) == ["1-2.keras", "2-4.keras", "2-6.keras"]


def test_a_custom_loop_without_logs_saves_its_epochs(tmp_path, shared_model):
    checkpoint = ModelCheckpoint(tmp_path / "{epoch}.keras")
    checkpoint.set_model(shared_model)
    checkpoint.on_train_begin()
    for epoch in range(2):
        checkpoint.on_epoch_end(epoch)
    checkpoint.on_train_end()
    assert [(info.epoch, info.metrics) for info in list_checkpoints(tmp_path)] == [(1, {}), (2, {})]


# What is best -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("monitor", "mode", "saved", "best"),
    [
        ("val_loss", "auto", [1, 3], 0.3),
        ("val_loss", "min", [1, 3], 0.3),
        ("val_loss", "max", [1, 2], 0.9),
        ("val_loss", "MAX", [1, 2], 0.9),
        ("val_acc", "auto", [1, 2], 0.9),
        ("out_accuracy", "auto", [1, 2], 0.9),
        ("val_out_loss", "auto", [1, 3], 0.3),
        ("fmeasure_macro", "auto", [1, 2], 0.9),
        ("val_f1_score", "auto", [1, 2], 0.9),
    ],
)
def test_only_better_models_are_saved_in_the_direction_of_mode_or_name(
    tmp_path, shared_model, monitor, mode, saved, best
):
    path = tmp_path / "{epoch}.keras"
    checkpoint = ModelCheckpoint(path, monitor, save_best_only=True, mode=mode)
    train(shared_model, Script(**{monitor: [0.5, 0.9, 0.3]}), checkpoint, epochs=3)
    assert [info.epoch for info in list_checkpoints(tmp_path)] == saved
    assert checkpoint.best == best
    assert checkpoint.best_filepath == str(tmp_path / f"{saved[-1]}.keras")


class Kindness(keras.metrics.Mean):
    """A metric whose name says nothing and which itself says that more is better."""

    _direction = "up"

    def __init__(self, name="kindness", **settings):
        super().__init__(name=name, **settings)

    def update_state(self, y_true, y_pred, sample_weight=None):
        return super().update_state(y_pred, sample_weight)


def test_a_compiled_metric_says_itself_which_direction_is_better(tmp_path):
    model = training.tiny_model(metrics=[Kindness()])
    path = tmp_path / "{epoch}.weights.h5"
    settings = {"save_best_only": True, "save_weights_only": True}
    checkpoint = ModelCheckpoint(path, "kindness", **settings)
    train(model, Script(kindness=[0.5, 0.3, 0.9]), checkpoint, epochs=3)
    assert [info.epoch for info in list_checkpoints(tmp_path)] == [1, 3]
    assert list_checkpoints(tmp_path)[0].mode == "max"


def test_a_name_that_says_nothing_counts_as_min_with_one_warning(tmp_path, shared_model):
    checkpoint = ModelCheckpoint(tmp_path / "{epoch}.keras", "speed", save_best_only=True)
    with pytest.warns(
        CheckpointWarning, match=r"'speed' is better.*mode='max' to settle"
    ) as caught:
        train(shared_model, Script(speed=[0.5, 0.9, 0.3]), checkpoint, epochs=3)
    assert len(caught) == 1
    assert [info.epoch for info in list_checkpoints(tmp_path)] == [1, 3]


def test_a_direction_that_no_decision_needs_is_not_looked_at(tmp_path, shared_model):
    checkpoint = ModelCheckpoint(tmp_path / "{epoch}.keras", "speed")
    train(shared_model, Script(speed=[0.5, 0.9]), checkpoint, epochs=2)
    infos = list_checkpoints(tmp_path)
    assert [(i.monitor, i.mode, i.value, i.best) for i in infos] == [(None,) * 4] * 2
    assert checkpoint.best is None


def test_every_file_knows_whether_it_was_the_best_without_best_only_too(tmp_path, shared_model):
    checkpoint = ModelCheckpoint(tmp_path / "{epoch}.keras")
    train(shared_model, Script(val_loss=[0.5, 0.9, 0.3]), checkpoint, epochs=3)
    assert [info.best for info in list_checkpoints(tmp_path)] == [True, False, True]
    assert checkpoint.best == 0.3
    assert checkpoint.best_filepath == str(tmp_path / "3.keras")


def test_an_unknown_mode_warns_and_goes_on_with_auto(tmp_path, shared_model):
    with pytest.warns(CheckpointWarning, match="ModelCheckpoint mode 'x' is unknown") as caught:
        checkpoint = ModelCheckpoint(tmp_path / "m.keras", mode="x", save_best_only=True)
    assert caught[0].filename == __file__
    train(shared_model, Script(val_loss=[0.5, 0.6]), checkpoint, epochs=2)
    assert checkpoint.best == 0.5


@pytest.mark.parametrize("strange", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("mode", ["min", "max"])
def test_what_is_not_finite_is_never_the_best_and_said_once(tmp_path, shared_model, strange, mode):
    checkpoint = ModelCheckpoint(tmp_path / "{epoch}.keras", save_best_only=True, mode=mode)
    with pytest.warns(CheckpointWarning, match="such a value is never the best") as caught:
        script = Script(val_loss=[strange, 0.5, strange, strange])
        train(shared_model, script, checkpoint, epochs=4)
    assert len(caught) == 1
    assert [info.epoch for info in list_checkpoints(tmp_path)] == [2]
    assert checkpoint.best == 0.5


def test_a_mistyped_monitor_lists_the_names_there_are_once_and_saves(tmp_path, shared_model):
    checkpoint = ModelCheckpoint(
        tmp_path / "{epoch}.keras", "val_los", save_best_only=True, mode="min"
    )
    with pytest.warns(
        CheckpointWarning, match=r"only with val_los available\..*: loss, val_loss\."
    ) as caught:
        train(shared_model, checkpoint, epochs=3, validation_split=0.5)
    assert len(caught) == 1
    assert files(tmp_path) == ["1.keras", "2.keras", "3.keras"]
    assert checkpoint.best is None


def test_retention_by_a_mistyped_monitor_is_not_silent(tmp_path, shared_model):
    checkpoint = ModelCheckpoint(tmp_path / "{epoch}.keras", "val_los", keep_best=2, mode="min")
    with pytest.warns(CheckpointWarning, match="val_los") as caught:
        train(shared_model, checkpoint, epochs=4)
    assert len(caught) == 1


def test_epochs_without_validation_do_not_replace_a_ranked_best(tmp_path, shared_model):
    checkpoint = ModelCheckpoint(tmp_path / "{epoch}.keras", save_best_only=True)
    with pytest.warns(CheckpointWarning, match="only with val_loss available") as caught:
        train(shared_model, checkpoint, epochs=5, validation_split=0.5, validation_freq=2)
    assert len(caught) == 1
    saved = [info.epoch for info in list_checkpoints(tmp_path)]
    assert saved[:2] == [1, 2]
    assert not {3, 5} & set(saved)


def test_an_unranked_model_never_replaces_a_best_of_an_earlier_run(tmp_path, shared_model):
    path = tmp_path / "m.keras"
    train(shared_model, Script(val_loss=[0.5]), ModelCheckpoint(path, save_best_only=True))
    with pytest.warns(CheckpointWarning, match="only with val_loss available"):
        train(shared_model, ModelCheckpoint(path, save_best_only=True))
    assert list_checkpoints(path)[0].value == 0.5


@pytest.mark.parametrize(
    "value",
    [np.float32(0.5), np.array(0.5), np.array([0.5]), [0.5]],
    ids=["f32", "0d", "1d", "list"],
)
def test_one_number_is_taken_from_whatever_holds_it(tmp_path, shared_model, value):
    value = keras.ops.convert_to_tensor(value) if isinstance(value, list) else value
    checkpoint = ModelCheckpoint(tmp_path / "{val_loss:.1f}.keras", save_best_only=True)
    train(shared_model, Script(val_loss=[value, 0.7]), checkpoint, epochs=2)
    assert (checkpoint.best, type(checkpoint.best)) == (0.5, float)
    assert files(tmp_path) == ["0.5.keras"]


def test_several_numbers_are_treated_as_none_with_one_warning(tmp_path, shared_model):
    checkpoint = ModelCheckpoint(tmp_path / "{epoch}.keras", save_best_only=True)
    script = Script(val_loss=[np.ones(2), np.ones(2), 0.5, np.zeros(2)])
    with pytest.warns(CheckpointWarning, match="val_loss has several elements") as caught:
        train(shared_model, script, checkpoint, epochs=4)
    assert len(caught) == 1
    assert [info.epoch for info in list_checkpoints(tmp_path)] == [1, 2, 3]


@pytest.mark.parametrize(
    ("threshold", "mode", "saved"),
    [(0.4, "min", [3]), (0.2, "min", []), (0.6, "max", [2]), (np.float32(1), "max", [])],
)
def test_the_first_best_has_to_pass_the_threshold(tmp_path, shared_model, threshold, mode, saved):
    checkpoint = ModelCheckpoint(
        tmp_path / "{epoch}.keras",
        save_best_only=True,
        mode=mode,
        initial_value_threshold=threshold,
    )
    assert checkpoint.best == pytest.approx(threshold)
    train(shared_model, Script(val_loss=[0.5, 0.9, 0.3]), checkpoint, epochs=3)
    assert [info.epoch for info in list_checkpoints(tmp_path)] == saved
    if not saved:
        assert (checkpoint.best, checkpoint.best_filepath) == (threshold, None)


def test_a_change_smaller_than_min_delta_is_no_improvement(tmp_path, shared_model):
    checkpoint = ModelCheckpoint(tmp_path / "{epoch}.keras", save_best_only=True, min_delta=0.25)
    train(shared_model, Script(val_loss=[1.0, 0.8, 0.75, 0.6, 0.5]), checkpoint, epochs=5)
    assert [info.epoch for info in list_checkpoints(tmp_path)] == [1, 3, 5]


@pytest.mark.parametrize("background", [False, True])
def test_after_a_failed_save_the_best_is_as_before_and_the_next_good_epoch_is_saved(
    tmp_path, shared_model, background
):
    folder = tmp_path / "run"
    checkpoint = ModelCheckpoint(
        folder / "{epoch}.keras",
        save_best_only=True,
        on_save_error="warn",
        save_on_background=background,
    )

    def hide():
        checkpoint.wait()
        folder.rename(tmp_path / "hidden")
        folder.write_text("in the way")

    def reveal():
        folder.unlink()
        (tmp_path / "hidden").rename(folder)

    script = Script(val_loss=[0.5, 0.1, 0.3])
    around = [training.At(0, hide), training.At(1, checkpoint.wait), training.At(1, reveal)]
    with pytest.warns(CheckpointWarning, match=r"goes on without.*could not write.*2\.keras"):
        train(shared_model, script, checkpoint, *around, epochs=3)
    assert [info.epoch for info in list_checkpoints(folder)] == [1, 3]
    assert checkpoint.best == 0.3
    assert training.names_in(folder) == ["1.keras", "3.keras"]


def test_by_default_a_failed_save_ends_training_with_path_and_cause(tmp_path, shared_model):
    folder = tmp_path / "run"
    checkpoint = ModelCheckpoint(folder / "m.keras")
    with pytest.raises(
        CheckpointWriteError, match=r"could not write checkpoint .*m\.keras"
    ) as caught:
        train(
            shared_model,
            training.At(0, lambda: (folder.rmdir(), folder.write_text("in the way"))),
            checkpoint,
        )
    assert isinstance(caught.value, OSError)
    assert caught.value.errno in (errno.EEXIST, errno.ENOTDIR)


class Moody(keras.layers.Dense):
    """A layer whose saving is interrupted when it is in the mood."""

    mood: BaseException | None = None

    def get_config(self):
        if self.mood is not None:
            raise self.mood
        return super().get_config()


@pytest.mark.parametrize("error", [KeyboardInterrupt(), ValueError("no")], ids=["ctrl-c", "bug"])
def test_a_save_that_was_interrupted_leaves_no_bar_for_the_next_fit(tmp_path, error):
    layer = Moody(1)
    model = keras.Sequential([keras.Input((3,)), layer])
    model.compile(optimizer="sgd", loss="mse")
    checkpoint = ModelCheckpoint(tmp_path / "{val_loss}.keras", save_best_only=True)
    layer.mood = error
    with pytest.raises(type(error)):
        train(model, Script(val_loss=[0.1]), checkpoint)
    layer.mood = None
    assert (checkpoint.best, training.names_in(tmp_path)) == (None, [])
    train(model, Script(val_loss=[0.5]), checkpoint)
    assert checkpoint.best == 0.5
    assert files(tmp_path) == ["0.5.keras"]


# Names ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("template", "save_freq", "saved"),
    [
        ("{epoch:02d}-{val_loss:.2f}.keras", "epoch", ["01-0.50.keras", "02-0.25.keras"]),
        (
            "{epoch}-{batch}-{step:03d}.keras",
            3,
            ["1-3-003.keras", "2-2-006.keras", "2-4-008.keras"],
        ),
        ("{epoch}-{batch}-{step}.keras", "epoch", ["1-4-4.keras", "2-4-8.keras"]),
        ("m.keras", 3, ["m.keras"]),
    ],
)
def test_names_are_filled_from_counters_and_logs(
    tmp_path, shared_model, template, save_freq, saved
):
    checkpoint = ModelCheckpoint(tmp_path / template, save_freq=save_freq)
    train(shared_model, Script(val_loss=[0.5, 0.25]), checkpoint, epochs=2)
    assert files(tmp_path) == saved


def test_directories_may_be_named_by_placeholders(tmp_path, shared_model):
    train(shared_model, ModelCheckpoint(tmp_path / "{epoch}" / "m.keras"), epochs=2)
    assert [(tmp_path / name / "m.keras").is_file() for name in "12"] == [True, True]


def test_a_metric_called_epoch_does_not_crash(tmp_path, shared_model):
    checkpoint = ModelCheckpoint(tmp_path / "{epoch}.keras", "epoch", mode="max")
    train(shared_model, Script(epoch=[0.5], batch=[0.1], step=[7.0]), checkpoint)
    (info,) = list_checkpoints(tmp_path)
    assert (info.epoch, info.step, os.path.basename(info.path)) == (1, 4, "1.keras")
    assert info.metrics["epoch"] == 0.5


@pytest.mark.parametrize(
    ("path", "settings", "words"),
    [
        ("{}.keras", {}, "not a valid template"),
        ("{epoch.keras", {}, "not a valid template"),
        ("m", {}, "must end in `.keras`"),
        ("m.weights.h5", {}, "set `save_weights_only=True`"),
        ("m.keras", {"save_weights_only": True}, "must end in `.weights.h5`"),
        ("m.h5", {"resume": True}, "resume=True needs files that carry a record"),
        ("", {}, "filepath must name a file"),
    ],
)
def test_a_wrong_path_is_refused_at_construction(path, settings, words):
    with pytest.raises(ValueError, match=words):
        ModelCheckpoint(path, **settings)


def test_an_existing_directory_is_refused_at_construction(tmp_path):
    (tmp_path / "m.keras").mkdir()
    with pytest.raises(IsADirectoryError, match="Please specify a non-directory filepath"):
        ModelCheckpoint(tmp_path / "m.keras")


def test_a_directory_that_cannot_be_written_is_an_error_before_the_first_batch(
    tmp_path, shared_model
):
    (tmp_path / "file").write_text("in the way")
    trained = []
    begin = keras.callbacks.LambdaCallback(on_train_batch_begin=lambda *_: trained.append(1))
    with pytest.raises(CheckpointWriteError, match=r"could not write.*m\.keras"):
        train(shared_model, ModelCheckpoint(tmp_path / "file" / "m.keras"), begin)
    assert not trained


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_directory_is_an_error_before_the_first_batch(tmp_path, shared_model):
    tmp_path.chmod(0o500)
    with pytest.raises(CheckpointWriteError, match="No permission to write"):
        train(shared_model, ModelCheckpoint(tmp_path / "m.keras"))


def test_an_unknown_placeholder_is_named_with_what_can_be_used(tmp_path, shared_model):
    checkpoint = ModelCheckpoint(tmp_path / "{val_los}.keras", on_save_error="warn")
    with pytest.raises(CheckpointNameError, match=r"no 'val_los'.*batch, epoch, loss, step"):
        train(shared_model, checkpoint)


def test_an_epoch_without_validation_is_named_nan_with_one_warning(tmp_path, shared_model):
    checkpoint = ModelCheckpoint(tmp_path / "{epoch}-{val_loss:.2f}.keras")
    with pytest.warns(CheckpointWarning, match="val_loss has no value at this save") as caught:
        train(shared_model, Script(val_loss=[None, 0.5, None]), checkpoint, epochs=3)
    assert len(caught) == 1
    assert files(tmp_path) == ["1-nan.keras", "2-0.50.keras", "3-nan.keras"]


@pytest.mark.parametrize("background", [False, True])
def test_a_legacy_h5_model_is_written_by_keras_and_published_whole(
    tmp_path, shared_model, background
):
    checkpoint = ModelCheckpoint(tmp_path / "m.h5", save_on_background=background)
    train(shared_model, checkpoint)
    assert training.names_in(tmp_path) == ["m.h5"]
    loaded = keras.saving.load_model(tmp_path / "m.h5", compile=False)
    for found, expected in zip(loaded.get_weights(), shared_model.get_weights(), strict=True):
        np.testing.assert_array_equal(found, expected)


def test_home_paths_and_missing_parents_are_accepted(tmp_path, shared_model, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    checkpoint = ModelCheckpoint(pathlib.Path("~") / "a b" / "ü" / "m.keras")
    train(shared_model, checkpoint)
    assert checkpoint.filepath == str(tmp_path / "a b" / "ü" / "m.keras")
    assert os.path.isfile(checkpoint.filepath)


def test_a_relative_path_is_fixed_at_construction(tmp_path, shared_model, monkeypatch):
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)
    checkpoint = ModelCheckpoint("run/m.keras")
    monkeypatch.chdir(tmp_path / "elsewhere")
    train(shared_model, checkpoint)
    assert (tmp_path / "run" / "m.keras").is_file()
    assert training.names_in(tmp_path / "elsewhere") == []


def test_two_callbacks_of_one_fit_on_one_path_are_both_named(tmp_path, shared_model):
    first = ModelCheckpoint(tmp_path / "m.keras", monitor="loss")
    second = ModelCheckpoint(tmp_path / "m.keras", monitor="val_loss")
    with pytest.warns(CheckpointWarning, match=r"monitor='loss'.*monitor='val_loss'") as caught:
        train(shared_model, first, second)
    assert len(caught) == 1


def test_callbacks_of_different_fits_may_use_one_path(tmp_path, shared_model):
    first, second = (ModelCheckpoint(tmp_path / "m.keras") for _ in range(2))
    with pytest.raises(training.Stop):
        train(shared_model, first, training.At(0, training.stop))
    train(shared_model, second)


# Words ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("settings", [{}, {"save_best_only": True}, {"save_on_background": True}])
def test_silence_is_the_default(tmp_path, shared_model, capfd, settings):
    script = Script(val_loss=[0.5, 0.6])
    train(shared_model, script, ModelCheckpoint(tmp_path / "m.keras", **settings), epochs=2)
    assert capfd.readouterr() == ("", "")


def test_messages_say_epoch_metric_from_what_to_what_and_path(tmp_path, shared_model, capsys):
    path = tmp_path / "m.keras"
    checkpoint = ModelCheckpoint(path, verbose=1, save_best_only=True)
    train(shared_model, Script(val_loss=[0.5, 0.75, 0.25]), checkpoint, epochs=3)
    assert [line for line in capsys.readouterr().out.splitlines() if line] == [
        f"Epoch 1: val_loss improved from None to 0.50000, saving model to {path}",
        f"Epoch 1: finished saving model to {path}",
        "Epoch 2: val_loss did not improve from 0.50000",
        f"Epoch 3: val_loss improved from 0.50000 to 0.25000, saving model to {path}",
        f"Epoch 3: finished saving model to {path}",
    ]


def test_messages_without_best_only_name_the_path(tmp_path, shared_model, capsys):
    train(shared_model, ModelCheckpoint(tmp_path / "m.keras", verbose=1))
    path = tmp_path / "m.keras"
    assert [line for line in capsys.readouterr().out.splitlines() if line] == [
        f"Epoch 1: saving model to {path}",
        f"Epoch 1: finished saving model to {path}",
    ]


def test_messages_obey_keras_own_settings(tmp_path, shared_model, capsys, caplog):
    keras.config.disable_interactive_logging()
    try:
        with caplog.at_level("INFO", logger="absl"):
            train(shared_model, ModelCheckpoint(tmp_path / "m.keras", verbose=1))
    finally:
        keras.config.enable_interactive_logging()
    assert capsys.readouterr().out == ""


def test_a_host_hears_the_warnings_instead_of_python(tmp_path, shared_model):
    heard = []
    kerascheckpoint.notify.set_warning_handler(heard.append)
    try:
        checkpoint = ModelCheckpoint(
            tmp_path / "m.keras", "nothing", save_best_only=True, mode="min"
        )
        train(shared_model, checkpoint)
    finally:
        kerascheckpoint.notify.set_warning_handler(None)
    assert len(heard) == 1
    assert heard[0].startswith("Can save best model only with nothing available")


# The object -------------------------------------------------------------------------------------

SETTINGS = {
    "monitor": "loss",
    "verbose": 0,
    "save_best_only": True,
    "save_weights_only": False,
    "mode": "min",
    "save_freq": 3,
    "initial_value_threshold": 0.5,
    "keep_best": 2,
    "keep_last": 3,
    "min_delta": 0.125,
    "save_on_background": True,
    "resume": False,
    "save_on_interrupt": True,
    "on_save_error": "warn",
}


@pytest.mark.parametrize(
    "copied",
    [lambda each: each, copy.deepcopy, lambda each: pickle.loads(pickle.dumps(each))],
    ids=["itself", "deepcopy", "pickle"],
)
def test_arguments_can_be_read_and_copies_work_before_training(tmp_path, copied):
    checkpoint = copied(ModelCheckpoint(tmp_path / "{step}.keras", **SETTINGS))
    assert {name: getattr(checkpoint, name) for name in SETTINGS} == SETTINGS
    assert checkpoint.filepath == str(tmp_path / "{step}.keras")
    assert (checkpoint.best, checkpoint.best_filepath, checkpoint.last_filepath) == (
        0.5,
        None,
        None,
    )
    train(training.tiny_model(), checkpoint)


def test_a_copy_and_its_original_share_nothing(tmp_path, shared_model):
    original = ModelCheckpoint(tmp_path / "m.keras", save_best_only=True)
    other = copy.deepcopy(original)
    train(shared_model, Script(val_loss=[0.5]), original)
    assert (original.best, other.best, other.last_filepath) == (0.5, None, None)


def test_keras_eight_arguments_come_first_and_by_position(tmp_path):
    path = str(tmp_path / "m.weights.h5")
    checkpoint = ModelCheckpoint(path, "loss", 1, True, True, "max", 7, 0.5)
    reference = keras.callbacks.ModelCheckpoint(path, "loss", 1, True, True, "max", 7, 0.5)
    for name in ("filepath", "monitor", "verbose", "save_best_only", "save_weights_only"):
        assert getattr(checkpoint, name) == getattr(reference, name)
    assert (checkpoint.save_freq, checkpoint.best) == (reference.save_freq, reference.best)
    with pytest.raises(TypeError):
        ModelCheckpoint(path, "loss", 1, True, True, "max", 7, 0.5, 3)


def test_verbose_may_be_true_or_false_as_for_keras(tmp_path):
    assert ModelCheckpoint(tmp_path / "m.keras", verbose=True).verbose == 1
    assert ModelCheckpoint(tmp_path / "m.keras", verbose=False).verbose == 0


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("monitor", None),
        ("monitor", ""),
        ("verbose", -1),
        ("verbose", "yes"),
        ("save_best_only", "no"),
        ("save_weights_only", None),
        ("initial_value_threshold", "0.5"),
        ("initial_value_threshold", math.nan),
        ("keep_best", 0),
        ("keep_best", 1.5),
        ("keep_last", -1),
        ("keep_last", True),
        ("min_delta", -0.1),
        ("min_delta", None),
        ("save_on_background", 2),
        ("resume", "auto"),
        ("save_on_interrupt", None),
        ("on_save_error", "ignore"),
    ],
)
def test_a_wrong_argument_is_refused_in_words_that_name_it(tmp_path, name, value):
    with pytest.raises(ValueError, match=rf"^{name} must be .*Received: {name}="):
        ModelCheckpoint(tmp_path / "m.keras", **{name: value})


def test_a_directory_that_is_deleted_in_training_is_an_error_and_not_made_again(
    tmp_path, shared_model
):
    """Whoever removed it, or the mount that went away, must be heard of."""
    place = tmp_path / "run"
    saving = ModelCheckpoint(place / "{epoch}.keras")
    remove = training.At(1, lambda: shutil.rmtree(place))
    with pytest.raises(CheckpointWriteError, match="No such file or directory") as caught:
        training.train(shared_model, remove, saving, epochs=2)
    assert str(place / "2.keras") in str(caught.value)
    assert training.names_in(tmp_path) == []


def test_a_loop_of_ones_own_counts_every_batch(tmp_path, shared_model):
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


def test_a_mistyped_monitor_of_unknown_direction_is_one_warning(tmp_path, shared_model):
    saving = ModelCheckpoint(tmp_path / "m.keras", monitor="qualty", save_best_only=True)
    with pytest.warns(CheckpointWarning) as caught:
        training.train(shared_model, saving, epochs=2)
    (text,) = training.texts(caught)
    assert "qualty" in text


def test_min_delta_is_not_lost_to_rounding(tmp_path, shared_model):
    """1.0 - 0.9 is a little less than 0.1 for a computer."""
    saving = ModelCheckpoint(tmp_path / "m.keras", "score", mode="min", min_delta=0.1)
    training.train(shared_model, training.Script(score=[1.0, 0.95, 0.9]), saving, epochs=3)
    assert saving.best == 0.9
