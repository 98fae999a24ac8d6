"""Measure saving on the processor, one backend and model, for `run.py`; see `cases.py`."""

import os
from collections.abc import Callable
from typing import Any

import cases  # type: ignore[import-not-found]
import models  # type: ignore[import-not-found]
import others  # type: ignore[import-not-found]
from memory import Peak, peak_of  # type: ignore[import-not-found]
from models import FIELDS, check
from timing import Action, Clock, time_in_turn, write_raw  # type: ignore[import-not-found]

EPOCHS = 5
MOST_ROUNDS = 7
WEIGHTS, MODEL = ".weights.h5", ".keras"


def main() -> None:
    """Measure the case that the command line holds."""
    case, clock = cases.begin()
    model, data = models.build(case["kind"], case["megabytes"])
    cases.report(models.description(model))
    directory = case["directory"]
    measure_saves(model, directory, clock.part(0.3))
    cases.report({"memory": measure_memory(model, directory)})
    makers = fit_makers(model, directory)
    settings = {"epochs": EPOCHS, "epoch_seconds": case["epoch_seconds"], "report": cases.report}
    models.measure_fits(model, data, makers, clock, **settings)


def measure_saves(model: Any, directory: str, clock: Clock) -> None:
    """Time each kind of save; the first figure of each is the first save."""
    actions = copy_actions(model, directory) | save_actions(model, directory)
    time_in_turn(actions, clock, rounds=MOST_ROUNDS, expected={}, report=cases.report)


def copy_actions(model: Any, directory: str) -> dict[str, Action]:
    """Return what a save costs at least: a raw write and copies in memory."""
    import numpy as np

    from kerascheckpoint.backends.arrays import numpy_views

    size = models.state_bytes(model)
    source = np.ones(size, np.uint8)
    target = source.copy()
    variables = [*model.variables, *model.optimizer.variables]
    arrays = list(numpy_views({variable.path: variable for variable in variables}).values())
    copies = [array.copy() for array in arrays]
    return {
        "raw write + fsync": Action(
            lambda: write_raw(os.path.join(directory, "raw"), source, size)
        ),
        "memcpy of one block": Action(lambda: np.copyto(target, source)),
        "memcpy of the state": Action(lambda: [*map(np.copyto, copies, arrays)]),
    }


def save_actions(model: Any, directory: str) -> dict[str, Action]:
    """Return our saves, in the background and in the foreground, and Keras'."""
    from kerascheckpoint.saving import Saver

    # A callback writes one format, so each has a saver of its own, which keeps its layout.
    now = {suffix: Saver(on_background=False) for suffix in (WEIGHTS, MODEL)}
    behind = {suffix: Saver(on_background=True) for suffix in (WEIGHTS, MODEL)}
    for saver in behind.values():
        saver.prepare(model)
    cases.join_preparing()

    def path(name: str) -> str:
        return os.path.join(directory, name)

    def save_behind(suffix: str) -> Action:
        saver = behind[suffix]
        return Action(
            lambda: saver.save(model, path(f"b{suffix}"), FIELDS, check),
            lambda: saver.report_finished(wait_for_all=True),
            f"ours {suffix} until durable",
        )

    def save_now(suffix: str) -> Action:
        return Action(lambda: now[suffix].save(model, path(f"o{suffix}"), FIELDS, check))

    return {
        f"stall {MODEL}": save_behind(MODEL),
        f"stall {WEIGHTS}": save_behind(WEIGHTS),
        f"ours {MODEL}": save_now(MODEL),
        f"ours {WEIGHTS}": save_now(WEIGHTS),
        f"Keras {WEIGHTS}": Action(lambda: model.save_weights(path(f"k{WEIGHTS}"))),
        f"Keras {MODEL}": Action(lambda: model.save(path(f"k{MODEL}"))),
    }


def measure_memory(model: Any, directory: str) -> dict[str, int]:
    """Return the bytes of memory that a save takes on top, by the system's own peak (Linux)."""
    from kerascheckpoint.saving import Saver

    path = os.path.join(directory, "m.keras")
    ours = Saver(on_background=False)
    ours.save(model, path, FIELDS, check)  # lays out
    extra = {"foreground": peak_of(lambda: ours.save(model, path, FIELDS, check))}
    peak = Peak()
    behind = Saver(on_background=True)
    behind.prepare(model)
    for _ in range(2):
        behind.save(model, path, FIELDS, check)
        behind.report_finished(wait_for_all=True)
    extra["background"] = peak.host()
    behind.release_memory()
    extra["Keras"] = peak_of(lambda: model.save(path))
    return extra


def fit_makers(model: Any, directory: str) -> dict[str, Callable[[], Any]]:
    """Return what makes the callbacks to compare, by name."""
    import keras

    from kerascheckpoint import ModelCheckpoint

    def path(name: str) -> str:
        return os.path.join(directory, name)

    weights_only = {"save_weights_only": True}
    makers: dict[str, Callable[[], Any]] = {
        "none": keras.callbacks.Callback,
        f"ours {MODEL}": lambda: ModelCheckpoint(path(f"f{MODEL}"), save_on_background=True),
        f"Keras {MODEL}": lambda: keras.callbacks.ModelCheckpoint(path(f"g{MODEL}")),
        f"ours {WEIGHTS}": lambda: ModelCheckpoint(
            path(f"f{WEIGHTS}"), **weights_only, save_on_background=True
        ),
        f"Keras {WEIGHTS}": lambda: keras.callbacks.ModelCheckpoint(
            path(f"g{WEIGHTS}"), **weights_only
        ),
    }
    missing = others.why_not_orbax()
    if missing:
        cases.report({"notes": [f"Orbax was not measured: {missing}."]})
    else:
        makers["Orbax"] = lambda: others.orbax_callback(path("orbax"))
    if os.path.exists("/proc/self"):  # Linux: `dd` can write past the cache
        makers["dd, no callback"] = lambda: others.dd_callback(
            path("dd"), models.state_bytes(model)
        )
    return makers


if __name__ == "__main__":
    main()
