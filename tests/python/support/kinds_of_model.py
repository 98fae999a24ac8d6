"""One model of each kind whose files have to be what Keras itself writes."""

import contextlib
import os
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import layers

KINDS: dict[str, Callable[[], Any]] = {}
TENSORFLOW_ONLY = {"lookup"}


def kind(make: Callable[[], Any]) -> Callable[[], Any]:
    """Note a function that makes a model of one kind."""
    KINDS[make.__name__.replace("_", " ")] = make
    return make


def trained(model: Any, x: Any = None, y: Any = None, **settings: Any) -> Any:
    """Compile a model unless it is, and train it for two batches so that all state is in use.

    TensorFlow runs it step by step: to trace a function costs more than two batches do.
    """
    settings["run_eagerly"] = keras.config.backend() == "tensorflow"
    x = np.random.default_rng(0).normal(size=(4, 3)).astype("float32") if x is None else x
    y = np.zeros((4, 1), "float32") if y is None else y
    if not getattr(model, "compiled", False):
        model.compile(**{"optimizer": "adam", "loss": "mse"} | settings)
    model.fit(x, y, batch_size=2, verbose=0)
    return model


def sequential(*stack: Any) -> Any:
    return keras.Sequential([keras.Input((3,)), *stack])


def quantize(model: Any) -> Any:
    """Quantize the dense layers of a model."""
    for layer in model.layers:
        if isinstance(layer, layers.Dense):
            layer.quantize("int8")
    return model


@kind
def functional() -> Any:
    inputs = keras.Input((3,), name="in")
    hidden = layers.Dense(4, activation="relu", name="hidden")(inputs)
    merged = layers.Concatenate()([hidden, inputs])
    return trained(keras.Model(inputs, layers.Dense(1)(merged), name="net"))


@kind
def normalized() -> Any:
    return trained(
        sequential(
            layers.Dense(4), layers.BatchNormalization(), layers.Dropout(0.5), layers.Dense(1)
        ),
        metrics=["mae", keras.metrics.RootMeanSquaredError()],
    )


