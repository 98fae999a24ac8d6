"""Our own writer: a file that differs from Keras' would load wrongly without this package."""

import contextlib
import json
import os
import zipfile

import h5py
import keras
import numpy as np
import pytest

from kerascheckpoint import ModelCheckpoint, verify_checkpoint
from kerascheckpoint.formats import reading
from kerascheckpoint.keras_seam import objects
from kerascheckpoint.saving import Saver
from support import kinds_of_model, small_files, training
from support.kinds_of_model import KINDS, sequential, trained

SUFFIXES = pytest.mark.parametrize("suffix", small_files.SUFFIXES)

FIELDS = {
    **{"epoch": 1, "batch": 0, "step": 2, "metrics": {}, "reason": "epoch"},
    **{"saved_at": "2030-01-01T00:00:00+00:00"},
}


@pytest.fixture(params=sorted(KINDS), scope="module")
def model(request):
    if request.param in kinds_of_model.TENSORFLOW_ONLY and keras.config.backend() != "tensorflow":
        pytest.skip("these layers need TensorFlow")
    return KINDS[request.param]()


@pytest.fixture
def saver():
    return Saver(on_background=False)


def save_ours(saver, model, path):
    """Save a model as the callback does; return whether our own writer did it."""
    outcome = []
    saver.save(model, str(path), FIELDS, outcome.append)
    assert outcome == [None]
    return "image" in reading.read_record(str(path))


def save_theirs(model, path):
    model.save_weights(path) if path.name.endswith(".weights.h5") else model.save(path)


def content_of(file):
    """Return arrays, attributes and groups of an HDF5 file; empty `vars` groups say nothing."""
    arrays, attributes, groups = {}, {}, set()

    def visit(name, item):
        if isinstance(item, h5py.Group):
            if item or not name.endswith("vars"):
                groups.add(name)
        else:
            assert item.chunks is None
            arrays[name] = (item.shape, item.dtype, item[()].tobytes())
        attributes.update({(name, key): value for key, value in item.attrs.items()})

    with h5py.File(file, "r") as h5_file:
        h5_file.visititems(visit)
        attributes.update({("", key): value for key, value in h5_file.attrs.items()})
    attributes.pop(("", "kerascheckpoint"), None)
    return arrays, attributes, groups


def assert_same_weights(ours, theirs):
    (arrays, attributes, groups), expected = content_of(ours), content_of(theirs)
    assert list(arrays) == list(expected[0])
    for name, array in arrays.items():
        assert array == expected[0][name], name
    added = {place: value for place, value in attributes.items() if place not in expected[1]}
    assert {place: attributes.get(place) for place in expected[1]} == expected[1]
    assert all(place.endswith("vars") for place, _ in added)
    assert groups >= expected[2]
    assert all(f"{group}/vars" not in expected[0] for group in groups - expected[2])


def assert_same_file(ours, theirs):
    """Assert that a file holds what Keras' file holds."""
    if ours.name.endswith(".weights.h5"):
        assert_same_weights(ours, theirs)
        return
    with zipfile.ZipFile(ours) as mine, zipfile.ZipFile(theirs) as reference:
        assert sorted(mine.namelist()) == sorted(reference.namelist())
        assert json.loads(mine.read("config.json")) == json.loads(reference.read("config.json"))
        metadata = json.loads(mine.read("metadata.json"))
        assert metadata["keras_version"] == keras.__version__
        assert set(metadata) - {"kerascheckpoint"} == {"keras_version", "date_saved"}
        for name in mine.namelist():
            if name.startswith("assets/"):
                assert mine.read(name) == reference.read(name)
        with mine.open("model.weights.h5") as a, reference.open("model.weights.h5") as b:
            assert_same_weights(a, b)


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


def add_layer(model):
    model.add(keras.layers.Dense(1, name="added"))
    model.compile(optimizer="adam", loss="mse")


def remove_layer(model):
    model.pop()
    model.compile(optimizer="adam", loss="mse")


