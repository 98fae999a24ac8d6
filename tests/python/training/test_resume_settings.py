"""A resumed script whose settings differ is warned once, with both values and which is used."""

import keras
import pytest

from kerascheckpoint import CheckpointWarning, ModelCheckpoint
from support import training

STEPS = "the number of batches per epoch was 4 and is"


def constant():
    return 0.25


class Constant(keras.optimizers.schedules.LearningRateSchedule):
    """A schedule without a config, so that it cannot be stored."""

    def __call__(self, step):
        return 0.25


def fit(path, epochs, *, rate=0.5, decay=None, loss_weights=None, **settings):
    if decay is not None:
        rate = keras.optimizers.schedules.ExponentialDecay(rate, 10, decay)
    optimizer = keras.optimizers.SGD(rate)
    model = training.tiny_model(optimizer=optimizer, loss_weights=loss_weights)
    checkpoint = ModelCheckpoint(
        path, "loss", resume=True, save_weights_only=path.name.endswith(".weights.h5")
    )
    training.train(model, checkpoint, epochs=epochs, **settings)
    return model


@pytest.mark.parametrize(
    ("before", "now", "said"),
    [
        (
            {},
            {"rate": 0.25},
            [
                "the learning rate was 0.5 and is 0.25 here (the file's is used)",
                "set model.optimizer.learning_rate",
            ],
        ),
        ({"decay": 0.5}, {"decay": 0.25}, ["schedule was Exp", "0.5", " and is Exp", "0.25"]),
        ({}, {"loss_weights": 2.0}, ["loss_weights was none and is 2.0 here (this script's"]),
        ({"loss_weights": 2.0}, {"loss_weights": 3.0}, ["was 2.0 and is 3.0 here"]),
        (
            {},
            {"batch_size": 4},
            ["the batch size was 2 and is 4 here (this script's", f"{STEPS} 2"],
        ),
        ({}, {"steps": 6}, [f"{STEPS} 6 here (this script's is used)"]),
        ({}, {"rate": 0.25, "batch_size": 4}, ["rate was 0.5 and is 0.25", "size was 2 and is 4"]),
        ({"rate": 0.25, "loss_weights": 2.0}, {"rate": 0.25, "loss_weights": 2.0}, None),
        ({"decay": 0.5}, {"decay": 0.5}, None),
    ],
)
def test_settings_that_differ_are_named_once_with_both_values(tmp_path, before, now, said):
    path = tmp_path / "{epoch}.keras"
    fit(path, 1, **before)
    if said is None:
        fit(path, 2, **now)  # warnings are errors
        return
    with pytest.warns(CheckpointWarning) as caught:
        model = fit(path, 2, **now)
    (text,) = training.texts(caught)
    assert "settings differ from those of the resumed run" in text
    for part in said:
        assert part in text
    if "rate" in now:
        assert float(keras.ops.convert_to_numpy(model.optimizer.learning_rate)) == 0.5


@pytest.mark.parametrize("suffix", [".keras", ".weights.h5"])
@pytest.mark.parametrize(
    ("before", "now", "said"),
    [
        (
            {},
            {"decay": 0.25, "batch_size": 4},
            [
                "the learning rate was 0.5 and is the schedule Exp",
                "0.25, staircase=False) here (this script's is used)",
                "the batch size was 2 and is 4 here",
                "compile the model with learning_rate=0.5",
            ],
        ),
        (
            {"decay": 0.25},
            {"rate": 0.125},
            [
                "the learning rate was the schedule Exp",
                "0.25, staircase=False) and is 0.125 here (this script's is used)",
                "compile the model with that schedule",
            ],
        ),
    ],
)
def test_a_rate_in_place_of_a_schedule_leaves_the_rest_of_the_state(
    tmp_path, suffix, before, now, said
):
    """Their optimizers differ in their variables."""
    path = tmp_path / f"{{epoch}}{suffix}"
    fit(path, 1, **before)
    with pytest.warns(CheckpointWarning) as caught:
        model = fit(path, 2, **now)
    (text,) = training.texts(caught)
    for part in ["settings differ from those of the resumed run", *said]:
        assert part in text
    steps = 4 + 4 // (2 if "batch_size" in now else 1)
    assert training.steps_of(model) == steps
    rate = float(keras.ops.convert_to_numpy(model.optimizer.learning_rate))
    assert rate == pytest.approx(0.5 * 0.25 ** (steps / 10) if "decay" in now else 0.125)
    fit(path, 3, **now)  # the same script again: warnings are errors


@pytest.mark.parametrize("rate", [constant, Constant()])
def test_a_schedule_without_a_config_is_named_by_its_name(tmp_path, rate):
    """Keras can train with it and save weights."""
    path = tmp_path / "{epoch}.weights.h5"
    fit(path, 1)
    with pytest.warns(CheckpointWarning, match="is the schedule [cC]onstant here"):
        fit(path, 2, rate=rate)
