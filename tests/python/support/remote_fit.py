"""A training whose checkpoints of 18 MB go to a URL, for tests that kill it in an upload.

Run as `python -m support.remote_fit URL OPTIONS EPOCHS`, with the storage options as JSON.
"""

import json
import sys
from typing import Any

import keras
import numpy as np

from kerascheckpoint import ModelCheckpoint


def fit(path: str, options: dict[str, Any], epochs: int) -> Any:
    """Do what a user's script does; it is run again after a kill."""
    keras.utils.set_random_seed(1)
    model = keras.Sequential([keras.Input((1500,)), keras.layers.Dense(1024)])
    model.compile("adam", "mse")
    saving = ModelCheckpoint(
        path, "loss", resume=True, save_on_background=True, storage_options=options
    )
    x, y = np.ones((2, 1500), "float32"), np.ones((2, 1024), "float32")
    return model.fit(x, y, epochs=epochs, verbose=0, callbacks=[saving])


if __name__ == "__main__":
    if sys.argv[1].startswith("s3"):
        import s3fs.core

        s3fs.core.calculate_chunksize = lambda *_, **__: 5 << 20  # parts as of a large file
    fit(sys.argv[1], json.loads(sys.argv[2]), int(sys.argv[3]))
