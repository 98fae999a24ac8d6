"""The callback as an object: its arguments, its copies, and wrong values."""

import copy
import math
import pickle

import keras
import numpy as np
import pytest

from kerascheckpoint import (
    ModelCheckpoint,
)
from support import training
from support.training import Script, train

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
        ModelCheckpoint(path, "loss", 1, True, True, "max", 7, 0.5, 3)  # type: ignore[call-arg]


def test_verbose_may_be_true_or_false_as_for_keras(tmp_path):
    assert ModelCheckpoint(tmp_path / "m.keras", verbose=True).verbose == 1
    assert ModelCheckpoint(tmp_path / "m.keras", verbose=False).verbose == 0
    assert ModelCheckpoint(tmp_path / "m.keras", verbose=np.True_).verbose == 1


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("monitor", None),
        ("monitor", ""),
        ("verbose", -1),
        ("verbose", "yes"),
        ("verbose", np.array([0, 1])),
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
        ("min_delta", math.inf),
        ("min_delta", math.nan),
        ("save_on_background", 2),
        ("resume", "auto"),
        ("save_on_interrupt", None),
        ("on_save_error", "ignore"),
    ],
)
def test_a_wrong_argument_is_refused_in_words_that_name_it(tmp_path, name, value):
    with pytest.raises(ValueError, match=rf"^{name} must be .*Received: {name}="):
        ModelCheckpoint(tmp_path / "m.keras", **{name: value})