CHANGES = {
    "trained on": lambda model: trained(model),
    "frozen": lambda model: setattr(model.layers[0], "trainable", False),
    "all frozen": lambda model: setattr(model, "trainable", False),
    "compiled anew": lambda model: model.compile(optimizer="sgd", loss="mae", metrics=["mse"]),
    "compiled with another loss object": lambda model: model.compile(
        optimizer="adam", loss=keras.losses.Huber(0.25)
    ),
    "a layer added": add_layer,
    "a layer taken away": remove_layer,
    "learning rate": lambda model: setattr(model.optimizer, "learning_rate", 0.125),
    "learning rate assigned": lambda model: model.optimizer.learning_rate.assign(0.125),
    "weight decay": lambda model: setattr(model.optimizer, "weight_decay", 0.5),
    "regularizer's strength, a tensor": lambda model: setattr(
        model.layers[0].kernel_regularizer, "l2", keras.ops.convert_to_tensor(0.5)
    ),
    "regularizer's strength, of NumPy": lambda model: setattr(
        model.layers[0].kernel_regularizer, "l2", np.array(0.5)
    ),
    "regularizer's strength, a float": lambda model: setattr(
        model.layers[0].kernel_regularizer, "l2", 0.5
    ),
    "another regularizer": lambda model: setattr(
        model.layers[0], "kernel_regularizer", keras.regularizers.L1(0.1)
    ),
    "dropout's rate": lambda model: setattr(model.layers[1], "rate", 0.125),
    "dropout's rate, of NumPy": lambda model: setattr(model.layers[1], "rate", np.float32(0.125)),
    "activation": lambda model: setattr(model.layers[0], "activation", keras.activations.tanh),
    "quantized": kinds_of_model.quantize,
    "low rank": lambda model: model.layers[0].enable_lora(2),
    "another dtype policy": lambda model: setattr(
        model.layers[0], "dtype_policy", keras.DTypePolicy("mixed_bfloat16")
    ),
    "bounds of a normalization": lambda model: setattr(model.layers[2], "momentum", 0.5),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_between_two_saves_is_in_the_second(tmp_path, change):
    layers = keras.layers
    regularized = layers.Dense(2, kernel_regularizer=keras.regularizers.L2(0.01))
    model = trained(
        sequential(regularized, layers.Dropout(0.5), layers.BatchNormalization(), layers.Dense(1))
    )
    if "of NumPy" in change:
        model.layers[0].kernel_regularizer.l2 = np.array(0.25)
        model.layers[1].rate = np.float32(0.5)
    savers = {suffix: Saver(on_background=False) for suffix in small_files.SUFFIXES}
    for suffix, saver in savers.items():
        save_ours(saver, model, tmp_path / f"ours{suffix}")
    CHANGES[change](model)
    for suffix, saver in savers.items():
        ours, theirs = tmp_path / f"ours{suffix}", tmp_path / f"theirs{suffix}"
        assert save_ours(saver, model, ours)
        save_theirs(model, theirs)
        assert_same_file(ours, theirs)


@keras.saving.register_keras_serializable("tests")
class Slotted(keras.regularizers.Regularizer):
    """A regularizer without a `__dict__`, whose settings lie deep."""

    __slots__ = ("settings",)

    def __init__(self, settings=None):
        self.settings = settings or {"deep": {"strength": 0.1}}

    def __call__(self, x):
        return self.settings["deep"]["strength"] * keras.ops.sum(x)

    def get_config(self):
        return {"settings": self.settings}


@keras.saving.register_keras_serializable("tests")
class Weighted(keras.regularizers.Regularizer):
    """A regularizer with a large array among its settings, of which `repr` shows a few figures."""

    asked = 0

    def __init__(self, weights):
        self.weights = np.asarray(weights)

    def __call__(self, x):
        return keras.ops.sum(x) * float(self.weights.sum())

    def get_config(self):
        Weighted.asked += 1
        return {"weights": self.weights}


def test_a_save_of_weights_asks_no_regularizer_for_its_config(tmp_path, saver):
    """The config of an initializer or a regularizer may hold a whole matrix, as a list."""
    regularizer = Weighted(np.zeros(5000))
    dense = keras.layers.Dense(4, kernel_regularizer=regularizer)
    model = trained(sequential(dense, keras.layers.Dense(1)))
    before = Weighted.asked
    for _ in range(2):
        assert save_ours(saver, model, tmp_path / "m.weights.h5")
    assert Weighted.asked == before


def test_a_layer_may_hold_a_container_that_holds_itself(tmp_path, saver):
    dense = keras.layers.Dense(4)
    dense.table = {"mine": {}}
    dense.table["mine"]["all"] = dense.table
    model = trained(sequential(dense, keras.layers.Dense(1)))
    for _ in range(2):
        assert save_ours(saver, model, tmp_path / "ours.keras")
    save_theirs(model, tmp_path / "theirs.keras")
    assert_same_file(tmp_path / "ours.keras", tmp_path / "theirs.keras")


def test_a_module_of_pytorch_is_in_each_file_as_it_is_then(tmp_path, saver, backend):
    if backend != "torch":
        pytest.skip("a module of PyTorch needs its backend")
    import torch

    dropout = torch.nn.Dropout(0.1)
    wrapped = keras.layers.TorchModuleWrapper(torch.nn.Sequential(torch.nn.Linear(3, 4), dropout))
    model = keras.Sequential([wrapped])
    model.compile("sgd", "mse")
    model.fit(np.zeros((4, 3), "float32"), np.zeros((4, 4), "float32"), verbose=0)
    for rate in (0.1, 0.9):
        dropout.p = rate
        assert save_ours(saver, model, tmp_path / "m.keras")
        loaded = keras.saving.load_model(tmp_path / "m.keras", safe_mode=False)
        assert loaded.layers[0].module[1].p == rate


def change_in_place(model, factor, change):
    layer = model.layers[0]
    if change == "nested settings":
        layer.kernel_regularizer.settings["deep"]["strength"] = 0.5
    elif change == "another object at the same address":
        layer.bias_initializer = None
        layer.bias_initializer = keras.initializers.Ones()
    elif change == "the large array of a setting":
        model.layers[1].input_mean[3] = 5.0
    elif change == "the large array of a regularizer":
        layer.bias_regularizer.weights[2500] += 1e-10
    else:
        factor["value"] = 3.0


@pytest.mark.filterwarnings("ignore:The object being serialized includes a `lambda`")
@pytest.mark.parametrize(
    "change",
    [
        *("nested settings", "another object at the same address"),
        *("the large array of a setting", "the large array of a regularizer"),
        *("what a function closes over", "what an activation closes over"),
    ],
)
def test_what_is_changed_in_place_is_in_the_second_file(tmp_path, saver, change):
    factor = {"value": 2.0}
    function = keras.layers.Lambda(lambda x: x * factor["value"])
    activation = (lambda x: x * factor["value"]) if "activation" in change else None
    regularizers = {"kernel_regularizer": Slotted(), "bias_regularizer": Weighted(np.zeros(5000))}
    layers = [
        keras.layers.Dense(80, activation, bias_initializer="zeros", **regularizers),
        keras.layers.Normalization(mean=np.zeros(80), variance=np.ones(80)),
        *([function] if "function" in change else []),
    ]
    model = trained(sequential(*layers, keras.layers.Dense(1)))
    ours, theirs = tmp_path / "ours.keras", tmp_path / "theirs.keras"
    save_ours(saver, model, ours)
    change_in_place(model, factor, change)
    assert save_ours(saver, model, ours)
    save_theirs(model, theirs)
    assert_same_file(ours, theirs)


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
        store["copy"] = store["scale"].copy()
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
            store._h5_entry_group.attrs["note"] = "kept"
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
    fields = reading.read_record(str(ours))
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


def test_one_walk_serves_all_saves_of_a_fit(tmp_path, monkeypatch):
    """A walk over many layers takes longer than all the rest of a save."""
    walks, walk = [], objects.saveables
    monkeypatch.setattr(objects, "saveables", lambda model: walks.append(1) or walk(model))
    saving = ModelCheckpoint(tmp_path / "{epoch}.keras", monitor="loss")
    training.train(training.tiny_model(), saving, epochs=4, validation_data=training.samples())
    assert training.names_in(tmp_path) == [f"{epoch}.keras" for epoch in (1, 2, 3, 4)]
    assert len(walks) == 1


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
