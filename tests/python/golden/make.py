"""Write the golden files anew, which is needed only for a new schema: `python make.py` on JAX.

They stay as they are for as long as the schema does: every later version has to read them.
"""

import pathlib

import keras
import numpy as np

from kerascheckpoint import ModelCheckpoint
from kerascheckpoint.formats.record import SCHEMA

LOSSES = {"loss": [0.75, 0.5], "val_loss": [float("nan"), 0.25]}


class Script(keras.callbacks.Callback):
    """Lets both epochs end with known values."""

    def on_epoch_end(self, epoch, logs=None):
        logs.clear()
        logs.update({name: values[epoch] for name, values in LOSSES.items()})


def main():
    for suffix, weights_only in ((".keras", False), (".weights.h5", True)):
        path = pathlib.Path(__file__).with_name(f"schema-{SCHEMA}{suffix}")
        checkpoint = ModelCheckpoint(path, save_weights_only=weights_only)
        x, y = np.ones((6, 2)), np.ones((6, 1))
        fixed_model().fit(x, y, batch_size=2, epochs=2, verbose=0, callbacks=[Script(), checkpoint])


def fixed_model():
    """Return a model whose weights training does not change."""
    keras.utils.set_random_seed(1)
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1, name="dense")], name="tiny")
    model.compile(optimizer=keras.optimizers.SGD(0.0), loss="mse")
    model.set_weights([np.array([[1.0], [2.0]]), np.array([0.5])])
    return model


if __name__ == "__main__":
    main()
