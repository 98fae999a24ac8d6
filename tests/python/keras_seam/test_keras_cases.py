"""What Keras' own callback does with its eight arguments, ours does too.

Each case trains once with Keras' callback and once with ours, on the same scripted metrics, and
compares the files. Where ours departs from Keras on purpose, `test_callback.py` has the case.
"""

import keras
import numpy as np
import pytest

from kerascheckpoint import ModelCheckpoint
from support import small_files, training
from support.training import Script, train

LOSSES, SCORES = [0.5, 0.7, 0.3, 0.3], [0.1, 0.4, 0.4, 0.2]


@pytest.fixture(scope="module")
def model():
    """A model with a score of which Keras knows that more is better."""
    return training.tiny_model(metrics=[keras.metrics.BinaryAccuracy("acc")])


def files_after(directory, callback_class, model, name, epochs=4, **settings):
    """Train with a callback and return the names of the files there are then."""
    directory.mkdir()
    script = Script(val_loss=LOSSES, val_acc=SCORES)
    callback = callback_class(str(directory / "sub" / name), **settings)
    train(model, script, callback, epochs=epochs)
    return training.names_in(directory / "sub") if (directory / "sub").exists() else []


CASES = {
    "by default each epoch": {},
    "min": {"mode": "min"},
    "max of a score": {"mode": "max", "monitor": "val_acc"},
    "best only, direction of val_loss": {"save_best_only": True},
    "best only, direction of val_acc": {"save_best_only": True, "monitor": "val_acc"},
    "best only, max": {"save_best_only": True, "monitor": "val_acc", "mode": "max"},
    "best only, against the name": {"save_best_only": True, "mode": "max"},
    "threshold that all pass": {
        **{"save_best_only": True, "monitor": "val_acc", "mode": "max"},
        **{"initial_value_threshold": -0.01},
    },
    "threshold that some pass": {"save_best_only": True, "initial_value_threshold": 0.4},
    "threshold that none passes, min": {
        **{"save_best_only": True, "mode": "min"},
        **{"initial_value_threshold": 0},
    },
    "threshold that none passes, auto": {"save_best_only": True, "initial_value_threshold": 0},
    "threshold of a score, auto": {
        **{"save_best_only": True, "monitor": "val_acc"},
        **{"initial_value_threshold": 1},
    },
    "batches, at epochs' ends": {"save_freq": 8},
    "every batch": {"save_freq": 1},
    "batches, between epochs' ends": {"save_freq": 2},
}


@pytest.mark.parametrize("suffix", small_files.SUFFIXES)
@pytest.mark.parametrize("case", CASES)
def test_the_same_files_as_keras(tmp_path, model, case, suffix):
    settings = CASES[case] | {"save_weights_only": suffix != ".keras"}
    by_batch = "-{batch:02d}" if "save_freq" in settings else ""
    arguments = (model, f"m-{{epoch:02d}}{by_batch}{suffix}")
    theirs = files_after(
        tmp_path / "keras", keras.callbacks.ModelCheckpoint, *arguments, **settings
    )
    ours = files_after(tmp_path / "ours", ModelCheckpoint, *arguments, **settings)
    assert ours == theirs


@pytest.mark.parametrize("suffix", small_files.SUFFIXES)
def test_one_name_holds_the_best_model_at_the_end_as_with_keras(tmp_path, suffix):
    found = []
    for index, callback_class in enumerate((keras.callbacks.ModelCheckpoint, ModelCheckpoint)):
        keras.utils.set_random_seed(5)
        model = training.tiny_model()
        settings = {"save_best_only": True, "save_weights_only": suffix != ".keras"}
        path = tmp_path / f"{index}{suffix}"
        train(model, Script(val_loss=LOSSES), callback_class(str(path), **settings), epochs=4)
        other = training.tiny_model()
        other.load_weights(path)
        found.append(other.get_weights())
    for theirs, ours in zip(*found, strict=True):
        np.testing.assert_array_equal(theirs, ours)


def test_an_unknown_metric_warns_and_saves(tmp_path, shared_model):
    settings = {"monitor": "unknown", "save_best_only": True, "mode": "min"}
    with pytest.warns(UserWarning, match="Can save best model only with unknown available"):
        theirs = files_after(
            tmp_path / "keras", keras.callbacks.ModelCheckpoint, shared_model, "m.keras", **settings
        )
    with pytest.warns(UserWarning, match="Can save best model only with unknown available"):
        ours = files_after(tmp_path / "ours", ModelCheckpoint, shared_model, "m.keras", **settings)
    assert ours == ["m.keras"]
    assert theirs in (ours, [])  # an older Keras saves nothing


def test_an_unknown_mode_warns(tmp_path):
    for callback_class in (keras.callbacks.ModelCheckpoint, ModelCheckpoint):
        with pytest.warns(UserWarning, match="ModelCheckpoint mode 'unknown' is unknown"):
            callback_class(str(tmp_path / "m.keras"), mode="unknown")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"filepath": "m.keras", "save_freq": "sometimes"}, "Unrecognized save_freq"),
        ({"filepath": "m", "save_weights_only": False}, "filepath provided must end in `.keras`"),
        ({"filepath": "m.keras", "save_weights_only": True}, "must end in `.weights.h5`"),
    ],
)
def test_what_keras_refuses_is_refused_in_its_words(arguments, words):
    for callback_class in (keras.callbacks.ModelCheckpoint, ModelCheckpoint):
        with pytest.raises(ValueError, match=words):
            callback_class(**arguments)


def compiled(model):
    model.compile(loss="categorical_crossentropy", optimizer="sgd", metrics=["accuracy"])
    return model


def functional():
    inputs = keras.Input((3,), batch_size=4)
    hidden = keras.layers.Dense(5, activation="relu")(inputs)
    return compiled(keras.Model(inputs, keras.layers.Dense(3, activation="softmax")(hidden)))


def sequential_without_input():
    layers = [keras.layers.Dense(5, activation="relu"), keras.layers.Dense(3, activation="softmax")]
    return compiled(keras.Sequential(layers))


@pytest.mark.parametrize("make", [functional, sequential_without_input])
@pytest.mark.parametrize("suffix", small_files.SUFFIXES)
def test_the_saved_model_is_the_trained_one(tmp_path, make, suffix):
    x = np.random.default_rng(0).normal(size=(12, 3))
    y = keras.utils.to_categorical(np.arange(12) % 3, 3)
    model, path = make(), tmp_path / f"m{suffix}"
    checkpoint = ModelCheckpoint(path, save_best_only=True, save_weights_only=suffix != ".keras")
    fitting = {"batch_size": 4, "validation_data": (x[:4], y[:4]), "verbose": 0}
    model.fit(x, y, callbacks=[checkpoint], **fitting)
    if suffix == ".keras":
        loaded = keras.saving.load_model(path)
    else:
        loaded = make()
        loaded.build((4, 3))
        loaded.load_weights(path)
    for found, expected in zip(loaded.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(found, expected)
