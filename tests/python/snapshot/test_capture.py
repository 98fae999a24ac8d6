"""Our own writer: a file that differs from Keras' would load wrongly without this package."""

import contextlib
import inspect
import os
import zipfile

import h5py
import keras
import numpy as np
import pytest
from keras.src.saving import saving_lib

from kerascheckpoint import ModelCheckpoint, verify_checkpoint
from kerascheckpoint.keras_seam import objects, state_tree
from kerascheckpoint.snapshot import capture
from support import kinds_of_model, small_files, training
from support.keras_files import assert_same_file, save_ours, save_theirs
from support.kinds_of_model import KINDS, sequential, trained
from support.small_files import read_record

# What Keras' store calls the group that it writes into, in Keras 3.3 and later.
OF_TODAY = "_h5_entry_group"
GROUP = OF_TODAY if OF_TODAY in inspect.getsource(saving_lib) else "group"

SUFFIXES = pytest.mark.parametrize("suffix", small_files.SUFFIXES)


@pytest.fixture(params=sorted(KINDS), scope="module")
def model(request):
    if request.param in kinds_of_model.TENSORFLOW_ONLY and keras.config.backend() != "tensorflow":
        pytest.skip("these layers need TensorFlow")
    return KINDS[request.param]()


@SUFFIXES
def test_our_file_of_each_kind_of_model_holds_what_keras_file_holds(tmp_path, model, saver, suffix):
    ours, theirs = tmp_path / f"ours{suffix}", tmp_path / f"theirs{suffix}"
    assert save_ours(saver, model, ours), "Keras' own saving was used"
    save_theirs(model, theirs)
    assert_same_file(ours, theirs)
    assert verify_checkpoint(ours).epoch == 1
    assert save_ours(saver, model, ours)
    assert_same_file(ours, theirs)


def test_stock_keras_loads_our_file_of_each_kind_of_model(tmp_path, model, saver):
    optimizer = getattr(model, "optimizer", None)
    if optimizer is not None and not optimizer.built:
        pytest.skip("Keras refuses its own file of such a model as well")
    save_ours(saver, model, tmp_path / "m.keras")
    loaded = keras.saving.load_model(tmp_path / "m.keras")
    expected = [np.array(keras.ops.convert_to_numpy(value)) for value in model.weights]
    found = [np.array(keras.ops.convert_to_numpy(value)) for value in loaded.weights]
    if "adapted" in [layer.name for layer in model.layers]:
        return  # a low-rank layer comes back merged: Keras' own way, compared above
    for one, other in zip(found, expected, strict=True):
        assert one.tobytes() == other.tobytes()


@keras.saving.register_keras_serializable("tests")
class Storing(keras.layers.Layer):
    """Stores in one of the ways that are allowed and that not every layer uses."""

    def __init__(self, way="buffer", **settings):
        super().__init__(**settings)
        self.way = way

    def get_config(self):
        return super().get_config() | {"way": self.way}

    def build(self, shape):
        self.scale = self.add_weight(shape=(2,), initializer="ones", name="scale")

    def call(self, x):
        return x * self.scale[0]

    def save_own_variables(self, store):
        buffer = np.zeros(2, "float32")
        for index in range(3):
            buffer[:] = index
            store[f"buffer{index}"] = buffer
        buffer[:] = -1
        before = keras.ops.convert_to_numpy(self.scale) + 0
        self.scale.assign(before * 7)
        store["scale"] = self.scale
        self.scale.assign(before)
        store["copy"] = np.array(store["scale"])
        if self.way == "asks":
            store["asked"] = np.float32(hasattr(store, "h5_file"))
        if self.way == "twice":
            with contextlib.suppress(Exception):
                store["scale"] = buffer

    def load_own_variables(self, store):
        self.scale.assign(store["scale"])


