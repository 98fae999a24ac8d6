"""What changes between two saves is in the second file, although a walk is kept for both."""

import keras
import numpy as np
import pytest

from kerascheckpoint.saving import Saver
from support import kinds_of_model, small_files
from support.keras_files import assert_same_file, save_ours, save_theirs
from support.kinds_of_model import sequential, trained


def add_layer(model):
    model.add(keras.layers.Dense(1, name="added"))
    model.compile(optimizer="adam", loss="mse")


def remove_layer(model):
    model.pop()
    model.compile(optimizer="adam", loss="mse")


def built_layer():
    layer = keras.layers.Dense(1, name="put_there")
    layer.build((None, 2))
    return layer


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
    "a layer where Keras puts a function": lambda model: setattr(
        model, "predict_function", built_layer()
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