@keras.saving.register_keras_serializable("tests")
class Subclassed(keras.Model):
    """A model whose layers are attributes, in lists and in dicts."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.first = layers.Dense(4)
        self.stack = [layers.Dense(4, name="a"), layers.Dense(4, name="b")]
        self.heads = {"main": layers.Dense(1)}

    def call(self, x: Any) -> Any:
        x = self.first(x)
        for layer in self.stack:
            x = layer(x)
        return self.heads["main"](x)


@kind
def subclassed() -> Any:
    return trained(Subclassed(name="sub"))


@kind
def nested() -> Any:
    inner = keras.Sequential(
        [keras.Input((3,)), layers.Dense(3), layers.Dropout(0.1)], name="inner"
    )
    return trained(sequential(inner, layers.Dense(3), inner, layers.Dense(1)))


@kind
def shared() -> Any:
    left, right = keras.Input((3,)), keras.Input((3,))
    common = layers.Dense(2, name="common")
    both = layers.Add()([common(left), common(right)])
    x = np.ones((4, 3), "float32")
    return trained(keras.Model([left, right], layers.Dense(1)(both)), [x, x])


@kind
def several_outputs() -> Any:
    inputs = keras.Input((3,))
    outputs = {"a": layers.Dense(1, name="a")(inputs), "b": layers.Dense(1, name="b")(inputs)}
    y = {"a": np.zeros((4, 1), "float32"), "b": np.ones((4, 1), "float32")}
    settings = {
        "loss": {"a": "mse", "b": "mae"},
        "loss_weights": {"a": 1.0, "b": 0.5},
        "metrics": {"a": ["mae"], "b": ["mse"]},
    }
    return trained(keras.Model(inputs, outputs), None, y, **settings)


@kind
def never_compiled() -> Any:
    return sequential(layers.Dense(2), layers.Dense(1))


@kind
def compiled_and_not_trained() -> Any:
    model = sequential(layers.Dense(2), layers.Dense(1))
    model.compile(optimizer="adam", loss="mse")
    return model


@kind
def not_trainable() -> Any:
    model = sequential(layers.Dense(2), layers.Dense(1))
    model.layers[0].trainable = False
    return trained(model)


@keras.saving.register_keras_serializable("tests")
class OwnVariables(layers.Layer):
    """Stores numbers of several types under names of its own, some of them no variables."""

    def build(self, shape: Any) -> None:
        self.scale = self.add_weight(shape=(1,), initializer="ones", name="scale")
        self.counts = np.arange(6, dtype="int64").reshape(2, 3)

    def call(self, x: Any) -> Any:
        return x * self.scale

    def save_own_variables(self, store: Any) -> None:
        store["scale"] = self.scale
        store["counts"] = self.counts
        store["transposed"] = self.counts.T
        store["half"] = np.float16(0.5)
        store["flags"] = np.array([True, False])
        store["empty"] = np.zeros((0, 3), "float32")
        with contextlib.suppress(ValueError):  # of an older Keras, which knows no such dtype
            store[keras.backend.standardize_dtype("complex64")] = np.array([1 + 2j], "complex64")
        store["single"] = keras.ops.ones((), "int32")

    def load_own_variables(self, store: Any) -> None:
        self.scale.assign(store["scale"])
        self.counts = np.array(store["counts"])


@kind
def own_variables() -> Any:
    return trained(sequential(OwnVariables(), layers.Dense(1)))


@keras.saving.register_keras_serializable("tests")
class OwnAssets(layers.Layer):
    """Keeps files beside its weights, in a folder of their own too."""

    text = "größe\n"

    def call(self, x: Any) -> Any:
        return x

    def save_assets(self, folder: str) -> None:
        os.makedirs(os.path.join(folder, "more"))
        for name in ("words.txt", os.path.join("more", "empty.bin")):
            with open(os.path.join(folder, name), "w", encoding="utf-8") as file:
                file.write(self.text if name == "words.txt" else "")

    def load_assets(self, folder: str) -> None:
        with open(os.path.join(folder, "words.txt"), encoding="utf-8") as file:
            self.text = file.read()


@kind
def own_assets() -> Any:
    return trained(sequential(OwnAssets(name="here"), layers.Dense(1), OwnAssets(name="there")))


@kind
def lookup() -> Any:
    import tensorflow as tf

    words = tf.constant(["red", "green", "blue"])
    inputs = keras.Input((1,), dtype="string")
    numbers = layers.StringLookup(vocabulary=["red", "green"], name="table")(inputs)
    texts = layers.TextVectorization(output_sequence_length=2, name="text")
    texts.adapt(words)
    both = layers.Concatenate()([numbers, texts(inputs)])
    embedded = layers.Flatten()(layers.Embedding(8, 2)(both))
    x = tf.constant([["red"], ["blue"], ["green"], ["red"]])
    return trained(keras.Model(inputs, layers.Dense(1)(embedded)), x)


@kind
def adapted() -> Any:
    normalization = layers.Normalization()
    normalization.adapt(np.random.default_rng(1).normal(size=(9, 3)))
    return trained(sequential(normalization, layers.Dense(1)))


@kind
def bfloat16() -> Any:
    settings = {"dtype": "bfloat16"}
    return trained(sequential(layers.Dense(4, **settings), layers.Dense(1, **settings)))


@kind
def mixed_precision() -> Any:
    stack = layers.Dense(4, dtype="mixed_bfloat16"), layers.Dense(1, dtype="float32")
    return trained(sequential(*stack))


@kind
def recurrent() -> Any:
    inputs = keras.Input((5, 3))
    x = layers.Bidirectional(layers.LSTM(2, return_sequences=True))(inputs)
    x = layers.GRU(2, return_sequences=True, recurrent_dropout=0.1)(x)
    x = layers.RNN([layers.LSTMCell(2), layers.SimpleRNNCell(2)])(x)
    return trained(keras.Model(inputs, layers.Dense(1)(x)), np.ones((4, 5, 3), "float32"))


@kind
def convolutional() -> Any:
    inputs = keras.Input((6, 6, 1))
    x = layers.RandomFlip()(inputs)
    x = layers.TimeDistributed(layers.Dense(2))(x)
    x = layers.Conv2D(2, 3, kernel_regularizer="l2")(x)
    x = layers.GlobalAveragePooling2D()(x)
    return trained(keras.Model(inputs, layers.Dense(1)(x)), np.ones((4, 6, 6, 1), "float32"))


@kind
def attention() -> Any:
    inputs = keras.Input((4, 3))
    x = layers.MultiHeadAttention(2, 2)(inputs, inputs)
    x = layers.LayerNormalization()(x)
    return trained(keras.Model(inputs, layers.Dense(1)(x[:, 0])), np.ones((4, 4, 3), "float32"))


@kind
def averaged_weights() -> Any:
    optimizer = keras.optimizers.AdamW(use_ema=True, ema_overwrite_frequency=2, clipnorm=1.0)
    return trained(sequential(layers.Dense(2), layers.Dense(1)), optimizer=optimizer)


@kind
def loss_scaled() -> Any:
    optimizer = keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(0.1, momentum=0.9))
    return trained(sequential(layers.Dense(2), layers.Dense(1)), optimizer=optimizer)


@kind
def scheduled() -> Any:
    schedule = keras.optimizers.schedules.CosineDecay(0.1, 10)
    optimizer = keras.optimizers.RMSprop(schedule, gradient_accumulation_steps=2)
    return trained(sequential(layers.Dense(2), layers.Dense(1)), optimizer=optimizer)


@kind
def quantized() -> Any:
    model = sequential(layers.Dense(4), layers.Dense(1))
    return quantize(model)


@kind
def low_rank() -> Any:
    model = sequential(layers.Dense(4, name="adapted"), layers.Dense(1))
    model.layers[0].enable_lora(2)
    return trained(model)


@kind
def with_functions() -> Any:
    return trained(
        sequential(
            layers.Dense(4, activation=keras.activations.gelu),
            layers.Activation("tanh"),
            layers.Dense(1, kernel_constraint=keras.constraints.MaxNorm(2.0)),
        ),
        loss=keras.losses.Huber(0.5),
    )