@SUFFIXES
@pytest.mark.parametrize(("way", "is_ours"), [("buffer", True), ("asks", False), ("twice", False)])
def test_what_a_layer_stores_is_what_it_held_when_it_stored_it(
    tmp_path, saver, suffix, way, is_ours
):
    model = trained(sequential(Storing(way), keras.layers.Dense(1)))
    ours, theirs = tmp_path / f"ours{suffix}", tmp_path / f"theirs{suffix}"
    for _ in range(2):
        assert save_ours(saver, model, ours) is is_ours
        save_theirs(model, theirs)
        assert_same_file(ours, theirs)


def test_an_optimizer_that_stores_in_its_own_way_does(tmp_path, saver):
    model = trained(sequential(keras.layers.Dense(1)))

    def store_only(store):
        store["mine"] = np.ones(3)

    model.optimizer.save_own_variables = store_only
    ours, theirs = tmp_path / "ours.weights.h5", tmp_path / "theirs.weights.h5"
    assert save_ours(saver, model, ours)
    assert model.optimizer.save_own_variables is store_only
    save_theirs(model, theirs)
    assert_same_file(ours, theirs)


def test_the_weights_in_a_keras_file_carry_nothing_but_keras_attributes(tmp_path, saver):
    model = trained(sequential(keras.layers.Dense(1)))
    for suffix in (".weights.h5", ".keras", ".weights.h5"):  # one saver for both
        assert save_ours(saver, model, tmp_path / f"m{suffix}")
        verify_checkpoint(tmp_path / f"m{suffix}")
    with (
        zipfile.ZipFile(tmp_path / "m.keras") as archive,
        archive.open("model.weights.h5") as member,
        h5py.File(member) as file,
    ):
        assert not dict(file.attrs)


@SUFFIXES
def test_one_saver_serves_model_after_model(tmp_path, saver, suffix):
    ours, theirs = tmp_path / f"ours{suffix}", tmp_path / f"theirs{suffix}"
    for units in (2, 3):
        model = trained(sequential(keras.layers.Dense(units), keras.layers.Dense(1)))
        save_ours(saver, model, ours)
        save_theirs(model, theirs)
        assert_same_file(ours, theirs)


@keras.saving.register_keras_serializable("tests")
class Odd(keras.layers.Layer):
    """Uses its store in ways that only Keras' own store serves."""

    def __init__(self, way="group", **settings):
        super().__init__(**settings)
        self.way = way

    def get_config(self):
        return super().get_config() | {"way": self.way}

    def build(self, shape):
        self.scale = self.add_weight(shape=(1,), initializer="ones", name="scale")

    def call(self, x):
        return x * self.scale

    def save_own_variables(self, store):
        store["0"] = self.scale
        if self.way == "group":
            getattr(store, GROUP).attrs["note"] = "kept"
        else:
            store.h5_file.attrs["note"] = "kept"


@SUFFIXES
@pytest.mark.parametrize("background", [False, True])
@pytest.mark.parametrize("way", ["group", "file"])
def test_a_store_used_in_an_unknown_way_is_left_to_keras_and_the_record_is_there(
    tmp_path, way, background, suffix
):
    model = trained(sequential(Odd(way), keras.layers.Dense(1)))
    ours, theirs = tmp_path / f"ours{suffix}", tmp_path / f"theirs{suffix}"
    settings = {"save_weights_only": suffix != ".keras", "save_on_background": background}
    checkpoint = ModelCheckpoint(ours, **settings)
    training.train(model, checkpoint, epochs=2)
    save_theirs(model, theirs)
    assert_same_file(ours, theirs)
    fields = read_record(str(ours))
    assert "image" not in fields
    assert set(fields["arrays"]) >= {"layers/odd/vars/0"}
    assert verify_checkpoint(ours).epoch == 2
    assert training.names_in(tmp_path) == [ours.name, theirs.name]


@SUFFIXES
def test_a_layer_that_fails_to_save_fails_with_its_own_error(tmp_path, suffix):
    class Broken(Odd):
        def save_own_variables(self, store):
            raise ZeroDivisionError("by design")

    model = trained(sequential(Broken(), keras.layers.Dense(1)))
    checkpoint = ModelCheckpoint(tmp_path / f"m{suffix}", save_weights_only=suffix != ".keras")
    with pytest.raises(ZeroDivisionError, match="by design"):
        training.train(model, checkpoint)
    assert training.names_in(tmp_path) == []


