"""Checkpoints to restore from, models to restore into, and what a refused restore must leave."""

import keras
import numpy as np
import pytest

from kerascheckpoint import CheckpointMismatchError, ModelCheckpoint, restore_checkpoint
from kerascheckpoint.saving import Saver
from support import small_files
from support.training import arrays_of, assert_same, train

FIELDS = {
    "epoch": 0,
    "batch": 0,
    "step": 0,
    "metrics": {},
    "reason": "epoch",
    "saved_at": "2026-01-02T03:04:05+00:00",
}
SUFFIXES = pytest.mark.parametrize("suffix", small_files.SUFFIXES)
layers = keras.layers


def saved(model, path, **settings):
    """Train a model for an epoch and save it."""
    weights_only = str(path).endswith(".weights.h5")
    train(model, ModelCheckpoint(path, save_weights_only=weights_only), **settings)
    return path


def saved_now(model, path, **fields):
    """Save a model as it is, with these fields in its record."""
    Saver(on_background=False).save(model, str(path), FIELDS | fields, ended)
    return path


def assert_refused(model, path, words, error=CheckpointMismatchError):
    """Assert that a restore fails, names the file, and changes nothing; return the error."""
    before = arrays_of(model)
    with pytest.raises(error, match=words) as caught:
        restore_checkpoint(model, path)
    assert repr(str(path)) in str(caught.value)
    assert_same(arrays_of(model), before)
    return caught.value


def ended(error):
    assert error is None


def stack(*added, optimizer="adam"):
    model = keras.Sequential([keras.Input((3,)), *added])
    if optimizer:
        model.compile(optimizer=optimizer, loss="mse")
    return model


@keras.saving.register_keras_serializable("tests")
class Refusing(layers.Layer):
    """Loads its first array and then refuses."""

    refuses = False

    def build(self, shape):
        self.scale = self.add_weight(shape=(1,), initializer="ones", name="scale")

    def call(self, x):
        return x * self.scale

    def load_own_variables(self, store):
        self.scale.assign(store["0"])
        if self.refuses and float(np.array(store["0"])[0]) == 3.0:
            raise ValueError("not this one")
