"""Train with checkpoints in an S3 bucket, then go on from the newest one in a new process.

Usage: python examples/s3.py s3://BUCKET/PREFIX [EPOCHS]    (needs kerascheckpoint[s3])

Without options of its own, s3fs reads the credentials from the environment, as every AWS tool does.
S3_ENDPOINT_URL names another server than Amazon's, such as MinIO or SeaweedFS.
"""

import os
import sys

import keras
import numpy as np

from kerascheckpoint import (
    ModelCheckpoint,
    best_checkpoint,
    list_checkpoints,
    restore_checkpoint,
    verify_checkpoint,
)

run = sys.argv[1].rstrip("/")
epochs = int(sys.argv[2]) if len(sys.argv) > 2 else 3
endpoint = os.environ.get("S3_ENDPOINT_URL")
options = {"endpoint_url": endpoint} if endpoint else {}

keras.utils.set_random_seed(1)
x = np.random.normal(size=(200, 8))
y = x.sum(axis=1)
model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(16), keras.layers.Dense(1)])
model.compile("adam", "mse")

checkpoint = ModelCheckpoint(
    f"{run}/{{epoch:02d}}.keras",
    keep_best=2,
    keep_last=1,
    resume=True,  # from the bucket, if there is something in it
    save_on_background=True,  # training goes on during the upload
    storage_options=options,
)
history = model.fit(x, y, epochs=epochs, validation_split=0.2, verbose=0, callbacks=[checkpoint])
print("this history has", len(history.history["loss"]), "epochs")

for info in list_checkpoints(run, storage_options=options):
    print(f"epoch {info.epoch}: val_loss {info.metrics['val_loss']:.4f}  {info.path}")

best = best_checkpoint(run, storage_options=options)
if best is not None:
    verify_checkpoint(best.path, storage_options=options)  # on what the bucket returns
    restore_checkpoint(model, best.path, storage_options=options)
    print("the model is that of", best.path)
