"""A plain learning rate in place of a schedule, or the other way round: the rest is restored."""

import keras
import numpy as np
import pytest

from kerascheckpoint import CheckpointWarning, restore_checkpoint
from support import kinds_of_model, training
from support.restoring import assert_refused, saved_now, stack
from support.training import assert_same

layers, optimizers = keras.layers, keras.optimizers

RATE = 0.75
BOTH_WAYS = pytest.mark.parametrize("to_schedule", [True, False], ids=["to schedule", "to rate"])
KINDS = {
    "SGD": optimizers.SGD,
    "Nadam": optimizers.Nadam,
    "averaged": lambda rate: optimizers.Adam(rate, use_ema=True, gradient_accumulation_steps=2),
    "scaled": lambda rate: optimizers.LossScaleOptimizer(optimizers.Adam(rate)),
}


@keras.saving.register_keras_serializable("tests")
class KerasAlone(layers.Dense):
    """Uses its store in a way that only Keras' own store serves."""

    def save_own_variables(self, store):
        assert store.h5_file
        super().save_own_variables(store)


class RefusingAssets(kinds_of_model.OwnAssets):
    """Refuses one text, which a restore finds out after it has loaded the arrays."""

    def load_assets(self, folder):
        super().load_assets(folder)
        if self.text == "learned\n":
            raise ValueError("not this one")


@keras.saving.register_keras_serializable("tests")
class Scalar(layers.Layer):
    """Has one weight without axes, so that the first slot variable looks like a rate."""

    def build(self, shape):
        self.scale = self.add_weight(shape=(), initializer="ones", name="scale")

    def call(self, x):
        return x * self.scale


def rates(to_schedule):
    """Return the rate of the file and that of the model."""
    both = RATE, optimizers.schedules.ExponentialDecay(0.5, 10, 0.25)
    return both if to_schedule else both[::-1]


def settings_of(rate):
    """Return the states in the record of a run whose script had this rate."""
    schedule = {"schedule": "ExponentialDecay(initial_learning_rate=0.5)"}
    values = {"learning_rate": "0.75"} if rate == RATE else schedule
    return {"settings": {"version": 1, "values": values}}


def with_numbers(model):
    """Build the optimizer and fill all of its variables except the learning rate."""
    model.optimizer.build(model.trainable_variables)
    for number, variable in enumerate(all_but_the_rate(model), 1):
        values = np.full(variable.shape, number)
        variable.assign(values.astype(keras.backend.standardize_dtype(variable.dtype)))
    return model


def all_but_the_rate(model):
    inner = getattr(model.optimizer, "inner_optimizer", model.optimizer)
    return [
        *model.weights,
        *(v for v in model.optimizer.variables if v is not inner._learning_rate),
    ]


def state_of(model):
    values = map(keras.ops.convert_to_numpy, all_but_the_rate(model))
    return {str(index): np.array(value) for index, value in enumerate(values)}


def assert_restored_with_one_warning(model, path, expected, *words):
    with pytest.warns(CheckpointWarning) as caught:
        restore_checkpoint(model, path)
    (text,) = training.texts(caught)
    for part in (repr(str(path)), "(this script's is used)", *words):
        assert part in text
    assert_same(state_of(model), state_of(expected))


def rate_of(model):
    return float(keras.ops.convert_to_numpy(model.optimizer.learning_rate))


@BOTH_WAYS
@pytest.mark.parametrize("kind", KINDS)
def test_all_but_the_rate_is_restored_with_one_warning(tmp_path, kind, to_schedule):
    before, now = map(KINDS[kind], rates(to_schedule))
    expected, path = (
        with_numbers(stack(layers.Dense(2), optimizer=before)),
        tmp_path / "m.weights.h5",
    )
    if kind == "Nadam":  # its first slot has no axes in Keras 3.3, so the record has to tell
        saved_now(expected, path, states=settings_of(rates(to_schedule)[0]))
    else:  # the arrays alone tell
        expected.save_weights(path)
    model = stack(layers.Dense(2), optimizer=now)  # its optimizer is not built
    words = ["was 0.75 and is the schedule Exp", "=0.75"] if to_schedule else ["and is 0.75 here"]
    assert_restored_with_one_warning(model, path, expected, *words)
    assert (0.1 < rate_of(model) < 0.5) if to_schedule else rate_of(model) == RATE


@BOTH_WAYS
@pytest.mark.parametrize(
    ("suffix", "layer"),
    [
        (".keras", layers.Dense),
        (".weights.h5", layers.Dense),
        (".orbax", layers.Dense),
        (".weights.h5", KerasAlone),
    ],
)
def test_each_form_of_a_file_names_the_earlier_schedule(tmp_path, suffix, layer, to_schedule):
    if suffix == ".orbax":
        pytest.importorskip("orbax.checkpoint")
    before, now = rates(to_schedule)
    expected = with_numbers(stack(layer(2), optimizer=optimizers.Adam(before)))
    path = saved_now(expected, tmp_path / f"m{suffix}", states=settings_of(before))
    model = stack(layer(2), optimizer=optimizers.Adam(now))
    words = ["was 0.75"] if to_schedule else ["was the schedule Exp", "=0.5) and is 0.75 here"]
    assert_restored_with_one_warning(model, path, expected, *words)


@BOTH_WAYS
def test_a_file_from_before_the_first_step_fits_as_well(tmp_path, to_schedule):
    before, now = map(optimizers.Adam, rates(to_schedule))
    expected = stack(layers.Dense(2), optimizer=before)
    expected.save_weights(tmp_path / "m.weights.h5")
    model = stack(layers.Dense(2), optimizer=now)
    model.optimizer.build(model.trainable_variables)
    expected.optimizer.build(expected.trainable_variables)
    assert_restored_with_one_warning(model, tmp_path / "m.weights.h5", expected)


@BOTH_WAYS
def test_a_slot_that_looks_like_a_rate_is_told_apart_by_the_record(tmp_path, to_schedule):
    before, now = (optimizers.SGD(rate, momentum=0.9) for rate in rates(to_schedule))
    expected = with_numbers(stack(Scalar(), optimizer=before))
    states = settings_of(rates(to_schedule)[0])
    path = saved_now(expected, tmp_path / "m.weights.h5", states=states)
    model = with_numbers(stack(Scalar(), optimizer=now))
    assert_restored_with_one_warning(model, path, expected)
    expected.save_weights(tmp_path / "stock.weights.h5")
    assert_refused(model, tmp_path / "stock.weights.h5", "which the (model|file) lacks")


@BOTH_WAYS
def test_nothing_is_changed_if_another_part_does_not_fit(tmp_path, to_schedule):
    def refusing(rate):
        added = RefusingAssets(), layers.Dense(2)
        return with_numbers(stack(*added, optimizer=optimizers.Adam(rate)))

    before, now = rates(to_schedule)
    expected = refusing(before)
    expected.layers[0].text = "learned\n"
    path = saved_now(expected, tmp_path / "m.keras")
    model = refusing(now)
    model.optimizer.iterations.assign(9)
    assert_refused(model, path, r"as it was before: [\s\S]*not this one")
    other = with_numbers(stack(layers.Dense(3), optimizer=optimizers.Adam(now)))
    assert_refused(other, path, r"'layers/dense.*' has shape|belongs to no layer")
