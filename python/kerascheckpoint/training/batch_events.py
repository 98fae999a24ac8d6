"""The events within an epoch: batches of training and of validation, and what follows its end."""

from collections.abc import Callable, Mapping
from typing import Any

from ..keras_seam.fit_control import DRAWS_BEFORE_BATCH_BEGINS
from ..saving import Saver
from . import record_fields
from .keras_hooks import KerasHooks, default_hook
from .resume import enter_first_epoch
from .run import Run
from .settings import Settings


class BatchEvents(KerasHooks):
    """Counts batches, saves when the policy says so, and notices signals between batches."""

    _settings: Settings
    _saver: Saver

    def on_train_batch_begin(self, batch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Count batches if this callback does not see their ends; after the first, get ready."""
        self._begin_event()
        run, is_drawn = self._training_run, DRAWS_BEFORE_BATCH_BEGINS
        if run.has_trained and not self._saver.is_ready:
            self._saver.prepare(self.model, run.settings.form, after_first_batch=True)
        run.has_trained = True
        if not run.needs_batches or self._overrides("on_train_batch_end"):
            run.progress.begin_batch(batch, run.span, is_drawn=is_drawn)

    @property
    def on_train_batch_end(self) -> Callable[..., None]:
        """Keras' empty hook unless batches are needed: any other makes JAX wait for each batch."""
        if self._needs_batches:
            return self._after_batch
        return default_hook(self, "on_train_batch_end")

    def on_test_begin(self, logs: Mapping[str, Any] | None = None) -> None:
        """Remember the state that validation changes; a signal may ask for a save during it."""
        if self._interrupt_watch.model is not None and not self._training_run.held:
            self._training_run.held = record_fields.hold(self.model)

    @property
    def on_test_batch_end(self) -> Callable[..., None]:
        """Keras' empty hook unless signals are watched."""
        if self._settings.signals:
            return self._after_test_batch
        return default_hook(self, "on_test_batch_end")

    def on_test_end(self, logs: Mapping[str, Any] | None = None) -> None:
        """Forget the state from before the validation."""
        self._training_run.held = {}

    def _begin_event(self, *, together: bool = False) -> None:
        """Begin an event: report finished saves, and complete a resume at the first one.

        Args:
            together: Whether every process is at this event. Where all take part in a save, they
                have to report its end, and raise its error, at one event.
        """
        role, run = self._role, self._training_run
        if not role.is_joint:
            self._saver.report_finished()
        elif together:
            self._saver.report_finished(limit=min(role.processes.gather(self._saver.finished)))
        if run.group.point is not None:
            enter_first_epoch(run, self.model, self._said_once)

    @property
    def _needs_batches(self) -> bool:
        run = self._training_run
        if run.settings is not self._settings:  # Keras asks before the run with these has begun
            run = Run.begin(self._settings, self._best_tracker, None)
        return run.needs_batches or self._overrides("_should_save_on_batch")

    def _after_batch(self, batch: int, logs: Mapping[str, Any] | None = None) -> None:
        self._begin_event()
        run, progress = self._training_run, self._training_run.progress
        is_new = self._count_batch(batch)
        if self._interrupt_watch.model is not None and progress.batch == progress.epoch_steps:
            run.held = record_fields.hold(self.model)  # a validation may follow
        if not is_new:
            return
        if self._is_asked_to_stop():
            self._stop_training()
            self._save("interrupt", progress.epoch, progress.batch - 1, logs)
            return
        self._batch_logs = logs or {}
        try:
            due = self._should_save_on_batch(batch)
        finally:
            self._batch_logs = None
        if due:
            self._save(run.policy.reason_at_batch, progress.epoch, progress.batch - 1, logs)

    def _after_all_callbacks(self) -> None:
        """Write the file of an epoch's end again if a callback after this one ended the run.

        Otherwise a resumed run would continue training.
        """
        run = self._training_run
        last, self._last_write = self._last_write, None
        has_ended = last is not None and last[0].epoch_done and not run.is_interrupted
        has_ended = has_ended and self.model.stop_training and not run.companions.had_stopped
        if self._role.agree(lambda: bool(has_ended)) and last is not None:
            self.wait()  # training is over, so nothing is stalled
            self._save_step.write(*last)

    def _after_test_batch(self, batch: int, logs: Mapping[str, Any] | None = None) -> None:
        run = self._training_run
        if not run.is_interrupted and self._is_asked_to_stop():
            self._stop_training()
            self.model.stop_evaluating = True
            self._save("interrupt", run.progress.epoch, run.progress.batch - 1, {})
