"""`restore_checkpoint`: all of a file's state comes back, or an error and nothing is changed."""

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
from support import kinds_of_model, small_files, training
from support.restoring import FIELDS, SUFFIXES, Refusing, ended, saved, stack
from support.training import arrays_of, assert_same, noisy_model, train

layers = keras.layers


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
    with pytest.warns(CheckpointWarning, match="no optimizer, so the optimizer state"):
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
    keras.random.uniform(())  # the first draw makes Keras' generator
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
    assert float(other.optimizer.learning_rate.numpy()) == 0.25


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
    with pytest.warns(CheckpointWarning, match="holds no optimizer state"):
        restore_checkpoint(other, tmp_path / "m.weights.h5")


@SUFFIXES
def test_an_optimizer_with_state_of_the_same_form_is_another_one(tmp_path, suffix):
    """Momentum of Adam in the place of AdamW's would be a silent mistake."""
    path = saved(training.tiny_model(optimizer="adam"), tmp_path / f"m{suffix}")
    with pytest.raises(CheckpointMismatchError, match="Adam, the model has AdamW"):
        restore_checkpoint(training.tiny_model(optimizer="adamw"), path)


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


def test_what_is_no_model_is_named(tmp_path):
    with pytest.raises(TypeError, match=r"model must be a Keras model.*'m\.keras'"):
        restore_checkpoint("m.keras", tmp_path)
