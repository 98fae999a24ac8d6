"""`restore_checkpoint`: all of a file's state comes back, or an error and nothing is changed."""

import random

import keras
import numpy as np
import pytest

from kerascheckpoint import (
    CheckpointCorruptError,
    CheckpointError,
    CheckpointMismatchError,
    CheckpointNotFoundError,
    CheckpointWarning,
    ModelCheckpoint,
    restore_checkpoint,
)
from kerascheckpoint.saving import Saver
from kerascheckpoint.state import random as random_state
from kerascheckpoint.state.packing import pack
from support import kinds_of_model, small_files, training
from support.training import arrays_of, assert_same, noisy_model, train

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


@SUFFIXES
def test_training_goes_on_from_a_restored_model_as_if_it_had_never_stopped(tmp_path, suffix):
    model = noisy_model()
    path = saved(model, tmp_path / f"m{suffix}")
    train(model, epochs=2, initial_epoch=1)
    other = noisy_model()
    train(other, epochs=1, steps=2)
    info = restore_checkpoint(other, path)
    assert (info.epoch, info.step) == (1, 4)
    train(other, epochs=2, initial_epoch=info.epoch)
    assert_same(arrays_of(other), arrays_of(model))


@SUFFIXES
@pytest.mark.parametrize("optimizer", ["adam", "sgd", "rmsprop"])
def test_an_optimizer_that_is_not_built_is_built_first(tmp_path, suffix, optimizer):
    model = noisy_model(optimizer)
    path = saved(model, tmp_path / f"m{suffix}")
    other = noisy_model(optimizer)
    assert not other.optimizer.built
    restore_checkpoint(other, path)
    assert_same(arrays_of(other), arrays_of(model))


@SUFFIXES
def test_a_model_that_is_not_built_is_built_first(tmp_path, suffix):
    def unbuilt():
        model = keras.Sequential([layers.Dense(4), layers.Dense(1)])
        model.compile(optimizer="adam", loss="mse")
        return model

    model = unbuilt()
    path = saved(model, tmp_path / f"m{suffix}")
    other = unbuilt()
    restore_checkpoint(other, path)
    assert_same(arrays_of(other), arrays_of(model))


