"""A resumed script whose settings differ is warned once, with both values and which is used."""

import keras
import pytest

from kerascheckpoint import CheckpointMismatchError, CheckpointWarning, ModelCheckpoint
from support import training

STEPS = "the number of batches per epoch was 4 and is"


def fit(path, epochs, *, rate=0.5, decay=None, loss_weights=None, **settings):
    if decay is not None:
        rate = keras.optimizers.schedules.ExponentialDecay(rate, 10, decay)
    optimizer = keras.optimizers.SGD(rate)
    model = training.tiny_model(optimizer=optimizer, loss_weights=loss_weights)
    training.train(model, ModelCheckpoint(path, "loss", resume=True), epochs=epochs, **settings)
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
        ({}, {"loss_weights": [2.0]}, ["loss_weights was none and is [2.0] here (this script's"]),
        ({"loss_weights": [2.0]}, {"loss_weights": [3.0]}, ["was [2.0] and is [3.0] here"]),
        (
            {},
            {"batch_size": 4},
            ["the batch size was 2 and is 4 here (this script's", f"{STEPS} 2"],
        ),
        ({}, {"steps": 6}, [f"{STEPS} 6 here (this script's is used)"]),
        ({}, {"rate": 0.25, "batch_size": 4}, ["rate was 0.5 and is 0.25", "size was 2 and is 4"]),
        ({"rate": 0.25, "loss_weights": [2.0]}, {"rate": 0.25, "loss_weights": [2.0]}, None),
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


@pytest.mark.parametrize(
    ("before", "now", "said"),
    [
        ({"decay": 0.5}, {}, r"has the schedule Exp.*, the model's has the learning rate 0\.5"),
        ({}, {"decay": 0.5}, r"has the learning rate 0\.5, the model's has the schedule Exp"),
    ],
)
def test_a_rate_in_place_of_a_schedule_is_an_error_that_says_what_to_do(
    tmp_path, before, now, said
):
    """Their optimizers differ in their variables."""
    path = tmp_path / "{epoch}.keras"
    fit(path, 1, **before)
    with pytest.raises(CheckpointMismatchError, match=said + ".*LearningRateScheduler"):
        fit(path, 2, **now)
