"""Models that a restore builds as the file says, and leaves unbuilt if it fails."""

import keras
import pytest
from keras import layers

from kerascheckpoint import CheckpointMismatchError, ModelCheckpoint, restore_checkpoint
from support.training import arrays_of, assert_same, checkpoint_file, train


@keras.saving.register_keras_serializable("unbuilt")
class Subclassed(keras.Model):
    """A model with no `build` of its own."""

    def __init__(self, units=4, **settings):
        super().__init__(**settings)
        self.units = units
        self.parts = [layers.Dense(units), layers.Dropout(0.5), layers.Dense(1)]

    def call(self, inputs):
        for part in self.parts:
            inputs = part(inputs)
        return inputs

    def get_config(self):
        return {"units": self.units}


def sequential(units=4):
    return keras.Sequential([layers.Dense(units), layers.Dense(1)])


KINDS = pytest.mark.parametrize("kind", [sequential, Subclassed])


def unbuilt(kind, units=4):
    model = kind(units)
    model.compile("adam", "mse")
    return model


def is_unbuilt(model):
    names = [variable.name for variable in model.variables]
    return not model.built and not model.optimizer.built and "kernel" not in names


@KINDS
def test_a_model_is_built_with_the_shapes_of_the_file(kind, tmp_path):
    model = unbuilt(kind)
    train(model, ModelCheckpoint(tmp_path / "m.keras", monitor="loss"))
    other = unbuilt(kind)
    assert is_unbuilt(other)
    restore_checkpoint(other, tmp_path / "m.keras")
    assert_same(arrays_of(other), arrays_of(model))


@KINDS
def test_a_refused_restore_leaves_an_unbuilt_model_unbuilt(kind, tmp_path):
    """The user may build it with other shapes, or restore another file, afterwards."""
    model = unbuilt(kind)
    train(model, ModelCheckpoint(tmp_path / "m.keras", monitor="loss"))
    train(unbuilt(kind, 5), ModelCheckpoint(tmp_path / "other.keras", monitor="loss"))
    other = unbuilt(kind)
    with pytest.raises(CheckpointMismatchError, match="has shape"):
        restore_checkpoint(other, tmp_path / "other.keras")
    assert is_unbuilt(other)
    restore_checkpoint(other, tmp_path / "m.keras")
    assert_same(arrays_of(other), arrays_of(model))
    train(other)


@KINDS
@pytest.mark.parametrize(
    ("config", "reason"),
    [
        ({"input_shape": [None, 20_000_000]}, "needs .* bytes, but the file holds"),
        ({"input_shape": [None, 10**13]}, "input of shape"),
        ({"input_shape": [2, -3]}, "input of shape"),
        ({"input_shape": [None, "wide"]}, "built|the file holds"),
        ({"input_shape": {"a": [None, 10**13]}}, "input of shape"),
        ({"shapes_dict": {"inputs_shape": [None, 20_000_000]}}, "needs .* bytes|not built"),
    ],
)
@pytest.mark.filterwarnings("ignore:Model .* had a build config:UserWarning")
def test_shapes_that_no_file_can_hold_take_no_memory(kind, config, reason, tmp_path):
    """20,000,000 inputs of 64 units would take 5 GB; 10**13 end the process."""
    path = checkpoint_file(tmp_path / "m.keras", build_config=config)
    model = unbuilt(kind, 64)
    with pytest.raises(CheckpointMismatchError, match=reason):
        restore_checkpoint(model, path)
    assert is_unbuilt(model)


def test_a_refused_restore_leaves_an_unbuilt_optimizer_unbuilt(tmp_path):
    def built(units):
        model = keras.Sequential([keras.Input((3,)), layers.Dense(units), layers.Dense(1)])
        model.compile("adam", "mse")
        return model

    train(built(5), ModelCheckpoint(tmp_path / "m.keras", monitor="loss"))
    model = built(4)
    before = arrays_of(model)
    with pytest.raises(CheckpointMismatchError, match="has shape"):
        restore_checkpoint(model, tmp_path / "m.keras")
    assert not model.optimizer.built
    assert_same(arrays_of(model), before)
    train(model)


class Nested(layers.Layer):
    """A layer in a layer in a layer ..."""

    def __init__(self, depth):
        super().__init__()
        self.inner = Nested(depth - 1) if depth > 1 else layers.Dense(2)

    def build(self, input_shape):
        self.inner.build(input_shape)
        self.built = True

    def call(self, inputs):
        return self.inner(inputs)


@pytest.mark.any_backend
def test_a_hundred_nested_levels_are_saved_restored_and_resumed(tmp_path):
    # PyTorch's own calls take four frames for each level, and Python has a thousand.
    levels = 70 if keras.config.backend() == "torch" else 100

    def nested():
        model = keras.Sequential([keras.Input((3,)), Nested(levels), layers.Dense(1)])
        model.compile("sgd", "mse")
        return model

    model, path = nested(), tmp_path / "m.weights.h5"
    settings = {"monitor": "loss", "save_weights_only": True}
    train(model, ModelCheckpoint(path, **settings))
    other = nested()
    restore_checkpoint(other, path)
    assert_same(arrays_of(other), arrays_of(model))
    history = train(nested(), ModelCheckpoint(path, resume=True, **settings), epochs=2)
    assert history.epoch == [0, 1]