class Stacked(keras.Model):
    """A model whose layers are attributes: PyTorch's children of the module."""

    def __init__(self):
        super().__init__()
        self.inner, self.outer = keras.layers.Dense(4), keras.layers.Dense(1)

    def call(self, inputs):
        return self.outer(self.inner(inputs))


@pytest.mark.parametrize("make", [training.tiny_model, Stacked])
def test_one_walk_serves_all_saves_of_one_fit_and_the_next(make, tmp_path, monkeypatch):
    """A walk over many layers takes longer than all the rest of a save."""
    walks, walk = [], objects.saveables
    monkeypatch.setattr(objects, "saveables", lambda model: walks.append(1) or walk(model))
    model = make()
    model.compile("adam", "mse", metrics=["mae"])

    def at_second_batch_and_at_end(epoch, batch, logs):
        return batch in (1, None)

    saving = ModelCheckpoint(tmp_path / "{step}.keras", save_freq=at_second_batch_and_at_end)
    for _ in range(2):
        training.train(model, saving, epochs=2, validation_data=training.samples())
    assert training.names_in(tmp_path) == [f"{step}.keras" for step in (2, 4, 6, 8)]
    assert len(walks) == 1


def test_the_first_save_behind_training_finds_everything_ready(tmp_path, monkeypatch):
    """Objects and config are there when training begins, or after TensorFlow's first batch."""
    calls, done = [], []

    def note_calls_of(module, name):
        own = getattr(module, name)
        monkeypatch.setattr(module, name, lambda *all: calls.append((name, len(done))) or own(*all))

    note_calls_of(objects, "saveables")
    note_calls_of(capture, "serialize")
    note_calls_of(state_tree, "keys_in_state_tree")
    path = tmp_path / "{step}.keras"
    saving = ModelCheckpoint(path, "loss", save_freq=2, save_on_background=True)
    counting = keras.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: done.append(1))
    training.train(training.noisy_model(), saving, counting)
    assert training.names_in(tmp_path) == ["2.keras", "4.keras"]
    first = 1 if keras.config.backend() == "tensorflow" else 0
    names = ("saveables", "keys_in_state_tree", "serialize")
    assert calls == [(name, first) for name in names]


SAVE_AFTER_TRAINING = """
import sys
from support import training
from kerascheckpoint import ModelCheckpoint

model = training.tiny_model()
training.train(model)
before = set(sys.modules)
weights_only = sys.argv[1].endswith(".weights.h5")
training.train(model, ModelCheckpoint(sys.argv[1], "loss", save_weights_only=weights_only))
print({"jax", "tensorflow", "torch"} & set(sys.modules) - before)
"""


@SUFFIXES
def test_a_save_imports_no_framework_that_training_did_without(tmp_path, suffix):
    """Keras' own imports TensorFlow on every backend, if it is installed; that takes seconds."""
    path = tmp_path / f"m{suffix}"
    here = os.path.dirname(__file__)
    done = training.in_python(SAVE_AFTER_TRAINING, str(path), cwd=here)
    assert done.returncode == 0, done.stderr
    assert path.exists()
    assert done.stdout.splitlines()[-1] == "set()"


def test_a_shape_of_tensorflow_in_a_config_is_written_as_keras_writes_it(tmp_path, saver):
    tensorflow = pytest.importorskip("tensorflow")

    class Shaped(keras.layers.Dense):
        def get_config(self):
            return super().get_config() | {"shape": tensorflow.TensorShape([None, 3])}

    model = trained(sequential(Shaped(4), keras.layers.Dense(1)))
    assert save_ours(saver, model, tmp_path / "ours.keras")
    save_theirs(model, tmp_path / "theirs.keras")
    assert_same_file(tmp_path / "ours.keras", tmp_path / "theirs.keras")
