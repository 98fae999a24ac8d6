"""`ModelCheckpoint`: Keras' events, wired to the parts that decide, capture and write."""

import os
import sys
import time
import weakref
from collections.abc import Callable, Mapping
from datetime import timedelta
from math import nan
from typing import Any

import keras

from .backends.processes import is_first_process
from .checkpoint_info import Reason
from .errors import CheckpointNameError
from .formats.keras_file import reader
from .interrupt import InterruptWatch
from .keras_seam.fit_control import (
    BATCH_END_NAMES_FIRST,
    DRAWS_BEFORE_BATCH_BEGINS,
    forget_start,
    is_fitting,
    start_at_epoch,
)
from .keras_seam.metrics import metric_direction, print_message
from .notify import Once, warn
from .policies import arguments, frequency, monitor, save_decision
from .policies.best_value import BestTracker
from .policies.file_template import FileTemplate, check_suffix
from .policies.monitor import MonitoredValue
from .policies.retention import KeptFile, Retention
from .policies.save_decision import Decision
from .saving import Saver
from .training import fit_group, preflight, record_fields
from .training.preflight import state_size
from .training.resume import ResumePoint, do_nothing
from .training.run import Run
from .training.run_files import RunFiles


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
        self.verbose = arguments.whole("verbose", int(verbose) if verbose in (0, 1) else verbose, 0)
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
        self._policy = frequency.from_save_freq(save_freq)
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
        self._saver = Saver(on_background=self.save_on_background, root=self._template.directory)
        self._watch = InterruptWatch()
        self._once = Once()
        self._model_of_best: weakref.ref[Any] | None = None
        self._resumption: ResumePoint | None = None
        self._end_skipping: Callable[[], None] = do_nothing
        self._forget_best()
        self._begin_run()

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_model": None, "_model_of_best": None}

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
            CheckpointWriteError: If one could not be written (with `on_save_error="raise"`); if
                another could not be either, the next call says that.
        """
        self._saver.settle(wait_for_all=True)

    # Keras' events ------------------------------------------------------------------------------

    def on_train_begin(self, logs: Mapping[str, Any] | None = None) -> None:
        """Check the target, take up an earlier run if asked to, and begin to count."""
        self.wait()
        self._end_skipping()
        model = self.model
        if self._model_of_best is None or self._model_of_best() is not model:
            self._forget_best()
            self._model_of_best = weakref.ref(model)
        self._begin_run()
        self._run.in_fit = is_fitting(model, sys._getframe(1))
        self._run.span = int(getattr(model, "steps_per_execution", 1) or 1)
        fit_group.register(self)
        if self._writes:
            self._check_target()
            fit_group.warn_of_shared_path(self)
        if self.resume:
            self._resume_from(ResumePoint.find(self._template))
        if self.save_on_interrupt:
            self._watch.begin(model, in_fit=self._run.in_fit)

    def on_epoch_begin(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Count; in the first epoch of a resumed run, skip what is done."""
        self._begin_event()
        self._run.progress.begin_epoch(epoch)

    def on_train_batch_begin(self, batch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Count, where nothing needs the ends of batches."""
        self._begin_event()
        if not self._needs_batches:
            is_drawn = DRAWS_BEFORE_BATCH_BEGINS
            self._run.progress.begin_batch(batch, self._run.span, is_drawn=is_drawn)

    @property
    def on_train_batch_end(self) -> Callable[..., None]:
        """Keras' empty hook unless batches are needed: a defined one makes JAX wait for each."""
        if self._needs_batches:
            return self._after_batch
        default: Callable[..., None] = super().on_train_batch_end
        return default

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Save if an epoch's end is the time for it."""
        self._end_skipping()
        self._begin_event()
        if self._run.is_interrupted:
            return
        self._run.end_epoch(epoch, logs or {})
        if self._watch.requested:
            self._stop()
            self._save("interrupt", logs, epoch_done=True)
        elif self._policy.due_at_epoch_end():
            self._save("epoch", logs, epoch_done=True)

    def on_train_end(self, logs: Mapping[str, Any] | None = None) -> None:
        """Save what is not saved yet, finish every write and leave no trace."""
        self._watch.end()
        self._end_skipping()
        fit_group.unregister(self)
        if self._resumption is not None:
            self._nothing_to_do(self._resumption)
        try:
            self.wait()
            progress = self._run.progress
            if not self._run.is_interrupted and self._policy.due_at_train_end(progress.step):
                self._save("train_end", logs, epoch_done=progress.batch == 0)
        finally:
            self.wait()
            self._saver.release_memory()

    # The parts of an event ----------------------------------------------------------------------

    def _begin_event(self) -> None:
        """Begin an event: report finished saves; after a resume, the first one is its end."""
        self._saver.settle()
        if self._resumption is not None:
            resumption, self._resumption = self._resumption, None
            self._end_skipping = resumption.enter_epoch(self.model, in_fit=self._run.in_fit)

    @property
    def _writes(self) -> bool:
        """Whether this process is the one of a distributed training that writes."""
        if self._run.writes is None:
            self._run.writes = is_first_process(self.model)
        return self._run.writes

    def _check_target(self) -> None:
        self._run.is_checked = True
        preflight.check_target(self._template, state_size(self.model))

    @property
    def _needs_batches(self) -> bool:
        return self._policy.needs_batches or self.save_on_interrupt or not self._run.in_fit

    def _after_batch(self, batch: int, logs: Mapping[str, Any] | None = None) -> None:
        self._begin_event()
        run, progress = self._run, self._run.progress
        names_first = BATCH_END_NAMES_FIRST and run.in_fit
        progress.end_batch(batch + run.span - 1 if names_first else batch)
        if progress.batch <= run.skipped_until or run.is_interrupted:
            return
        run.skipped_until = 0
        due = self._policy.due_at_batch(progress.step, time.monotonic())
        if self._watch.requested:
            self._stop()
            self._save("interrupt", logs, epoch_done=False)
        elif due:
            self._save(self._policy.reason, logs, epoch_done=False)

    def _stop(self) -> None:
        """Let `fit` end because of a signal."""
        self._run.is_interrupted = True
        self.model.stop_training = True

    def _begin_run(self) -> None:
        self._resumption = None
        self._run = Run(RunFiles(self._retention))
        self._run.progress.epoch_steps = (self.params or {}).get("steps")
        self._policy.start(0, time.monotonic())

    def _forget_best(self) -> None:
        direction = monitor.direction_of_mode(self.mode)
        self._ranking = BestTracker(direction, self.min_delta, self.initial_value_threshold)

    def _resume_from(self, own: ResumePoint | None) -> None:
        """Continue an earlier run: its best value, its files and its state.

        Of several callbacks of one `fit` the one with the newest file restores; the others count on
        from there.
        """
        callbacks_of_same_fit = [
            other for other in fit_group.callbacks_of_same_fit(self) if other.resume
        ]
        leader = next((other for other in callbacks_of_same_fit if other._resumption), None)
        if own is not None and (leader is None or own.is_newer_than(leader._resumption)):
            own.restore(self.model)
            for callback in (self, *callbacks_of_same_fit):
                callback._follow(own)
            self._resumption = own
            self._say(
                f"\nResuming after epoch {own.info.epoch}, batch {own.info.batch}, from "
                f"{own.info.path}; an initial_epoch given to fit is not used"
            )
            if self._run.in_fit:
                start_at_epoch(self.model, own.info.epoch or 0)
        elif leader is not None:
            self._follow(leader._resumption)
        if own is not None:
            self._load_run_files(own)

    def _follow(self, resumption: ResumePoint) -> None:
        """Count on from where the run was that this `fit` continues."""
        self._resumption = None
        self._run.continue_from(resumption.record)
        self._policy.start(resumption.info.step or 0, time.monotonic())

    def _load_run_files(self, resumption: ResumePoint) -> None:
        """Take over the best value and the files of the run before."""
        info = resumption.info
        if info.monitor == self.monitor and self._ranking.direction is None:
            self._ranking.direction = monitor.direction_of_mode(info.mode)
        self._find_direction(any(self.monitor in info.metrics for info in resumption.earlier))
        direction = self._ranking.direction
        if direction is not None:
            resumption.discard_damaged(self.monitor, direction, self.keep_best or 1)
            self._ranking.restore(*resumption.best(self.monitor, direction, self.min_delta))
        files = resumption.kept_files(self.monitor, self._template.name)
        self._run.files = RunFiles(self._retention, files)

    def _nothing_to_do(self, resumption: ResumePoint) -> None:
        self._resumption = None
        forget_start(self.model)
        resumption.restore_history(self.model)
        warn(f"{resumption.info.path} has {resumption.info.epoch} epochs already: nothing to train")

    def _find_direction(self, has_values: bool) -> None:
        """Settle which direction is better, if that can be known, or if there is what to rank."""
        if self._ranking.direction is not None:
            return
        name = self.monitor.removeprefix("val_")
        known = metric_direction(self.model, name)
        self._ranking.direction = known or monitor.direction_of_name(self.monitor)
        if self._ranking.direction is None and self._needs_ranking and has_values:
            self._ranking.direction = "min"
            self._once.warn(
                "direction",
                f"mode='auto' does not know whether less or more of {self.monitor!r} is better "
                "and takes less, as for every name that is no known score. Pass mode='min' or "
                "mode='max' to settle it.",
            )

    @property
    def _needs_ranking(self) -> bool:
        return self.save_best_only or self.keep_best is not None

    def _save(self, reason: Reason, logs: Mapping[str, Any] | None, *, epoch_done: bool) -> None:
        """Decide, and save if that is the answer."""
        logs = logs or {}
        path = self._path(reason, logs, epoch_done)
        cut_short = reason == "interrupt" and not epoch_done
        reading = MonitoredValue(None, "absent") if cut_short else monitor.read(logs, self.monitor)
        self._find_direction(reading.value is not None)
        if self._needs_ranking and not cut_short:
            save_decision.explain(reading, self.monitor, logs, self._once)
        verdict = save_decision.decide(
            reading,
            self._ranking,
            best_only=self.save_best_only,
            must_save=reason == "interrupt",
            holds_best=lambda: reader.is_best(path),
        )
        if verdict.save:
            path = self._template.aside(path) if verdict.aside else path
            self._write(path, verdict, reason, logs, epoch_done)
        elif reading.problem is None:
            self._say(
                f"\nEpoch {self._shown_epoch(epoch_done)}: {self.monitor} did not improve from "
                f"{_number(self._ranking.bar)}"
            )

    def _path(self, reason: Reason, logs: Mapping[str, Any], epoch_done: bool) -> str:
        for name in self._template.missing_validation(logs):
            self._once.warn(
                f"nan {name}", f"{name} has no value at this save: its place in the name gets nan."
            )
        counters = self._run.progress.counters(epoch_done=epoch_done)
        try:
            return self._template.fill(counters, logs)
        except CheckpointNameError:
            if reason != "interrupt":
                raise
            # Some names come only with the end of an epoch; a signal must not cost the save.
            return self._template.fill(
                counters, {**dict.fromkeys(self._template.names, nan), **logs}
            )

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
        best = verdict.value if verdict.is_best else None
        fields = record_fields.fields(
            self.model,
            self._run,
            logs,
            reason=reason,
            epoch_done=epoch_done,
            ranked=save_decision.fields(verdict, self._ranking, self.monitor, path),
            template=self._template.name,
        )
        is_open = True

        def done(error: BaseException | None) -> None:
            nonlocal is_open
            is_open = False
            self._after_write(path, verdict, error, shown)

        if best is not None:
            self._ranking.accept(best)
        self._run.files.expect(path)
        try:
            if not self._run.is_checked:  # a loop of the user's own has not said that it begins
                self._check_target()
            self._saver.save(self.model, path, fields, done)
        except BaseException as error:
            if not is_open:
                raise
            done(error)

    def _after_write(
        self, path: str, verdict: Decision, error: BaseException | None, shown: int
    ) -> None:
        """Let what is decided follow the disk: only a durable file counts."""
        best = verdict.value if verdict.is_best else None
        if error is not None:
            self._policy.missed()
            self._run.files.give_up(path)
            if best is not None:
                self._ranking.withdraw(best)
            if self.on_save_error == "raise" or not isinstance(error, Exception):
                raise error
            warn(f"training goes on without this checkpoint: {error}")
            return
        self.last_filepath = path
        if best is not None:
            self._ranking.settle(best, path)
        else:
            self._ranking.overwritten(path)
        self._run.files.add(
            KeptFile(path, verdict.value), self._ranking.direction, self._ranking.best_path
        )
        self._say(f"\nEpoch {shown}: finished saving model to {path}")

    def _shown_epoch(self, epoch_done: bool) -> int:
        return self._run.progress.counters(epoch_done=epoch_done)["epoch"]

    def _say(self, text: str) -> None:
        if self.verbose > 0:
            print_message(text)


def _number(value: float | None) -> str:
    return "None" if value is None else f"{value:.5f}"
