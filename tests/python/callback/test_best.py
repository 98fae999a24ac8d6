"""What is best: in which direction, what counts as a value, and what a save may replace."""

import math

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


def test_an_unknown_name_counts_as_min_with_one_warning(tmp_path, shared_model):
    checkpoint = ModelCheckpoint(tmp_path / "{epoch}.keras", "speed", save_best_only=True)
    with pytest.warns(
        CheckpointWarning, match=r"direction of 'speed' .*mode='max' to be explicit"
    ) as caught:
        train(shared_model, Script(speed=[0.5, 0.9, 0.3]), checkpoint, epochs=3)
    assert len(training.texts(caught)) == 1
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


def test_an_unknown_mode_warns_and_becomes_auto(tmp_path, shared_model):
    with pytest.warns(CheckpointWarning, match="ModelCheckpoint mode 'x' is unknown") as caught:
        checkpoint = ModelCheckpoint(tmp_path / "m.keras", mode="x", save_best_only=True)
    assert caught[0].filename == __file__
    train(shared_model, Script(val_loss=[0.5, 0.6]), checkpoint, epochs=2)
    assert checkpoint.best == 0.5


@pytest.mark.parametrize("strange", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("mode", ["min", "max"])
def test_a_value_that_is_not_finite_is_never_the_best_with_one_warning(
    tmp_path, shared_model, strange, mode
):
    checkpoint = ModelCheckpoint(tmp_path / "{epoch}.keras", save_best_only=True, mode=mode)
    with pytest.warns(CheckpointWarning, match="which is never the best") as caught:
        script = Script(val_loss=[strange, 0.5, strange, strange])
        train(shared_model, script, checkpoint, epochs=4)
    assert len(training.texts(caught)) == 1
    assert [info.epoch for info in list_checkpoints(tmp_path)] == [2]
    assert checkpoint.best == 0.5


def test_a_mistyped_monitor_lists_the_known_names_once_and_saves(tmp_path, shared_model):
    checkpoint = ModelCheckpoint(
        tmp_path / "{epoch}.keras", "val_los", save_best_only=True, mode="min"
    )
    with pytest.warns(
        CheckpointWarning, match=r"only with val_los available\..*: loss, val_loss\."
    ) as caught:
        train(shared_model, checkpoint, epochs=3, validation_split=0.5)
    assert len(training.texts(caught)) == 1
    assert training.files(tmp_path) == ["1.keras", "2.keras", "3.keras"]
    assert checkpoint.best is None


def test_retention_by_a_mistyped_monitor_is_not_silent(tmp_path, shared_model):
    checkpoint = ModelCheckpoint(tmp_path / "{epoch}.keras", "val_los", keep_best=2, mode="min")
    with pytest.warns(CheckpointWarning, match="val_los") as caught:
        train(shared_model, checkpoint, epochs=4)
    assert len(training.texts(caught)) == 1


def test_epochs_without_validation_do_not_replace_a_ranked_best(tmp_path, shared_model):
    checkpoint = ModelCheckpoint(tmp_path / "{epoch}.keras", save_best_only=True)
    with pytest.warns(CheckpointWarning, match="only with val_loss available") as caught:
        train(shared_model, checkpoint, epochs=5, validation_split=0.5, validation_freq=2)
    assert len(training.texts(caught)) == 1
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
    assert training.files(tmp_path) == ["0.5.keras"]


def test_several_numbers_are_treated_as_none_with_one_warning(tmp_path, shared_model):
    checkpoint = ModelCheckpoint(tmp_path / "{epoch}.keras", save_best_only=True)
    script = Script(val_loss=[np.ones(2), np.ones(2), 0.5, np.zeros(2)])
    with pytest.warns(CheckpointWarning, match="val_loss has several elements") as caught:
        train(shared_model, script, checkpoint, epochs=4)
    assert len(training.texts(caught)) == 1
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


def test_a_change_smaller_than_min_delta_is_not_an_improvement(tmp_path, shared_model):
    checkpoint = ModelCheckpoint(tmp_path / "{epoch}.keras", save_best_only=True, min_delta=0.25)
    train(shared_model, Script(val_loss=[1.0, 0.8, 0.75, 0.6, 0.5]), checkpoint, epochs=5)
    assert [info.epoch for info in list_checkpoints(tmp_path)] == [1, 3, 5]


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
