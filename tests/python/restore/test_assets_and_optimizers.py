"""Assets, several optimizers and LoRA: what a model stores besides its variables."""

import keras
import numpy as np
import pytest

from kerascheckpoint import CheckpointWarning, restore_checkpoint
from support import kinds_of_model, training
from support.restoring import assert_refused, saved, saved_now, stack
from support.training import arrays_of, assert_same, train

layers = keras.layers


class RefusingAssets(kinds_of_model.OwnAssets):
    """Can be told to refuse one text, after it has already stored it."""

    refuses = False

    def load_assets(self, folder):
        super().load_assets(folder)
        if self.refuses and self.text == "learned\n":
            raise ValueError("not this one")


def test_assets_that_one_layer_refuses_are_taken_back_from_all(tmp_path):
    def with_assets(text):
        model = stack(RefusingAssets(), layers.Dense(1), RefusingAssets())
        model.layers[0].text = model.layers[2].text = text
        return model

    path = saved(with_assets("learned\n"), tmp_path / "m.keras")
    other = with_assets("before\n")
    other.layers[2].refuses = True
    train(other)
    assert_refused(other, path, "as it was before: not this one")
    assert [other.layers[0].text, other.layers[2].text] == ["before\n", "before\n"]


def test_assets_that_no_layer_takes_are_a_difference(tmp_path):
    path = saved(stack(layers.Dense(1), kinds_of_model.OwnAssets()), tmp_path / "m.keras")
    other = stack(layers.Dense(1), layers.Activation("linear"))
    train(other)
    assert_refused(other, path, r"'assets/layers/own_assets/.*', which belongs to no layer")


class Pair(keras.Model):
    """Two nets, each with an optimizer of its own, as adversarial training has them."""

    def __init__(self, optimizer="Adam", units=5):
        super().__init__()
        self.first = keras.Sequential([keras.Input((3,)), layers.Dense(4)])
        self.second = keras.Sequential([keras.Input((3,)), layers.Dense(units)])
        self.built = True
        self.a_opt = keras.optimizers.get(optimizer)
        self.b_opt = keras.optimizers.get(optimizer)

    def call(self, x):
        return self.first(x), self.second(x)

    def step(self):
        for optimizer, net in [(self.a_opt, self.second), (self.b_opt, self.first)]:
            variables = net.trainable_variables
            optimizer.apply([keras.ops.ones(v.shape, v.dtype) for v in variables], variables)


def slots_of(model):
    variables = [*model.a_opt.variables, *model.b_opt.variables]
    return {str(i): np.array(keras.ops.convert_to_numpy(v)) for i, v in enumerate(variables)}


@pytest.mark.parametrize("optimizer", ["Adam", "Adafactor", "SGD"])
def test_each_of_several_optimizers_is_built_for_the_part_that_it_trained(tmp_path, optimizer):
    model = Pair(optimizer)
    model.step()
    path = saved_now(model, tmp_path / "m.weights.h5")
    other = Pair(optimizer)
    restore_checkpoint(other, path)
    assert_same(slots_of(other), slots_of(model))
    model.step()
    other.step()
    assert_same(arrays_of(other), arrays_of(model))


def test_an_optimizer_that_fits_two_parts_has_to_be_built_by_the_user(tmp_path):
    model = Pair(units=4)
    model.step()
    path = saved_now(model, tmp_path / "m.weights.h5")
    other = Pair(units=4)
    assert_refused(other, path, r"2 parts .* call a_opt\.build\(variables\) first")
    other.a_opt.build(other.second.trainable_variables)
    other.b_opt.build(other.first.trainable_variables)
    restore_checkpoint(other, path)
    assert_same(slots_of(other), slots_of(model))


def test_an_optimizer_that_the_file_knows_nothing_of_stays_unbuilt(tmp_path):
    training.tiny_model(compiled=False).save_weights(tmp_path / "m.weights.h5")
    other = training.tiny_model(optimizer="adam")
    with pytest.warns(CheckpointWarning, match="holds no optimizer state"):
        restore_checkpoint(other, tmp_path / "m.weights.h5")
    assert not other.optimizer.built


def test_what_keras_does_not_store_of_lora_is_said_once(tmp_path):
    def low_rank():
        model = stack(layers.Dense(4), layers.Dense(1))
        for layer in model.layers:
            layer.enable_lora(2)
        return model

    path = saved_now(low_rank(), tmp_path / "m.weights.h5")
    with pytest.warns(CheckpointWarning, match="'dense.*' has LoRA") as caught:
        restore_checkpoint(low_rank(), path)
    assert len(training.texts(caught)) == 1
