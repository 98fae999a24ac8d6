"""Keep the three best models of a run and the newest, then load the best one.

Usage: python examples/best_model.py [DIRECTORY]
"""

import sys
import tempfile

import keras
import numpy as np

from kerascheckpoint import ModelCheckpoint, best_checkpoint, list_checkpoints

run = sys.argv[1] if len(sys.argv) > 1 else tempfile.mkdtemp(prefix="run-")

keras.utils.set_random_seed(1)
x = np.random.normal(size=(300, 8))
y = np.sin(x[:, 0]) + x[:, 1] * x[:, 2] + np.random.normal(scale=0.5, size=300)

model = keras.Sequential(
    [keras.Input((8,)), keras.layers.Dense(64, activation="relu"), keras.layers.Dense(1)]
)
model.compile("adam", "mse")

checkpoint = ModelCheckpoint(
    f"{run}/{{epoch:02d}}-{{val_loss:.3f}}.keras", keep_best=3, keep_last=1
)
model.fit(x, y, epochs=15, validation_split=0.25, verbose=0, callbacks=[checkpoint])

for info in list_checkpoints(run):
    print(f"epoch {info.epoch:2}: val_loss {info.metrics['val_loss']:.4f}  {info.path}")

best = keras.saving.load_model(best_checkpoint(run))
print("val_loss of the best model:", best.evaluate(x[225:], y[225:], verbose=0))
