"""`ModelCheckpoint`: connects Keras' events to the parts that decide, capture and write."""

import os
import sys
import time
import weakref
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import keras

from .checkpoint_info import CheckpointInfo
from .interrupt import InterruptWatch
from .keras_seam.fit_control import after_epoch_ends, data_of_fit, is_fitting
from .keras_seam.py_dataset import drop_early_batches
from .notify import Once
from .policies import arguments
from .policies.frequency import Moment
from .policies.save_freq import SaveFreq
from .state.data import DataOrder
from .training.batch_events import BatchEvents
from .training.companions import Companions
from .training.direction import remember_model
from .training.fit_group import FitGroup, use_once
from .training.inexact import warn_of_inexact
from .training.resume import end_without_training, resume_run
from .training.run import Run
from .training.save_step import SaveStep
from .training.script_settings import ScriptSettings
from .training.settings import Argument, Settings


class ModelCheckpoint(BatchEvents):
    """Saves a Keras model or its weights at some frequency, or whenever it is the best so far.

    A drop-in replacement for `keras.callbacks.ModelCheckpoint`, with the same first eight arguments
    and standard `.keras` and `.weights.h5` files. A file appears whole or not at all, so a kill in
    the middle of a save loses nothing. Each file describes itself (see `CheckpointInfo`).

    Args:
        filepath: `str` or path. Where to save: a name with placeholders in braces for `epoch` and
            `batch` (from 1), `step` (batches in all) and every metric in the logs, as in
            `"run/{epoch:02d}-{val_loss:.2f}.keras"`. It ends in `.keras` (`.h5` is accepted), in
            `.weights.h5` with `save_weights_only=True`, or in `.orbax` for a directory that
            several processes write together. `~` is expanded; missing directories are created. It
            may be a URL that fsspec can open, such as `s3://bucket/run/{epoch}.keras`; of URLs,
            only `gs://` can hold `.orbax`, as Orbax itself writes there. No other callback should
            write into the same directory.
        monitor: Name of the metric that decides which model is best: `"loss"` or a metric, with the
            prefix `val_` for its value on validation data.
        verbose: 0 is silent, 1 prints what the callback does.
        save_best_only: Save a model only if it is better than all before. Without placeholders in
            `filepath`, each better model replaces the last.
        save_weights_only: Save the weights and the optimizer's state, not the whole model.
        mode: `"min"` if lower is better, `"max"` if higher is better. `"auto"` asks the compiled
            metric, then goes by the name.
        save_freq: When to save: `"epoch"`; a whole number of batches, counted over the whole run; a
            `datetime.timedelta`; a share of the training time that saving may cost, such as
            `"2%"`; or a function `f(epoch, batch, logs) -> bool`, asked at the end of each batch
            and of each epoch (indices from 0; `batch` is `None` at the end of an epoch). Within an
            epoch, the metrics cover only the batches so far.
        initial_value_threshold: The value that the first best model has to beat.
        keep_best: Number of best files to keep, by `monitor`.
        keep_last: Number of newest files to keep. With `keep_best`, a file stays if either rule
            keeps it.
        min_delta: Smallest change of `monitor` that counts as an improvement.
        save_on_background: Write files while training continues.
        resume: Continue from the newest usable checkpoint of `filepath`, if there is one.
        save_on_interrupt: With `True`, SIGINT and SIGTERM end training after the current batch,
            with a checkpoint first. Names such as `("SIGTERM", "SIGUSR1")` choose other signals. A
            second signal ends training at once.
        on_save_error: `"raise"`, or `"warn"` to continue training when a file could not be written.
        storage_options: `dict` for fsspec (endpoint, credentials ...), if `filepath` is a URL.
        after_save: Function that is called on the main thread with the `CheckpointInfo` of each
            durable file. An exception in it counts as a failed save.

    Each argument can be read and set as an attribute; a new value takes effect at the next `fit`.
    A subclass may override the same methods as a subclass of Keras' class (see `KerasHooks`).

    Attributes:
        best: `float` or `None`. Best value of a durable file, or the threshold; it can be set.
        best_filepath: `str` or `None`. The file that holds the best model.
        last_filepath: `str` or `None`. The file that was written last.
        interrupted: `bool`. Whether a signal ended the last run.

    Raises:
        ValueError: If an argument has none of the accepted forms.
        ImportError: If the package that serves a URL is missing.
    """

    filepath = Argument()
    monitor = Argument()
    verbose = Argument()
    save_best_only = Argument()
    save_weights_only = Argument()
    mode = Argument()
    save_freq = Argument()
    initial_value_threshold = Argument()
    keep_best = Argument()
    keep_last = Argument()
    min_delta = Argument()
    save_on_background = Argument()
    resume = Argument()
    save_on_interrupt = Argument()
    on_save_error = Argument()
    storage_options = Argument()
    after_save = Argument()

    def __init__(
        self,
        filepath: "str | os.PathLike[str]",
        monitor: str = "val_loss",
        verbose: int = 0,
        save_best_only: bool = False,
        save_weights_only: bool = False,
        mode: Literal["auto", "min", "max"] = "auto",
        save_freq: SaveFreq = "epoch",
        initial_value_threshold: float | None = None,
        *,
        keep_best: int | None = None,
        keep_last: int | None = None,
        min_delta: float = 0.0,
        save_on_background: bool = False,
        resume: bool = False,
        save_on_interrupt: "bool | Sequence[str]" = False,
        on_save_error: Literal["raise", "warn"] = "raise",
        storage_options: dict[str, Any] | None = None,
        after_save: Callable[[CheckpointInfo], object] | None = None,
    ) -> None:
        given = {name: value for name, value in locals().items() if name in Settings.names()}
        of_subclass = frozenset(vars(self))
        keras.callbacks.Callback.__init__(self)  # Keras' ModelCheckpoint checks by other rules
        self.params: dict[str, Any] | None = None  # Keras before 3.6 leaves it out until fit()
        self._settings = Settings.of(**given)
        self._last_filepath: str | None = None
        self._saver = self._settings.new_saver()
        self._interrupt_watch = InterruptWatch()
        self._said_once = Once()
        self._model_of_best: weakref.ref[Any] | None = None
        self._best_tracker = self._settings.new_best_tracker()
        self._start_hooks()
        self._begin_run()
        self._own_attributes = frozenset(vars(self)) - of_subclass

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_model": None, "_model_of_best": None, "_last_write": None}

    def __repr__(self) -> str:
        return str(self._settings)

    @property
    def best(self) -> float | None:
        """Best value of a durable file, or the threshold that the first file has to beat."""
        return self._best_tracker.best

    @best.setter
    def best(self, value: float | None) -> None:
        self._best_tracker.start_from(arguments.optional_number("best", value))

    @property
    def best_filepath(self) -> str | None:
        """The file that holds the best model."""
        return self._best_tracker.best_path

    @property
    def last_filepath(self) -> str | None:
        """The file that was written last."""
        return self._last_filepath

    @property
    def interrupted(self) -> bool:
        """Whether a signal ended the last run."""
        return self._training_run.is_interrupted

    def on_checkpoint_saved(self, info: CheckpointInfo) -> None:
        """Do nothing; a subclass may override this to act on each durable file.

        Called on the main thread. An exception in it counts as a failed save.

        Args:
            info: The info of the file.
        """

    def wait(self) -> None:
        """Block until every file that was accepted for the background is durable.

        Raises:
            CheckpointWriteError: If a file could not be written and `on_save_error="raise"`. The
                next call raises the next such error.
        """
        self._saver.report_finished(wait_for_all=True)

    # Keras' events ------------------------------------------------------------------------------

    def on_train_begin(self, logs: Mapping[str, Any] | None = None) -> None:
        """Check the target and, with `resume=True`, continue an earlier run."""
        self.wait()
        model = self.model
        self._take_settings()
        self._model_of_best = remember_model(
            self._model_of_best, model, self._best_tracker, self._settings
        )
        self._training_run.group.unregister(self._training_run)
        self._begin_run()
        use_once(self, model)
        run = self._training_run
        run.in_fit = is_fitting(model, sys._getframe(1))
        run.span = int(getattr(model, "steps_per_execution", 1) or 1)
        run.group = FitGroup.register(run, self.params)
        run.companions = Companions(self, model)
        run.script = ScriptSettings(model, run.progress.epoch_steps)
        self._save_step.check_target(model)
        if self.resume:
            drop_early_batches(data_of_fit(model))
            resume_run(run, model, self._said_once)
            warn_of_inexact(model, self._said_once)
        run.order = DataOrder.of(model)
        if run.in_fit and (run.needs_batches or run.order.spans_epochs):
            run.order.prepare()
        if run.companions.has_any_behind:
            after_epoch_ends(model, self._after_all_callbacks)
        if run.role(model).takes_part:
            self._saver.prepare(model, run.settings.form)
        if run.settings.signals:
            signals = run.settings.signals
            self._interrupt_watch.begin(model, in_fit=run.in_fit, signals=signals)

    def on_epoch_begin(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Count the epoch; in the first epoch of a resumed run, skip the batches done before."""
        self._begin_event(together=True)
        self._current_epoch, self._last_write = epoch, None
        self._training_run.begin_epoch(epoch, getattr(self.model, "history", None))

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Save if the policy says so, or if a signal asked for it."""
        self._begin_event(together=True)
        run = self._training_run
        if run.is_interrupted:
            return
        run.held = {}
        run.end_epoch(epoch, logs or {})
        self.epochs_since_last_save += 1
        moment = Moment(run.progress.step, time.monotonic(), epoch, None, logs or {})
        due = run.policy.due_at_epoch_end(moment)
        if self._is_asked_to_stop():
            self._stop_training()
            self._save("interrupt", epoch, None, logs)
        elif self._role.agree(lambda: due):
            self._save("epoch", epoch, None, logs)

    def on_train_end(self, logs: Mapping[str, Any] | None = None) -> None:
        """Save what is still unsaved, finish every write and restore the signal handlers."""
        run, progress = self._training_run, self._training_run.progress
        self._interrupt_watch.end()
        run.group.unregister(run)
        end_without_training(run, self.model)
        try:
            self.wait()
            is_over = self._decides_itself or run.is_interrupted
            due = run.policy.due_at_train_end(progress.step)
            if not is_over and self._role.agree(lambda: due):
                batch = progress.batch - 1 if progress.batch else None
                epoch = progress.epoch if progress.batch else max(progress.epoch, 1) - 1
                self._save("train_end", epoch, batch, logs)
            self.wait()
        except BaseException:
            self._saver.report_rest()
            raise
        finally:
            self._saver.release_memory()

    # The parts of an event ----------------------------------------------------------------------

    def _take_settings(self) -> None:
        """Apply the arguments that were set since the last run."""
        settings, earlier = self._settings, self._training_run.settings
        if settings is not earlier:
            settings.check_together()
            self._saver = settings.new_saver()
            self._best_tracker = settings.adapt_best_tracker(self._best_tracker, earlier)
        self._best_tracker.was_set = False

    def _begin_run(self) -> None:
        steps = (self.params or {}).get("steps")
        self._training_run = Run.begin(self._settings, self._best_tracker, steps)
        self._save_step = SaveStep(
            self._training_run, self._saver, self._said_once, self._note_file
        )

    def _note_file(self, path: str, info: CheckpointInfo | None) -> None:
        self._last_filepath = path
        if info is None:  # another process published it
            return
        self.on_checkpoint_saved(info)
        if self.after_save is not None:
            self.after_save(info)
