"""Train, get killed, run the same script again: the result equals a run that was never stopped.

Usage: python examples/resume_after_a_kill.py [DIRECTORY]
"""

import os
import signal
import subprocess
import sys
import tempfile

import keras
import numpy as np

from kerascheckpoint import ModelCheckpoint


def train(run: str, die_in_epoch: int | None = None) -> "keras.Model":
    """Train for ten epochs; `fit` shuffles, and EarlyStopping counts."""
    keras.utils.set_random_seed(1)
    x = np.random.normal(size=(200, 8))
    y = x.sum(axis=1)
    model = keras.Sequential(
        [
            keras.Input((8,)),
            keras.layers.Dense(32, activation="relu"),
            keras.layers.Dropout(0.2),
            keras.layers.Dense(1),
        ]
    )
    model.compile("adam", "mse")
    callbacks = [
        keras.callbacks.EarlyStopping(patience=5),
        ModelCheckpoint(f"{run}/{{step:04d}}.keras", save_freq=7, keep_last=2, resume=True),
    ]
    if die_in_epoch is not None:
        callbacks.append(
            keras.callbacks.LambdaCallback(
                on_epoch_begin=lambda epoch, logs: (
                    os.kill(os.getpid(), signal.SIGKILL) if epoch == die_in_epoch else None
                )
            )
        )
    model.fit(x, y, epochs=10, validation_split=0.2, verbose=0, callbacks=callbacks)
    return model


def main() -> None:
    """Compare a run that is killed and resumed with one that is not."""
    directory = sys.argv[1] if len(sys.argv) > 1 else tempfile.mkdtemp(prefix="run-")
    killed = os.path.join(directory, "killed")
    child = subprocess.run([sys.executable, __file__, "--die", killed], check=False)
    print("the first process ended with signal", -child.returncode)
    print("it left:", ", ".join(sorted(os.listdir(killed))))

    resumed = train(killed)
    whole = train(os.path.join(directory, "whole"))
    same = all(
        np.array_equal(one, other)
        for one, other in zip(resumed.get_weights(), whole.get_weights(), strict=True)
    )
    print("the resumed model equals the one of an uninterrupted run:", same)


if __name__ == "__main__":
    if "--die" in sys.argv:
        train(sys.argv[2], die_in_epoch=6)
    else:
        main()
