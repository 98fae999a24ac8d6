"""The models that the benchmarks save, and their training."""

import os
import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from timing import Clock, Stopwatch  # type: ignore[import-not-found]

FIELDS = {
    "epoch": 1,
    "batch": 0,
    "step": 1,
    "metrics": {"loss": 1.0},
    "reason": "epoch",
    "saved_at": "2026-01-01T00:00:00+00:00",
}

# Callbacks that are measured in each further round, for their ratio is what counts.
_REPEATED = ("none", "ours .keras", "ours .weights.h5")


def check(error: BaseException | None) -> None:
    """Raise what went wrong in a save."""
    if error is not None:
        raise error


def build(kind: str, megabytes: int) -> tuple[Any, Any]:
    """Return a compiled model that has trained one step, and a batch of data for it.

    "dense" has nine large kernels and, with Adam's two moments, the megabytes; "many" has 1,808
    arrays of 16 MB.
    """
    import keras
    import numpy as np

    if kind == "dense":
        width, depth = int((megabytes * 1e6 / 3 / 4 / 9) ** 0.5), 9
    else:
        width, depth = 66, 300
    layers = [keras.layers.Dense(width, activation="relu") for _ in range(depth)]
    model = keras.Sequential([keras.Input((width,)), *layers, keras.layers.Dense(1)])
    model.compile("adam", "mse")
    x = np.random.default_rng(0).normal(size=(16, width)).astype("float32")
    data = (x, x[:, :1])
    train(model, data, 1)
    return model, data


def state_bytes(model: Any) -> int:
    """Return the bytes of weights and optimizer state."""
    from kerascheckpoint.training.preflight import state_size

    return state_size(model)


def description(model: Any) -> dict[str, Any]:
    """Return the size of a model's state."""
    arrays = len(model.variables) + len(model.optimizer.variables)
    return {"bytes": state_bytes(model), "arrays": arrays}


def train(model: Any, data: Any, steps: int, epochs: int = 1, callbacks: Any = ()) -> None:
    """Train on one batch over and over."""

    def batches() -> Iterator[Any]:
        while True:
            yield data

    model.fit(batches(), steps_per_epoch=steps, epochs=epochs, callbacks=list(callbacks), verbose=0)


def steps_of_an_epoch(model: Any, data: Any, seconds: float) -> int:
    """Return how many steps take about so long."""
    train(model, data, 2)
    steps, took = 1, 0.0
    while took < 0.5 and steps < 4000:
        steps *= 4
        begin = time.perf_counter()
        train(model, data, steps)
        took = time.perf_counter() - begin
    return max(4, min(8000, int(seconds * steps / took)))


def measure_fits(
    model: Any,
    data: Any,
    makers: Mapping[str, Callable[[], Any]],
    clock: Clock,
    *,
    epochs: int,
    epoch_seconds: float,
    report: Callable[[dict[str, Any]], None],
) -> None:
    """Time a `fit` with each callback, then repeat the most important ones until time is up.

    Args:
        model, data: The model to train, and a batch.
        makers: Functions that make the callbacks, by name; "none" is the first.
        clock: When to end.
        epochs, epoch_seconds: Epochs of each `fit`, and their approximate seconds.
        report: Called after each `fit` with the figures so far.
    """
    report({"epochs": epochs, "fit_no_time": [*makers]})
    steps = steps_of_an_epoch(model, data, epoch_seconds)
    fits: dict[str, dict[str, list[Any]]] = {}
    problems: dict[str, str] = {}
    costs = {name: epochs * epoch_seconds for name in makers}
    for made in range(9):
        for name in makers if not made else [name for name in _REPEATED if name in makers]:
            if name in problems or costs[name] > clock.left():
                continue
            begin = time.perf_counter()
            try:
                figures = _time_fit(model, data, steps, epochs, makers[name]())
            except Exception as error:  # measure the others all the same
                problems[name] = f"{type(error).__name__}: {error}"
                continue
            costs[name] = time.perf_counter() - begin
            for figure, value in figures.items():
                fits.setdefault(name, {}).setdefault(figure, []).append(value)
            left = [name for name in makers if name not in fits | problems]
            report({"fits": fits, "fit_problems": problems, "fit_no_time": left})


def _time_fit(model: Any, data: Any, steps: int, epochs: int, callback: Any) -> dict[str, Any]:
    """Return the seconds of one `fit`, without the wait at its end, of that wait and the rest."""
    watch = Stopwatch()
    stolen, begin = stolen_seconds(), time.perf_counter()
    train(model, data, steps, epochs, [watch.before(), callback, watch.after()])
    end = time.perf_counter()
    return {
        "totals": watch.end - begin,
        "ends": end - watch.end,
        "stolen": (stolen_seconds() - stolen) / (end - begin),
        "stalls": watch.stalls,
        "next_steps": statistics.median(watch.first_steps[1:] or watch.first_steps),
        "other_steps": statistics.median(watch.other_steps),
    }


def stolen_seconds() -> float:
    """Return the processor time that a virtual machine wanted and was not given (Linux)."""
    try:
        with open("/proc/stat") as file:
            cores = os.cpu_count() or 1
            return int(file.readline().split()[8]) / os.sysconf("SC_CLK_TCK") / cores
    except OSError:
        return 0.0