@SUFFIXES
def test_a_model_without_optimizer_takes_the_weights_and_says_what_was_left_out(tmp_path, suffix):
    model = training.tiny_model(optimizer="adam")
    path = saved(model, tmp_path / f"m{suffix}")
    other = training.tiny_model(compiled=False)
    with pytest.warns(CheckpointWarning, match="no optimizer: the optimizer's state"):
        restore_checkpoint(other, path)
    for found, expected in zip(other.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("suffix", small_files.SUFFIXES)
def test_a_stock_file_restores_what_it_has(tmp_path, suffix):
    model = training.tiny_model(optimizer="adam")
    train(model)
    path = tmp_path / f"stock{suffix}"
    model.save(path) if suffix == ".keras" else model.save_weights(path)
    other = training.tiny_model(optimizer="adam")
    info = restore_checkpoint(other, path)
    assert (info.epoch, info.schema) == (None, None)
    assert_same(arrays_of(other), arrays_of(model))


def test_random_numbers_go_on_where_they_were(tmp_path):
    model = noisy_model()
    path = saved(model, tmp_path / "m.keras")
    expected = (np.random.rand(), float(keras.random.uniform(())))
    other = noisy_model()
    restore_checkpoint(other, path)
    assert (np.random.rand(), float(keras.random.uniform(()))) == expected


DIFFERENT = {
    "more units": ([layers.Dense(5), layers.Dense(1)], r"'layers/dense/vars/0' has shape \(3, 4\)"),
    "a layer more": (
        [layers.Dense(4), layers.Dense(1), layers.Dense(1)],
        r"the model has 'layers/dense_2/vars/0', which the file lacks",
    ),
    "a layer less": ([layers.Dense(1)], r"'layers/dense/vars/0' has shape"),
    "no bias": (
        [layers.Dense(4, use_bias=False), layers.Dense(1)],
        r"'(layers|optimizer)/.*' has shape|, which the (file|model) lacks",
    ),
    "another type of numbers": (
        [layers.Dense(4, dtype="float16"), layers.Dense(1, dtype="float16")],
        r"'layers/dense/vars/0' has dtype float32 in the file and float16 in the model",
    ),
    "a random layer more": (
        [layers.Dense(4), layers.Dropout(0.5), layers.Dense(1)],
        r"state of 0 seed generators, the model has 1|'layers/dropout/.*', which the file lacks",
    ),
}


@SUFFIXES
@pytest.mark.parametrize("difference", DIFFERENT)
def test_a_model_that_differs_is_told_the_first_difference_and_is_not_changed(
    tmp_path, suffix, difference
):
    path = saved(stack(layers.Dense(4), layers.Dense(1)), tmp_path / f"m{suffix}")
    added, words = DIFFERENT[difference]
    other = stack(
        *[type(layer).from_config(layer.get_config() | {"name": None}) for layer in added]
    )
    other.optimizer.build(other.trainable_variables)
    before = arrays_of(other)
    with pytest.raises(CheckpointMismatchError, match=words):
        restore_checkpoint(other, path)
    assert_same(arrays_of(other), before)


@SUFFIXES
def test_another_optimizer_is_a_difference_too(tmp_path, suffix):
    path = saved(training.tiny_model(optimizer="adam"), tmp_path / f"m{suffix}")
    other = training.tiny_model(optimizer="sgd")
    other.optimizer.build(other.trainable_variables)
    before = arrays_of(other)
    with pytest.raises(CheckpointMismatchError, match="the optimizer Adam, the model has SGD"):
        restore_checkpoint(other, path)
    assert_same(arrays_of(other), before)


@SUFFIXES
def test_a_file_from_before_the_first_step_is_restored(tmp_path, suffix):
    """Keras makes an optimizer's slots with the first step; before, there is nothing to lack."""
    model = training.tiny_model(optimizer="adam")
    model.optimizer.learning_rate = 0.25
    Saver(on_background=False).save(model, str(tmp_path / f"m{suffix}"), FIELDS, ended)
    other = training.tiny_model(optimizer="adam")
    restore_checkpoint(other, tmp_path / f"m{suffix}")
    assert_same(
        {name: a for name, a in arrays_of(other).items() if name.startswith("model")},
        {name: a for name, a in arrays_of(model).items() if name.startswith("model")},
    )
    assert float(other.optimizer.learning_rate) == 0.25


@SUFFIXES
def test_slots_are_not_missing_silently_from_a_training_that_went_on(tmp_path, suffix):
    Saver(on_background=False).save(
        training.tiny_model(optimizer="adam"), str(tmp_path / f"m{suffix}"), FIELDS, ended
    )
    other = training.tiny_model(optimizer="adam")
    train(other)
    before = arrays_of(other)
    with pytest.raises(CheckpointMismatchError, match="which the file lacks"):
        restore_checkpoint(other, tmp_path / f"m{suffix}")
    assert_same(arrays_of(other), before)


def test_a_file_without_any_optimizer_leaves_the_models_own_and_says_so(tmp_path):
    training.tiny_model(compiled=False).save_weights(tmp_path / "m.weights.h5")
    other = training.tiny_model(optimizer="adam")
    with pytest.warns(CheckpointWarning, match="holds no optimizer's state"):
        restore_checkpoint(other, tmp_path / "m.weights.h5")


@SUFFIXES
def test_an_optimizer_with_state_of_the_same_form_is_another_one(tmp_path, suffix):
    """Momentum of Adam in the place of AdamW's would be a silent mistake."""
    path = saved(training.tiny_model(optimizer="adam"), tmp_path / f"m{suffix}")
    with pytest.raises(CheckpointMismatchError, match="Adam, the model has AdamW"):
        restore_checkpoint(training.tiny_model(optimizer="adamw"), path)


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


@SUFFIXES
def test_a_layer_that_refuses_in_the_middle_leaves_nothing_half_loaded(tmp_path, suffix):
    model = stack(layers.Dense(4), Refusing(), layers.Dense(1), optimizer="sgd")
    model.optimizer.learning_rate = 0.0
    model.layers[1].scale.assign([3.0])
    path = saved(model, tmp_path / f"m{suffix}")
    other = stack(layers.Dense(4), Refusing(), layers.Dense(1), optimizer="sgd")
    other.layers[1].refuses = True
    other.optimizer.build(other.trainable_variables)
    before = arrays_of(other)
    with pytest.raises(CheckpointMismatchError, match=r"as it was before: not this one"):
        restore_checkpoint(other, path)
    assert_same(arrays_of(other), before)


def test_a_file_without_our_random_state_fits_any_model(tmp_path):
    model = stack(layers.Dense(4), layers.Dropout(0.5))
    path = tmp_path / "m.weights.h5"
    train(model)
    model.save_weights(path)
    restore_checkpoint(stack(layers.Dense(4), layers.Dropout(0.5)), path)


@SUFFIXES
@pytest.mark.parametrize("kind", ["missing", "damaged", "foreign"])
def test_a_file_that_is_not_whole_is_not_even_begun_with(tmp_path, suffix, kind):
    model = training.tiny_model(optimizer="adam")
    path = saved(model, tmp_path / f"m{suffix}")
    before = arrays_of(model)
    if kind == "missing":
        path.unlink()
    elif kind == "damaged":
        training.damage(path)
    else:
        path.write_bytes(b"something else")
    error = CheckpointNotFoundError if kind == "missing" else CheckpointCorruptError
    with pytest.raises(error, match=path.name):
        restore_checkpoint(model, path)
    assert_same(arrays_of(model), before)


def test_a_legacy_file_says_how_to_load_it(tmp_path, shared_model):
    train(shared_model, ModelCheckpoint(tmp_path / "m.h5"))
    with pytest.raises(CheckpointError, match=r"legacy \.h5 model.*keras\.saving\.load_model"):
        restore_checkpoint(shared_model, tmp_path / "m.h5")


def test_a_model_that_cannot_be_built_says_what_to_do(tmp_path):
    path = tmp_path / "m.weights.h5"
    train(model := training.tiny_model())
    model.save_weights(path)
    unbuilt = keras.Sequential([layers.Dense(4), layers.Dense(1)])
    unbuilt.compile(optimizer="sgd", loss="mse")
    with pytest.raises(CheckpointMismatchError, match=r"not built.*model\.build\(input_shape\)"):
        restore_checkpoint(unbuilt, path)


def test_assets_come_back(tmp_path):
    model = kinds_of_model.own_assets()
    model.layers[0].text = "learned\n"
    path = saved(model, tmp_path / "m.keras")
    other = kinds_of_model.own_assets()
    restore_checkpoint(other, path)
    assert [other.layers[0].text, other.layers[2].text] == ["learned\n", "größe\n"]


KINDS = [
    *("averaged weights", "loss scaled", "recurrent", "bfloat16", "nested", "subclassed"),
    *("quantized", "own variables"),
]


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_of_model_is_restored_bit_for_bit(tmp_path, kind):
    model = kinds_of_model.KINDS[kind]()
    keras.utils.set_random_seed(2)
    other = kinds_of_model.KINDS[kind]()
    fields = {"epoch": 1, "batch": 0, "step": 1, "metrics": {}, "reason": "epoch"}
    fields |= {"saved_at": "2030-01-01T00:00:00+00:00"}
    for suffix in small_files.SUFFIXES:
        for variable in other.weights:
            variable.assign(variable + 1)
        outcome = []
        path = tmp_path / f"m{suffix}"
        Saver(on_background=False).save(model, str(path), fields, outcome.append)
        restore_checkpoint(other, path)
        assert outcome == [None]
        for one, reference in zip(other.weights, model.weights, strict=True):
            found, expected = (keras.ops.convert_to_numpy(weight) for weight in (one, reference))
            assert np.array(found).tobytes() == np.array(expected).tobytes(), one.path


# Random state -----------------------------------------------------------------------------------

PYTHON = [3, ["uint64", [625], "AAAA"], None]
UNUSABLE = {
    "none at all": lambda state: None,
    "empty": lambda state: {},
    "no bytes of Python's": lambda state: state | {"python": PYTHON},
    "a text in Python's": lambda state: state | {"python": [*state["python"][:2], "soon"]},
    "another generator of NumPy": lambda state: state | {"numpy": {"bit_generator": "Philox"}},
    "a position outside": lambda state: (
        state | {"numpy": state["numpy"] | {"state": state["numpy"]["state"] | {"pos": 10**6}}}
    ),
    "three numbers for Keras": lambda state: state | {"keras": pack(np.zeros(3, np.uint32))},
    "no bytes of a layer's": lambda state: state | {"layers": [["uint32", [2], "AAAA"]]},
}


@SUFFIXES
@pytest.mark.parametrize("way", UNUSABLE)
def test_an_unusable_random_state_is_found_before_anything_is_loaded(tmp_path, suffix, way):
    model = noisy_model()
    state = UNUSABLE[way](random_state.capture(model))
    path = saved_now(model, tmp_path / f"m{suffix}", random=state)
    other = noisy_model()
    train(other)
    expected = random.getstate()
    assert_refused(other, path, "its random state is not usable", CheckpointCorruptError)
    assert random.getstate() == expected


@pytest.mark.parametrize("array", [np.zeros(9, np.uint32), np.zeros(2, np.float32)])
def test_a_seed_of_another_form_is_a_difference(tmp_path, array):
    model = noisy_model()
    state = random_state.capture(model) | {"layers": [pack(array)]}
    path = saved_now(model, tmp_path / "m.keras", random=state)
    other = noisy_model()
    train(other)
    assert_refused(other, path, "the state of the seed generator .* in the file and")


# Objects whose stores only Keras can serve ------------------------------------------------------


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
    assert float(other.optimizer.learning_rate) == 0.25
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


# Assets and roll-back ---------------------------------------------------------------------------


class RefusingAssets(kinds_of_model.OwnAssets):
    """Refuses one text, if it is told to, and has taken it by then."""

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
    assert_refused(other, path, r"'assets/layers/own_assets/.*', which no layer takes")


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


# Several optimizers, and LoRA -------------------------------------------------------------------


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
            optimizer.apply([keras.ops.ones_like(variable) for variable in variables], variables)


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
    with pytest.warns(CheckpointWarning, match="holds no optimizer's state"):
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
    assert len(caught) == 1
