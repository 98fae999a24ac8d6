"""The private interface of `keras.callbacks.ModelCheckpoint` that subclasses override and read."""

import dataclasses
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import keras
import numpy as np

from ..checkpoint_info import Reason
from ..interrupt import InterruptWatch
from ..keras_seam.fit_control import BATCH_END_NAMES_FIRST
from ..notify import Once
from ..policies import monitor
from ..policies.best_value import BestTracker
from ..policies.file_template import check_suffix
from ..policies.frequency import Moment
from ..policies.save_decision import Decision
from .direction import settle_direction
from .role import Role
from .run import Run
from .save_step import Occasion, SaveStep

# Methods that a subclass may override. With any of `DECIDING`, it decides itself when to save.
DECIDING = (
    "_save_model",
    "_should_save_model",
    "_should_save_on_batch",
    "on_train_batch_end",
    "on_epoch_end",
)
SERVED = frozenset([*DECIDING, "_get_file_path"])

# Methods of Keras' class that Keras never calls, so overriding them changes nothing.
_UNUSED = frozenset(["_checkpoint_exists", "_get_most_recently_modified_file_matching_pattern"])

_INSTEAD = {
    "_is_improvement": "override _should_save_model(epoch, batch, logs, filepath)",
    "_set_monitor_op": "pass mode='min' or mode='max', or set monitor_op",
}


