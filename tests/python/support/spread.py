"""A model whose weights are spread over the devices of all processes (JAX): code for children."""

MODEL = """
import hashlib, inspect
import keras, numpy as np
import kerascheckpoint as kc
from jax.experimental import multihost_utils

def spread_model(seed=1, optimizer="adam"):
    devices = keras.distribution.list_devices()
    mesh = keras.distribution.DeviceMesh((1, len(devices)), ["batch", "model"], devices)
    layout = keras.distribution.LayoutMap(mesh)
    layout[".*kernel"] = (None, "model")
    layout[".*bias"] = ("model",)
    parallel = keras.distribution.ModelParallel
    names = inspect.signature(parallel.__init__).parameters  # an older Keras never splits the data
    settings = {"auto_shard_dataset": False} if "auto_shard_dataset" in names else {}
    keras.distribution.set_distribution(
        parallel(layout_map=layout, batch_dim_name="batch", **settings))
    keras.utils.set_random_seed(seed)
    layers = keras.layers
    model = keras.Sequential(
        [keras.Input((8,)), layers.Dense(512, "relu"), layers.Dropout(0.2), layers.Dense(8)])
    model.compile(optimizer, "mse")
    return model

def fit(model, *callbacks, **settings):
    x = np.random.default_rng(0).normal(size=(16, 8)).astype("float32")
    settings = {"batch_size": 4, "shuffle": False, "verbose": 0} | settings
    return model.fit(x, x, callbacks=list(callbacks), **settings).history

def sums_of(model):
    # SHA-256 of every variable, in the model's order
    sums = []
    for variable in [*model.variables, *model.optimizer.variables]:
        value = variable.value
        if value.is_fully_addressable or value.is_fully_replicated:
            whole = np.asarray(value)
        else:
            whole = multihost_utils.process_allgather(value, tiled=True)
        sums.append(hashlib.sha256(np.ascontiguousarray(whole).tobytes()).hexdigest())
    return sums

"""

SAVE = """
def save_now(model, path):
    # without a step of training
    saving = kc.ModelCheckpoint(path, "loss")
    saving.set_model(model)
    saving.on_train_begin()
    saving.on_epoch_begin(0)
    saving.on_epoch_end(0, {"loss": 1.0})
    saving.on_train_end()
"""
