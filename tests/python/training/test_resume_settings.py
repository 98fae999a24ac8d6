"""A resumed script whose settings differ is warned once, with both values and which is used."""

import keras
import pytest

from kerascheckpoint import CheckpointWarning, ModelCheckpoint
from support import training


def fit(path, rate, epochs, **settings):
    model = training.tiny_model(optimizer=keras.optimizers.SGD(rate))
    training.train(model, ModelCheckpoint(path, "loss", resume=True), epochs=epochs, **settings)
    return model


def test_settings_that_differ_are_named_with_both_values(tmp_path):
    path = tmp_path / "{epoch}.keras"
    fit(path, 0.5, 1)
    with pytest.warns(CheckpointWarning) as caught:
        model = fit(path, 0.25, 2, batch_size=4)
    (text,) = [str(warning.message) for warning in caught if "settings differ" in str(warning)]
    assert "the learning rate was 0.5 and is 0.25 here (the file's is used)" in text
    assert "the batch size was 2 and is 4 here (this script's is used)" in text
    assert "the number of batches per epoch was 4 and is 2 here" in text
    assert "set model.optimizer.learning_rate" in text
    assert float(keras.ops.convert_to_numpy(model.optimizer.learning_rate)) == 0.5


def test_a_schedule_in_place_of_a_rate_is_named(tmp_path):
    path = tmp_path / "{epoch}.keras"
    fit(path, keras.optimizers.schedules.ExponentialDecay(0.5, 10, 0.5), 1)
    with pytest.warns(CheckpointWarning, match=r"schedule was Exp.*0\.5.* and is Exp.*0\.25"):
        fit(path, keras.optimizers.schedules.ExponentialDecay(0.25, 10, 0.5), 2)


def test_the_same_settings_give_no_warning(tmp_path):
    path = tmp_path / "{epoch}.keras"
    fit(path, 0.5, 1)
    fit(path, 0.5, 2)  # warnings are errors