class KerasHooks(keras.callbacks.ModelCheckpoint):  # type: ignore[misc]
    """The private methods and attributes of Keras' class, on top of this package.

    Attributes:
        epochs_since_last_save: Epochs that have ended since the last save.
    """

    _training_run: Run
    _save_step: SaveStep
    _best_tracker: BestTracker
    _interrupt_watch: InterruptWatch
    _said_once: Once
    wait: Callable[[], None]

    def __init_subclass__(cls, **settings: Any) -> None:
        super().__init_subclass__(**settings)
        for name in sorted(_private_methods_of_keras() - SERVED - _UNUSED):
            owner = next(each for each in cls.__mro__ if name in vars(each))
            if not _is_known(owner):
                instead = _INSTEAD.get(name, f"override one of {', '.join(sorted(SERVED))}")
                raise TypeError(
                    f"{owner.__name__} overrides {name}(), a private method of Keras' "
                    f"ModelCheckpoint that kerascheckpoint does not call: {instead}."
                )

    def _start_hooks(self) -> None:
        """Initialize the attributes of Keras' class."""
        self.epochs_since_last_save = 0
        self._current_epoch = 0
        self._batches_seen_since_last_saving = 0
        self._last_batch_seen: int | None = None
        self._due_reason: Reason | None = None  # why the callback is saving now
        self._judged: Decision | None = None  # the last answer of `_should_save_model`
        self._batch_logs: Mapping[str, Any] | None = None  # of the counted batch that is ending
        self._is_saving = False
        self._last_write: tuple[Occasion, str, Decision] | None = None  # of the present epoch

    @property
    def _decides_itself(self) -> bool:
        """Whether a subclass decides when to save."""
        return any(self._overrides(name) for name in DECIDING)

    def _overrides(self, name: str) -> bool:
        owner = next(each for each in type(self).__mro__ if name in vars(each))
        return not _is_known(owner)

    # What a subclass may override or call ---------------------------------------------------------

    def _save_model(
        self, epoch: int, batch: int | None = None, logs: Mapping[str, Any] | None = None
    ) -> None:
        """Save the model if `_should_save_model` agrees.

        Args:
            epoch: Index of the epoch, from 0.
            batch: Index of the batch in it, from 0; `None` at the end of the epoch.
            logs: The metrics.
        """
        occasion = self._occasion(epoch, batch, logs)
        role = self._training_run.role(occasion.model)
        path, decision = role.agree(lambda: self._decide(occasion, epoch, batch))
        if decision is not None:
            self.epochs_since_last_save = 0
            self._last_write = occasion, path, Decision(**decision)
            self._save_step.write(*self._last_write)

    def _decide(
        self, occasion: Occasion, epoch: int, batch: int | None
    ) -> tuple[str, dict[str, Any] | None]:
        """Return the path, and the fields of the decision to save there, if it is one."""
        with self._saving():
            path = self._checked_path(self._get_file_path(epoch, batch, occasion.logs))
            self._judged = None
            must_save = occasion.reason == "interrupt"
            wanted = must_save or self._should_save_model(epoch, batch, occasion.logs, path)
        if not wanted:
            return path, None
        decision = self._judged or self._save_step.judge(occasion, path)
        return path, dataclasses.asdict(dataclasses.replace(decision, save=True))

    def _should_save_model(
        self, epoch: int, batch: int | None, logs: Mapping[str, Any] | None, filepath: str
    ) -> bool:
        """Tell whether to save the model at `filepath`."""
        self._judged = self._save_step.decide(self._occasion(epoch, batch, logs), filepath)
        return self._judged.save

    def _should_save_on_batch(self, batch: int) -> bool:
        """Tell whether to save at the end of a batch (index from 0)."""
        run, logs = self._training_run, self._batch_logs or {}
        if self._batch_logs is None:  # asked by a loop of the user's own
            if not self._count_batch(batch):
                return False
            if self._is_asked_to_stop():
                self._stop_training()
                return True
        progress = run.progress
        moment = Moment(progress.step, time.monotonic(), progress.epoch, progress.batch - 1, logs)
        due = run.policy.due_at_batch(moment)
        if not run.policy.counts_batches:  # clocks and functions may differ between processes
            due = self._role.agree(lambda: due)
        if due:
            self._batches_seen_since_last_saving = 0
        return due

    def _get_file_path(
        self, epoch: int, batch: int | None = None, logs: Mapping[str, Any] | None = None
    ) -> str:
        """Return the path of a save. Outside of a save, wait until that file is finished."""
        if not self._is_saving:
            self.wait()
        return self._save_step.path(self._occasion(epoch, batch, logs), epoch, batch)

    # What a subclass may read or set --------------------------------------------------------------

    @property
    def monitor_op(self) -> Any:
        """`numpy.less` if lower is better, `numpy.greater` if higher is, `None` if unknown."""
        return {"min": np.less, "max": np.greater, None: None}[self._best_tracker.direction]

    @monitor_op.setter
    def monitor_op(self, compare: Callable[[Any, Any], Any]) -> None:
        answers = bool(compare(1.0, 2.0)), bool(compare(2.0, 1.0))
        if answers not in ((True, False), (False, True)):
            raise ValueError(
                f"monitor_op must tell which of two numbers is better, as numpy.less does. "
                f"Received: monitor_op={compare!r}."
            )
        self._best_tracker.direction = "min" if answers[0] else "max"

    def _set_monitor_op(self) -> None:
        settle_direction(
            self._best_tracker,
            self._training_run.settings,
            self.model,
            self._said_once,
            has_values=True,
        )

    def _is_improvement(self, monitor_value: Any, reference_value: Any) -> bool:
        self._set_monitor_op()
        value, direction = monitor.as_float(monitor_value), self._best_tracker.direction
        if value is None or direction is None:
            return False
        best = monitor.as_float(reference_value)
        return monitor.is_improvement(value, best, direction, self._best_tracker.min_delta)

    # The parts of it ------------------------------------------------------------------------------

    @property
    def _role(self) -> Role:
        """What this process does in saves.

        On JAX, reading `self.model` makes Keras put the state of training back into the model, so
        the events of batches have to do without it.
        """
        return self._training_run.known_role or self._training_run.role(self.model)

    def _save(
        self, reason: Reason, epoch: int, batch: int | None, logs: Mapping[str, Any] | None
    ) -> None:
        """Save for a reason of the callback, through the methods that may be overridden."""
        self._due_reason = reason
        try:
            self._save_model(epoch=epoch, batch=batch, logs=logs or {})
        finally:
            self._due_reason = None

    def _occasion(self, epoch: int, batch: int | None, logs: Mapping[str, Any] | None) -> Occasion:
        run = self._training_run
        if self._due_reason is None and not self._is_saving:
            run.catch_up(epoch, batch, logs or {})
        done = run.progress.epoch > epoch
        reason = self._due_reason or ("interrupt" if run.is_interrupted else None)
        reason = reason or ("epoch" if done else "batch")
        return Occasion(self.model, reason, logs or {}, done)

    @contextmanager
    def _saving(self) -> Iterator[None]:
        self._is_saving = True
        try:
            yield
        finally:
            self._is_saving = False

    def _checked_path(self, path: "str | os.PathLike[str]") -> str:
        """Return the path from `_get_file_path`, absolute; raise if its suffix does not fit."""
        settings = self._training_run.settings
        if self._overrides("_get_file_path"):
            template = settings.template.of_path(os.fspath(path))
            check_suffix(template, settings.save_weights_only)
            return template.only_path or ""
        return os.fspath(path)

    def _count_batch(self, batch: int) -> bool:
        """Count a finished batch; tell whether a save may follow it."""
        run, progress = self._training_run, self._training_run.progress
        before = progress.step
        names_first = BATCH_END_NAMES_FIRST and run.in_fit
        progress.end_batch(batch + run.span - 1 if names_first else batch)
        self._batches_seen_since_last_saving += progress.step - before
        self._last_batch_seen = batch
        if progress.batch <= run.skipped_until or run.is_interrupted:
            return False
        run.skipped_until = 0
        return True

    def _is_asked_to_stop(self) -> bool:
        """Tell whether a signal has reached this process, or another one of the training."""
        watch = self._interrupt_watch
        if watch.model is not None:
            watch.requested = any(self._role.processes.gather(watch.requested))
        return watch.requested

    def _stop_training(self) -> None:
        """Make `fit` end because of a signal."""
        self._training_run.is_interrupted = True
        self.model.stop_training = True


def default_hook(callback: Any, name: str) -> Callable[..., None]:
    """Return Keras' empty hook for an event that a callback does not need."""
    hook: Callable[..., None] = getattr(keras.callbacks.Callback, name).__get__(callback)
    return hook


def _private_methods_of_keras() -> set[str]:
    """Return the private methods of Keras' class that other callbacks do not have."""
    mro = keras.callbacks.ModelCheckpoint.__mro__
    classes = mro[: mro.index(keras.callbacks.Callback)]
    return {
        name
        for each in classes
        for name, value in vars(each).items()
        if name.startswith("_") and not name.startswith("__") and callable(value)
    }


def _is_known(owner: type) -> bool:
    """Tell whether a class belongs to this package or to Keras."""
    return owner.__module__.partition(".")[0] in ("keras", __name__.partition(".")[0], "builtins")
