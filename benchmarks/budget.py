"""What `save_freq="2%"` costs: whole fits with a budget, against fits without a callback."""

import argparse
import itertools
import pathlib
import statistics
import tempfile
import time

import keras
import numpy as np

from kerascheckpoint import ModelCheckpoint, list_checkpoints

SHARES = ("1%", "2%", "5%")


def model_and_data(megabytes: int, steps: int) -> tuple[keras.Model, np.ndarray]:
    """Return a compiled model whose state with Adam takes so many MB, and the input of an epoch."""
    width = int((megabytes * 1e6 / 4 / 3 / 4) ** 0.5)
    layers = [keras.layers.Dense(width) for _ in range(4)]
    model = keras.Sequential([keras.Input((width,)), *layers])
    model.compile(optimizer="adam", loss="mse")
    random = np.random.default_rng(0)
    return model, random.normal(size=(steps * 64, width)).astype("float32")


def seconds_of_fit(model: keras.Model, x: np.ndarray, epochs: int, callbacks: list) -> float:
    """Return what one whole `fit` takes."""
    begin = time.perf_counter()
    model.fit(x, x, batch_size=64, epochs=epochs, verbose=0, callbacks=callbacks)
    return time.perf_counter() - begin


def main() -> None:
    """Print a row for each share: asked, measured, and how many files that made."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--megabytes", type=int, default=100)
    parser.add_argument("--steps", type=int, default=50)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--repeats", type=int, default=3)
    given = parser.parse_args()
    model, x = model_and_data(given.megabytes, given.steps)
    seconds_of_fit(model, x, 1, [])
    print(f"{keras.backend.backend()}, {given.megabytes} MB, {given.epochs} epochs")
    print("asked  background  fit against none  files")
    for share, background in itertools.product(SHARES, (False, True)):
        ratios, files = [], []
        for _ in range(given.repeats):
            without = seconds_of_fit(model, x, given.epochs, [])
            with tempfile.TemporaryDirectory() as directory:
                path = pathlib.Path(directory) / "{step}.keras"
                saving = ModelCheckpoint(path, save_freq=share, save_on_background=background)
                ratios.append(seconds_of_fit(model, x, given.epochs, [saving]) / without)
                files.append(len(list_checkpoints(directory)))
        ratio, count = statistics.median(ratios), statistics.median(files)
        print(f"{share:>5}  {background!s:>10}  {100 * (ratio - 1):+15.1f}%  {count:5.0f}")


if __name__ == "__main__":
    main()
