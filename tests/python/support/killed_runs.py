"""Trainings that SIGKILL ends at random moments, each resumed until it is done.

Run as `python -m support.killed_runs DIRECTORY KILLS SEED`: prints one JSON object.
"""

import contextlib
import hashlib
import json
import os
import random
import shutil
import signal
import sys
import time
from pathlib import Path
from typing import Any

import keras
import numpy as np

from kerascheckpoint import ModelCheckpoint, list_checkpoints
from support import training

EPOCHS = 5


def train(directory: Path) -> None:
    """Do what the script of a user does; it is run again after each kill."""
    model = training.noisy_model()
    keras.utils.set_random_seed(7)
    ours = ModelCheckpoint(
        directory / "{step:03d}.keras",
        "loss",
        save_freq=2,
        keep_last=3,
        save_on_background=True,
        resume=True,
    )
    stopping = keras.callbacks.EarlyStopping("loss", patience=2, min_delta=0.01)
    lowering = keras.callbacks.ReduceLROnPlateau("loss", patience=1, min_delta=0.1)
    training.train(model, stopping, ours, lowering, epochs=EPOCHS, shuffle=True)
    arrays = training.arrays_of(model)
    digest = hashlib.sha256(b"".join(np.array(arrays[name]).tobytes() for name in sorted(arrays)))
    (directory / "done").write_text(digest.hexdigest())


def run(directory: Path, kill_after: float | None) -> bool:
    """Train in a process of its own; return whether it was killed."""
    child = os.fork()
    if not child:
        status = 1
        try:
            train(directory)
            status = 0
        finally:
            os._exit(status)
    if kill_after is not None:
        time.sleep(kill_after)
        os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        return True
    if os.WEXITSTATUS(status):
        raise RuntimeError(f"the training in {directory} failed")
    return False


def result(directory: Path) -> dict[str, Any]:
    """Return what a finished training has left."""
    infos = list_checkpoints(directory)
    return {
        "digest": (directory / "done").read_text(),
        "files": [(Path(info.path).name, info.metrics) for info in infos],
    }


def main(directory: Path, kills: int, seed: int) -> dict[str, Any]:
    """Kill a number of times in all; compare each finished training with one without a kill."""
    chance = random.Random(seed)
    with contextlib.suppress(ImportError):
        import tensorflow  # noqa: F401  # Keras would, in every child
    whole = directory / "whole"
    whole.mkdir(parents=True)
    began = time.monotonic()
    run(whole, None)
    lasted = time.monotonic() - began
    expected, done, killed = result(whole), 0, 0
    own = directory / "run"
    while killed < kills or own.exists():
        own.mkdir(exist_ok=True)
        delay = chance.uniform(0.2, 1.0) * lasted if killed < kills else None
        if run(own, delay):
            killed += 1
        if (own / "done").exists():
            if result(own) != expected:
                raise AssertionError(f"{result(own)} is not {expected} after {killed} kills")
            done += 1
            shutil.rmtree(own)
    return {"kills": killed, "trainings": done, "seconds": round(time.monotonic() - began, 1)}


if __name__ == "__main__":
    path, count, number = sys.argv[1:]
    print(json.dumps(main(Path(path), int(count), int(number))))
