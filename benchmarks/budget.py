"""What `save_freq="2%"` costs: whole fits with a budget, between fits without a callback."""

import argparse
import itertools
import pathlib
import statistics
import tempfile
import time

import keras
import numpy as np

from kerascheckpoint import ModelCheckpoint, list_checkpoints

SHARES = (1, 2, 5, 20)  # percent; the last one stands out of any noise


def model_and_data(megabytes: int, steps: int) -> tuple[keras.Model, np.ndarray]:
    """Return a compiled model whose state with Adam takes so many MB, and the input of an epoch."""
    width = int((megabytes * 1e6 / 4 / 3 / 4) ** 0.5)
    layers = [keras.layers.Dense(width) for _ in range(4)]
    model = keras.Sequential([keras.Input((width,)), *layers])
    model.compile(optimizer="adam", loss="mse")
    random = np.random.default_rng(0)
    return model, random.normal(size=(steps * 64, width)).astype("float32")


def seconds_of_fit(model: keras.Model, x: np.ndarray, epochs: int, callbacks: list) -> float:
    """Return the seconds that one whole `fit` takes."""
    began = time.perf_counter()
    model.fit(x, x, batch_size=64, epochs=epochs, verbose=0, callbacks=callbacks)
    return time.perf_counter() - began


def seconds_with_budget(
    model: keras.Model, x: np.ndarray, epochs: int, percent: int, background: bool
) -> tuple[float, int]:
    """Return the seconds of one `fit` with a budget, and how many files it left."""
    with tempfile.TemporaryDirectory() as directory:
        saving = ModelCheckpoint(
            pathlib.Path(directory) / "{step}.keras",
            save_freq=f"{percent}%",
            save_on_background=background,
        )
        seconds = seconds_of_fit(model, x, epochs, [saving])
        return seconds, len(list_checkpoints(directory))


def main() -> None:
    """Print a row for each share: asked, measured, and how many files that made.

    The share is that of the time of a whole `fit` by which it is longer than the two fits without
    a callback around it. One early save and one at the end come whatever was asked for. The first
    row says how far two fits without a callback differ: smaller shares cannot be seen in this run.
    """
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--megabytes", type=int, default=20)
    parser.add_argument("--steps", type=int, default=50)
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--repeats", type=int, default=3)
    given = parser.parse_args()
    model, x = model_and_data(given.megabytes, given.steps)
    seconds_of_fit(model, x, 1, [])
    cells = list(itertools.product(SHARES, (False, True)))
    shares: dict[tuple[int, bool], list[float]] = {cell: [] for cell in cells}
    files: dict[tuple[int, bool], list[int]] = {cell: [] for cell in cells}
    plain = [seconds_of_fit(model, x, given.epochs, [])]
    for cell in cells * given.repeats:
        seconds, count = seconds_with_budget(model, x, given.epochs, *cell)
        plain.append(seconds_of_fit(model, x, given.epochs, []))
        shares[cell].append(1 - (plain[-2] + plain[-1]) / 2 / seconds)
        files[cell].append(count)
    noise = statistics.median(abs(1 - a / b) for a, b in itertools.pairwise(plain))
    print(
        f"{keras.backend.backend()}, {given.megabytes} MB, {statistics.median(plain):.1f} s a fit"
    )
    print(f"two fits without a callback differ by {noise:.1%}")
    print("asked  background  share  files")
    for (percent, background), found in shares.items():
        count = statistics.median(files[percent, background])
        print(f"{percent:4}%  {background!s:>10}  {statistics.median(found):5.1%}  {count:5.0f}")


if __name__ == "__main__":
    main()
