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


def seconds_of_fit(model: keras.Model, x: np.ndarray, epochs: int, callbacks: list) -> np.ndarray:
    """Return what one whole `fit` takes: wall-clock seconds, processor seconds."""
    wall, processor = time.perf_counter(), time.process_time()
    model.fit(x, x, batch_size=64, epochs=epochs, verbose=0, callbacks=callbacks)
    return np.array([time.perf_counter() - wall, time.process_time() - processor])


def overheads(
    model: keras.Model, x: np.ndarray, epochs: int, share: str, background: bool
) -> tuple[np.ndarray, int]:
    """Return how much longer one `fit` takes than those before and after it, and its files."""
    before = seconds_of_fit(model, x, epochs, [])
    with tempfile.TemporaryDirectory() as directory:
        path = pathlib.Path(directory) / "{step}.keras"
        saving = ModelCheckpoint(path, save_freq=share, save_on_background=background)
        taken = seconds_of_fit(model, x, epochs, [saving])
        files = len(list_checkpoints(directory))
    after = seconds_of_fit(model, x, epochs, [])
    return 2 * taken / (before + after) - 1, files


def main() -> None:
    """Print a row for each share: asked, measured, and how many files that made.

    One early save and one at the end come whatever the share is, so a `fit` has to be long enough
    for them to disappear in it: on a machine that does nothing else, of minutes.
    """
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--megabytes", type=int, default=20)
    parser.add_argument("--steps", type=int, default=50)
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--repeats", type=int, default=3)
    given = parser.parse_args()
    model, x = model_and_data(given.megabytes, given.steps)
    seconds_of_fit(model, x, 1, [])
    print(f"{keras.backend.backend()}, {given.megabytes} MB, {given.epochs} epochs")
    print("asked  background  time against none  processor time  files")
    for share, background in itertools.product(SHARES, (False, True)):
        rounds = [
            overheads(model, x, given.epochs, share, background) for _ in range(given.repeats)
        ]
        wall, processor = 100 * np.median([found for found, _ in rounds], axis=0)
        files = statistics.median(count for _, count in rounds)
        print(f"{share:>5}  {background!s:>10}  {wall:+16.1f}%  {processor:+13.1f}%  {files:5.0f}")


if __name__ == "__main__":
    main()
