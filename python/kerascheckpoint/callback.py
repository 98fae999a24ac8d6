"""`ModelCheckpoint`: Keras' events, wired to the parts that decide, capture and write."""

import os
import time
import weakref
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta, timezone
from typing import Any

import keras

from . import (
    arguments,
    decision,
    keras_compat,
    monitor,
    preflight,
    random_state,
    reader,
    resume,
    save_policy,
)
from .checkpoint_info import Reason
from .decision import Decision
from .deletion import Shelf
from .errors import CheckpointError
from .file_template import FileTemplate, check_suffix
from .interrupt import InterruptWatch
from .notify import Once, warn
from .ranking import Ranking
from .resume import Resumption
from .retention import KeptFile, Retention
from .run import Run
from .saving import Saver


class ModelCheckpoint(keras.callbacks.Callback):  # type: ignore[misc]
    """Saves a Keras model or its weights at some frequency, or whenever it is the best so far.

    A drop-in for `keras.callbacks.ModelCheckpoint`: the same eight arguments, and standard `.keras`
    and `.weights.h5` files. A file appears whole or not at all, so a kill in the middle of a save
    loses nothing; each file says what it is (see `CheckpointInfo`).

    Args:
        filepath: `str` or path. Where to save: a name with placeholders in braces for `epoch` and
            `batch` (from 1), `step` (batches in all) and every metric in the logs, as in
            `"run/{epoch:02d}-{val_loss:.2f}.keras"`. It ends in `.keras` (`.h5` is accepted), or in
            `.weights.h5` with `save_weights_only=True`. `~` is expanded, missing directories are
            made. No other callback should write into the same directory.
        monitor: Name of the metric that decides which model is best: `"loss"`, a metric's name or,
            with `val_` before it, the same on validation data.
        verbose: 0 is silent, 1 prints what the callback does.
        save_best_only: Save only a model that is better than all before. Without placeholders each
            better model replaces the last.
        save_weights_only: Save the weights (and the optimizer's state) and not the whole model.
        mode: `"min"`, `"max"` or `"auto"`: whether less or more of `monitor` is better. `"auto"`
            asks the compiled metric, then goes by the name.
        save_freq: `"epoch"`, a whole number of batches counted over the whole run, or a
            `datetime.timedelta` of wall-clock time. Off an epoch's end the metrics cover only the
            batches so far.
        initial_value_threshold: The value that the first best model has to pass.
        keep_best: Keep only the so many best files by `monitor`.
        keep_last: Keep only the so many newest files; with `keep_best` the union is kept.
        min_delta: Smallest change of `monitor` that counts as an improvement.
        save_on_background: Write behind the training, which goes on at once.
        resume: Continue from the newest usable checkpoint of `filepath`, if there is one.
        save_on_interrupt: Let SIGINT and SIGTERM end training after the batch in hand, with a
            checkpoint first. A second signal ends at once.
        on_save_error: `"raise"`, or `"warn"` to train on when a file could not be written.

    Attributes:
        best: `float` or `None`. Best value of a durable file, or the threshold.
        best_filepath: `str` or `None`. The file that holds the best model.
        last_filepath: `str` or `None`. The file that was written last.

    Raises:
        ValueError: If an argument is not one of the accepted forms.
    """

    def __init__(
        self,
        filepath: "str | os.PathLike[str]",
        monitor: str = "val_loss",
        verbose: int = 0,
        save_best_only: bool = False,
        save_weights_only: bool = False,
        mode: str = "auto",
        save_freq: "str | int | timedelta" = "epoch",
        initial_value_threshold: float | None = None,
        *,
        keep_best: int | None = None,
        keep_last: int | None = None,
        min_delta: float = 0.0,
        save_on_background: bool = False,
        resume: bool = False,
        save_on_interrupt: bool = False,
        on_save_error: str = "raise",
    ) -> None:
        super().__init__()
        self.params: dict[str, Any] | None = None  # Keras before 3.6 leaves it out until fit()
        self._template = FileTemplate.parse(filepath)
        self.filepath = self._template.text
        self.monitor = arguments.text("monitor", monitor)
        self.verbose = arguments.whole("verbose", verbose, 0)
        self.save_best_only = arguments.flag("save_best_only", save_best_only)
        self.save_weights_only = arguments.flag("save_weights_only", save_weights_only)
        self.mode = arguments.mode(mode)
        self.save_freq = save_freq
        self.initial_value_threshold = arguments.optional_number(
            "initial_value_threshold", initial_value_threshold
        )
        self.keep_best = arguments.optional_whole("keep_best", keep_best, 1)
        self.keep_last = arguments.optional_whole("keep_last", keep_last, 1)
        self.min_delta = arguments.number("min_delta", min_delta, 0.0)
        self.save_on_background = arguments.flag("save_on_background", save_on_background)
        self.resume = arguments.flag("resume", resume)
        self.save_on_interrupt = arguments.flag("save_on_interrupt", save_on_interrupt)
        self.on_save_error = arguments.choice("on_save_error", on_save_error, ("raise", "warn"))
        self._policy = save_policy.from_save_freq(save_freq)
        check_suffix(self._template, self.save_weights_only)
        if self._template.only_path is not None and os.path.isdir(self._template.only_path):
            raise IsADirectoryError(
                "Please specify a non-directory filepath for ModelCheckpoint. Filepath used is an "
                f"existing directory: {self.filepath}"
            )
        if self.resume and self._template.is_legacy:
            raise ValueError(
                "resume=True needs files that carry a record, and the legacy `.h5` has none: end "
                f"filepath in `.keras`. Received: filepath={self.filepath}"
            )
        self.last_filepath: str | None = None
        self._retention = Retention(self.keep_best, self.keep_last)
        self._saver = Saver(on_background=self.save_on_background)
        self._watch = InterruptWatch()
        self._once = Once()
        self._model_of_best: weakref.ref[Any] | None = None
        self._forget_best()
        self._resumption: Resumption | None = None
        self._skipped_until = 0
        self._begin_run(Run(), Shelf(self._retention))

    def __repr__(self) -> str:
        return (
            f"<ModelCheckpoint filepath={self.filepath!r}, monitor={self.monitor!r}, "
            f"save_best_only={self.save_best_only}, save_freq={self.save_freq!r}>"
        )

    @property
    def best(self) -> float | None:
        """Best value of a durable file, or the threshold that the first has to pass."""
        return self._ranking.best

    @property
    def best_filepath(self) -> str | None:
        """The file that holds the best model."""
        return self._ranking.best_path

    def wait(self) -> None:
        """Block until every file that was accepted for the background is durable.

        Raises:
            CheckpointWriteError: If one could not be written (with `on_save_error="raise"`).
        """
        self._saver.settle(wait_for_all=True)

    # Keras' events ------------------------------------------------------------------------------

    def on_train_begin(self, logs: Mapping[str, Any] | None = None) -> None:
        """Check the target, take up an earlier run if asked to, and begin to count."""
        self.wait()
        model = self.model
        if self._model_of_best is None or self._model_of_best() is not model:
            self._forget_best()
            self._model_of_best = weakref.ref(model)
        self._writes = keras_compat.is_first_process()
        if self._writes:
            preflight.check_target(self._template, keras_compat.state_size(model))
            preflight.warn_of_twins(self)
        self._begin_run(Run(), Shelf(self._retention))
        self._span = int(getattr(model, "steps_per_execution", 1) or 1)
        if self.resume:
            self._take_up(Resumption.find(self._template))
        if self.save_on_interrupt:
            self._watch.begin(model)

    def on_epoch_begin(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Count; in the first epoch of a resumed run, skip what is done."""
        self._saver.settle()
        self._run.progress.begin_epoch(epoch)
        if self._resumption is not None:
            resumption, self._resumption = self._resumption, None
            resumption.enter_epoch(self.model)

    def on_train_batch_begin(self, batch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Count, where nothing needs the ends of batches."""
        if not self._needs_batches:
            self._run.progress.end_batch(batch + self._span - 1)

    @property
    def on_train_batch_end(self) -> Callable[..., None]:
        """Keras' empty hook unless batches are needed: a defined one makes JAX wait for each."""
        if self._needs_batches:
            return self._after_batch
        default: Callable[..., None] = super().on_train_batch_end
        return default

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Save if an epoch's end is the time for it."""
        self._saver.settle()
        if self._interrupted:
            return
        self._run.end_epoch(epoch, logs or {})
        saved = False
        if self._policy.due_at_epoch_end():
            saved = self._save("epoch", logs, epoch_done=True)
        if self._watch.requested:
            self._stop(logs, epoch_done=True, saved=saved)

    def on_train_end(self, logs: Mapping[str, Any] | None = None) -> None:
        """Save what is not saved yet, finish every write and leave no trace."""
        self._watch.end()
        preflight.leave(self)
        if self._resumption is not None:
            self._nothing_to_do(self._resumption)
        try:
            step = self._run.progress.step
            if not self._interrupted and self._policy.due_at_train_end(step):
                self._save("train_end", logs, epoch_done=self._run.progress.batch == 0)
        finally:
            self.wait()

    # The parts of an event ----------------------------------------------------------------------

    @property
    def _needs_batches(self) -> bool:
        return self._policy.needs_batches or self.save_on_interrupt

    def _after_batch(self, batch: int, logs: Mapping[str, Any] | None = None) -> None:
        self._saver.settle()
        progress = self._run.progress
        progress.end_batch(batch)
        if progress.batch <= self._skipped_until:
            return
        self._skipped_until = 0
        saved = False
        if not self._interrupted and self._policy.due_at_batch(progress.step, time.monotonic()):
            saved = self._save(self._policy.reason, logs, epoch_done=False)
        if self._watch.requested and not self._interrupted:
            self._stop(logs, epoch_done=False, saved=saved)

    def _stop(self, logs: Mapping[str, Any] | None, *, epoch_done: bool, saved: bool) -> None:
        """End training because of a signal, with a checkpoint of this very state."""
        self._interrupted = True
        if not saved:
            self._save("interrupt", logs, epoch_done=epoch_done)
        self.model.stop_training = True

    def _begin_run(self, run: Run, shelf: Shelf) -> None:
        self._run, self._shelf = run, shelf
        self._run.progress.epoch_steps = (self.params or {}).get("steps")
        self._policy.start(run.progress.step, time.monotonic())
        self._interrupted = False
        self._skipped_until = 0
        self._resumption = None
        self._span = 1
        self._writes = True

    def _forget_best(self) -> None:
        direction = monitor.direction_of_mode(self.mode)
        self._ranking = Ranking(direction, self.min_delta, self.initial_value_threshold)

    def _take_up(self, resumption: Resumption | None) -> None:
        if resumption is None:
            return
        info = resumption.info
        resumption.restore(self.model)
        shelf = Shelf(self._retention, resumption.kept_files(self.monitor))
        span = self._span
        self._begin_run(Run.after(resumption.record), shelf)
        self._span = span
        self._resumption = resumption
        self._skipped_until = info.batch or 0
        self._policy.start(info.step or 0, time.monotonic())
        if info.monitor == self.monitor and self._ranking.direction is None:
            self._ranking.direction = monitor.direction_of_mode(info.mode)
        self._find_direction()
        if self._ranking.direction is not None:
            self._ranking.restore(*resumption.best(self.monitor, self._ranking.direction))
        self._say(
            f"\nResuming after epoch {info.epoch}, batch {info.batch}, from {info.path}; an "
            "initial_epoch given to fit is not used"
        )

    def _nothing_to_do(self, resumption: Resumption) -> None:
        self._resumption = None
        keras_compat.forget_start(self.model)
        resumption.restore_history(self.model)
        keras_compat.print_message(
            f"\n{resumption.info.path} has {resumption.info.epoch} epochs already: nothing to train"
        )

    def _find_direction(self) -> None:
        """Settle which direction is better, if that can be known or must be."""
        if self._ranking.direction is not None:
            return
        name = self.monitor.removeprefix("val_")
        known = keras_compat.metric_direction(self.model, name)
        self._ranking.direction = known or monitor.direction_of_name(self.monitor)
        if self._ranking.direction is None and (self.save_best_only or self.keep_best is not None):
            self._ranking.direction = "min"
            self._once.warn(
                "direction",
                f"mode='auto' does not know whether less or more of {self.monitor!r} is better "
                "and takes less, as for every name that is no known score. Pass mode='min' or "
                "mode='max' to settle it.",
            )

    def _save(self, reason: Reason, logs: Mapping[str, Any] | None, *, epoch_done: bool) -> bool:
        """Decide, and save if that is the answer. Return whether the model was saved."""
        logs = logs or {}
        self._find_direction()
        path = self._path(logs, epoch_done=epoch_done)
        reading = monitor.read(logs, self.monitor)
        if self.save_best_only:
            decision.explain(reading, self.monitor, logs, self._once)
        verdict = decision.decide(
            reading,
            self._ranking,
            best_only=self.save_best_only,
            must_save=reason == "interrupt",
            holds_best=lambda: _holds_best(path),
        )
        if not verdict.save:
            self._say(
                f"\nEpoch {self._shown_epoch(epoch_done)}: {self.monitor} did not improve from "
                f"{_number(self._ranking.bar)}"
            )
            return False
        if verdict.aside:
            path = self._template.aside(path)
        self._write(path, verdict, reason, logs, epoch_done)
        return True

    def _path(self, logs: Mapping[str, Any], *, epoch_done: bool) -> str:
        for name in self._template.missing_validation(logs):
            self._once.warn(
                f"nan {name}", f"{name} has no value at this save: its place in the name gets nan."
            )
        return self._template.fill(self._run.progress.counters(epoch_done=epoch_done), logs)

    def _write(
        self,
        path: str,
        verdict: Decision,
        reason: Reason,
        logs: Mapping[str, Any],
        epoch_done: bool,
    ) -> None:
        if not self._writes:
            return
        shown = self._shown_epoch(epoch_done)
        if verdict.is_best and self.save_best_only:
            self._say(
                f"\nEpoch {shown}: {self.monitor} improved from {_number(self._ranking.bar)} to "
                f"{_number(verdict.value)}, saving model to {path}"
            )
        else:
            self._say(f"\nEpoch {shown}: saving model to {path}")
        fields = self._record_fields(path, verdict, reason, logs, epoch_done)
        best = verdict.value if verdict.is_best else None
        if best is not None:
            self._ranking.accept(best)

        def done(error: BaseException | None) -> None:
            self._after_write(path, verdict, error, shown)

        try:
            self._saver.save(self.model, path, fields, done)
        except Exception as error:
            if isinstance(error, CheckpointError):
                raise
            done(error)

    def _after_write(
        self, path: str, verdict: Decision, error: BaseException | None, shown: int
    ) -> None:
        """Let what is decided follow the disk: only a durable file counts."""
        best = verdict.value if verdict.is_best else None
        if error is not None:
            if best is not None:
                self._ranking.withdraw(best)
            if self.on_save_error == "raise" or not isinstance(error, Exception):
                raise error
            warn(f"training goes on without this checkpoint: {error}")
            return
        self.last_filepath = path
        if best is not None:
            self._ranking.settle(best, path)
        self._shelf.add(
            KeptFile(path, verdict.value), self._ranking.direction, self._ranking.best_path
        )
        self._say(f"\nEpoch {shown}: finished saving model to {path}")

    def _record_fields(
        self,
        path: str,
        verdict: Decision,
        reason: Reason,
        logs: Mapping[str, Any],
        epoch_done: bool,
    ) -> dict[str, Any]:
        model, progress, ranking = self.model, self._run.progress, self._ranking
        known = ranking.direction is not None
        best_path = path if verdict.is_best else ranking.best_path
        return {
            "epoch": progress.epoch,
            "batch": progress.batch,
            "step": progress.step,
            "metrics": monitor.scalar_logs(logs),
            "monitor": self.monitor if known else None,
            "mode": ranking.direction,
            "value": verdict.value if known else None,
            "best": verdict.is_best if known else None,
            "reason": reason,
            "saved_at": datetime.now(timezone.utc).isoformat(),
            "keras_version": keras.__version__,
            "backend": keras_compat.BACKEND,
            "best_value": verdict.value if verdict.is_best else ranking.bar,
            "best_name": os.path.basename(best_path) if best_path else None,
            "epochs": self._run.epochs,
            "history": self._run.history,
            "runs": self._run.lineage,
            "template": self._template.name,
            "random": random_state.capture(model),
            "metric_state": [] if epoch_done else resume.metric_state(model),
            "build_config": keras_compat.build_config(model),
        }

    def _shown_epoch(self, epoch_done: bool) -> int:
        return self._run.progress.counters(epoch_done=epoch_done)["epoch"]

    def _say(self, text: str) -> None:
        if self.verbose > 0:
            keras_compat.print_message(text)


def _holds_best(path: str) -> bool:
    """Tell whether the file at `path` says that it is the best model of its run."""
    try:
        return reader.read_info(path).best is True
    except (CheckpointError, OSError):
        return False


def _number(value: float | None) -> str:
    return "None" if value is None else f"{value:.5f}"
