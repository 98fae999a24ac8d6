"""Objects that only Keras' own store serves are compared, restored and rolled back all the same."""

import keras
import numpy as np
import pytest

from kerascheckpoint import restore_checkpoint
from support import kinds_of_model
from support.restoring import SUFFIXES, Refusing, assert_refused, saved, saved_now, stack
from support.training import arrays_of, assert_same, train

layers = keras.layers


@keras.saving.register_keras_serializable("tests")
class Odd(layers.Layer):
    """Uses its store in a way that only Keras' own store serves."""

    def build(self, shape):
        self.scale = self.add_weight(shape=(1,), initializer="random_normal", name="scale")

    def call(self, x):
        return x * self.scale

    def save_own_variables(self, store):
        assert store.h5_file
        store["0"] = self.scale


@keras.saving.register_keras_serializable("tests")
class OddLoading(Odd):
    """Stores like any other layer, and loads in a way that only Keras' own store serves."""

    def save_own_variables(self, store):
        store["0"] = self.scale

    def load_own_variables(self, store):
        assert store.h5_file
        self.scale.assign(store["0"])


ODD = pytest.mark.parametrize("odd", [Odd, OddLoading])


@SUFFIXES
@ODD
def test_an_odd_store_is_restored_by_keras(tmp_path, suffix, odd):
    model = stack(odd(), layers.Dense(1))
    path = saved(model, tmp_path / f"m{suffix}")
    other = stack(odd(), layers.Dense(1))
    restore_checkpoint(other, path)
    assert_same(arrays_of(other), arrays_of(model))


@SUFFIXES
def test_an_odd_store_from_before_the_first_step_is_restored(tmp_path, suffix):
    model = stack(Odd(), layers.Dense(1))
    model.optimizer.learning_rate = 0.25
    path = tmp_path / f"m{suffix}"
    model.save_weights(path) if suffix == ".weights.h5" else model.save(path)
    other = stack(Odd(), layers.Dense(1))
    other.optimizer.build(other.trainable_variables)
    restore_checkpoint(other, path)
    assert float(other.optimizer.learning_rate.numpy()) == 0.25
    np.testing.assert_array_equal(other.get_weights()[0], model.get_weights()[0])


@SUFFIXES
@pytest.mark.parametrize(
    ("stored", "words"),
    [
        ((layers.Dense, 5, "adam"), "has shape"),
        ((layers.Dense, 1, keras.optimizers.Adam(amsgrad=True).get_config()), "model lacks"),
        ((layers.BatchNormalization, -1, "adam"), "has shape|file lacks|model lacks"),
    ],
)
def test_an_odd_store_is_compared_all_the_same(tmp_path, suffix, stored, words):
    layer, argument, optimizer = stored
    if isinstance(optimizer, dict):
        optimizer = keras.optimizers.Adam.from_config(optimizer)
    path = saved(stack(Odd(), layer(argument), optimizer=optimizer), tmp_path / f"m{suffix}")
    other = stack(Odd(), layers.Dense(1))
    train(other)
    assert_refused(other, path, words)


@SUFFIXES
def test_an_odd_store_is_rolled_back_when_a_layer_refuses(tmp_path, suffix):
    model = stack(Odd(), Refusing(), layers.Dense(1), optimizer="sgd")
    model.layers[1].scale.assign([3.0])
    path = saved_now(model, tmp_path / f"m{suffix}")
    other = stack(Odd(), Refusing(), layers.Dense(1), optimizer="sgd")
    other.layers[1].refuses = True
    other.optimizer.build(other.trainable_variables)
    assert_refused(other, path, r"as it was before: [\s\S]*not this one")


def test_assets_beside_an_odd_store_come_back(tmp_path):
    model = stack(Odd(), kinds_of_model.OwnAssets(), layers.Dense(1))
    model.layers[1].text = "learned\n"
    path = saved(model, tmp_path / "m.keras")
    other = stack(Odd(), kinds_of_model.OwnAssets(), layers.Dense(1))
    restore_checkpoint(other, path)
    assert other.layers[1].text == "learned\n"


@SUFFIXES
def test_a_layer_that_always_refuses_does_not_stop_the_others_from_rolling_back(tmp_path, suffix):
    class Never(Odd):
        save_own_variables = OddLoading.save_own_variables

        def load_own_variables(self, store):
            raise RuntimeError("never")

    path = saved(stack(layers.Dense(4), Never(), layers.Dense(1)), tmp_path / f"m{suffix}")
    other = stack(layers.Dense(4), Never(), layers.Dense(1))
    train(other)
    error = assert_refused(other, path, "as it was before: never")
    assert isinstance(error.__cause__, RuntimeError)
