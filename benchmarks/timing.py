"""What the benchmarks time with: actions in turn until the time is over, and the steps of a fit."""

import dataclasses
import os
import time
from collections.abc import Callable, Mapping
from typing import Any


class Clock:
    """Knows when a benchmark has to end."""

    def __init__(self, end: float) -> None:
        """Take the end, as `time.time()` counts, which all processes share."""
        self._end = end

    def left(self) -> float:
        """Return the seconds that are left."""
        return self._end - time.time()

    def part(self, share: float) -> "Clock":
        """Return a clock for a share of the time that is left."""
        return Clock(time.time() + max(0.0, self.left()) * share)


def nothing() -> None:
    """Do nothing."""


@dataclasses.dataclass(frozen=True)
class Action:
    """Something to time.

    Attributes:
        run: What is timed.
        finish: Waits for what `run` left in the background, so that it disturbs nothing else.
        durable: The name of a second figure, for `run` and `finish` together; empty for none.
    """

    run: Callable[[], Any]
    finish: Callable[[], Any] = nothing
    durable: str = ""


def time_in_turn(
    actions: Mapping[str, Action],
    clock: Clock,
    *,
    rounds: int,
    expected: Mapping[str, float],
    report: Callable[[dict[str, Any]], None],
) -> None:
    """Time each action once a round, so that a slower machine slows all of them alike.

    An action is skipped if too little time is left for it, and after an error.

    Args:
        actions: What to time, the most important first.
        clock: When to end.
        rounds: Largest number of rounds.
        expected: Seconds that an action may take the first time.
        report: Called after each action with `saves` (the seconds so far), `problems` (the errors)
            and `no_time` (what was not measured yet).
    """
    saves: dict[str, list[float]] = {}
    problems: dict[str, str] = {}
    costs = dict(expected)
    for _ in range(rounds):
        for name, action in actions.items():
            if name in problems or costs.get(name, 0.0) > clock.left():
                continue
            try:
                ran, costs[name] = _time_action(action)
            except Exception as error:  # measure the others all the same
                problems[name] = f"{type(error).__name__}: {error}"
            else:
                saves.setdefault(name, []).append(ran)
                if action.durable:
                    saves.setdefault(action.durable, []).append(costs[name])
            no_time = [name for name in actions if name not in saves | problems]
            report({"saves": saves, "problems": problems, "no_time": no_time})


def _time_action(action: Action) -> tuple[float, float]:
    """Return the seconds of an action's `run`, and those of `run` and `finish` together."""
    begin = time.perf_counter()
    action.run()
    ran = time.perf_counter() - begin
    action.finish()
    return ran, time.perf_counter() - begin


def timed(action: Callable[[], Any]) -> float:
    """Return the seconds that an action takes."""
    begin = time.perf_counter()
    action()
    return time.perf_counter() - begin


def write_raw(path: str, source: Any, size: int) -> None:
    """Write `size` bytes to a new file in order, flush them to the disk, and rename it.

    A file written over in place finds its blocks ready, which no file that replaces another does.
    `source` is written again and again until the size is reached.
    """
    fd = os.open(f"{path}.new", os.O_CREAT | os.O_WRONLY | os.O_TRUNC)
    whole = view = memoryview(source)
    while size:
        written = os.write(fd, view[: min(1 << 24, size)])
        size -= written
        view = view[written:] or whole
    os.fsync(fd)
    os.close(fd)
    os.replace(f"{path}.new", path)


class Stopwatch:
    """Times one `fit`: its stalls between two callbacks at each epoch's end, and its steps."""

    def __init__(self) -> None:
        self.stalls: list[float] = []
        self.first_steps: list[float] = []
        self.other_steps: list[float] = []
        self.end = 0.0
        self._begin = self._step = 0.0

    def before(self) -> Any:
        """Return the callback to put before the one that is measured."""
        import keras

        class Before(keras.callbacks.Callback):  # type: ignore[misc]
            def on_epoch_end(_, epoch: int, logs: Any = None) -> None:
                self._begin = time.perf_counter()

            def on_train_batch_begin(_, batch: int, logs: Any = None) -> None:
                self._step = time.perf_counter()

            def on_train_end(_, logs: Any = None) -> None:
                self.end = time.perf_counter()  # before any callback waits for a file

        return Before()

    def after(self) -> Any:
        """Return the callback to put behind the one that is measured."""
        import keras

        class After(keras.callbacks.Callback):  # type: ignore[misc]
            def on_epoch_end(_, epoch: int, logs: Any = None) -> None:
                self.stalls.append(time.perf_counter() - self._begin)

            def on_train_batch_end(_, batch: int, logs: Any = None) -> None:
                steps = self.other_steps if batch else self.first_steps
                steps.append(time.perf_counter() - self._step)

        return After()
