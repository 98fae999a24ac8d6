"""The arguments of a callback, checked when they are given or set."""

import dataclasses
import functools
import os
import signal
from collections.abc import Callable
from typing import Any

from ..checkpoint_info import CheckpointInfo
from ..file_kind import DIRECTORY_SUFFIXES
from ..formats.base import Form
from ..formats.forms import form_of
from ..interrupt import SIGNALS
from ..policies import arguments, monitor
from ..policies.best_value import BestTracker
from ..policies.file_template import FileTemplate, check_suffix
from ..policies.frequency import SavePolicy
from ..policies.retention import Retention
from ..policies.save_freq import SaveFreq, from_save_freq
from ..saving import Saver
from ..storage.base import Storage
from ..storage.places import storage_for


@dataclasses.dataclass(frozen=True)
class Settings:
    """The checked arguments of `ModelCheckpoint`, which documents them."""

    filepath: str
    monitor: str
    verbose: int
    save_best_only: bool
    save_weights_only: bool
    mode: str
    save_freq: SaveFreq
    initial_value_threshold: float | None
    keep_best: int | None
    keep_last: int | None
    min_delta: float
    save_on_background: bool
    resume: bool
    save_on_interrupt: bool | tuple[str, ...]
    on_save_error: str
    storage_options: dict[str, Any] | None
    after_save: Callable[[CheckpointInfo], object] | None

    @classmethod
    def names(cls) -> frozenset[str]:
        """Return the names of the arguments."""
        return frozenset(field.name for field in dataclasses.fields(cls))

    @classmethod
    def of(cls, **given: Any) -> "Settings":
        """Check all arguments, each alone and all together.

        Raises:
            ValueError: If an argument has none of the accepted forms.
        """
        settings = cls(**{name: _CHECKS[name](name, value) for name, value in given.items()})
        settings.check_together()
        return settings

    def with_argument(self, name: str, value: Any) -> "Settings":
        """Return these settings with one argument changed; only that argument is checked.

        Raises:
            ValueError: If the value has none of the accepted forms.
        """
        return dataclasses.replace(self, **{name: _CHECKS[name](name, value)})

    def check_together(self) -> None:
        """Check that the arguments fit together.

        Raises:
            ValueError: If the suffix of `filepath` does not fit what is saved, or
                `storage_options` is given for a local path.
            ImportError: If the package that serves the URL is missing.
            IsADirectoryError: If `filepath` is a directory that holds no checkpoint.
            NotADirectoryError: If a part of its directory is a file, or a `.orbax` is one.
        """
        check_suffix(self.template, self.save_weights_only)
        self.form.check(self.filepath, self.storage)
        path = self.template.only_path or ""
        if self.storage.is_local and os.path.isdir(path) and not path.endswith(DIRECTORY_SUFFIXES):
            raise IsADirectoryError(
                "Please specify a non-directory filepath for ModelCheckpoint. Filepath used is an "
                f"existing directory: {self.filepath}"
            )
        if self.storage.is_local:
            _check_is_no_file(self.template.directory)
        if self.resume and self.template.is_legacy:
            raise ValueError(
                "resume=True needs files with a record, which the legacy `.h5` does not have: end "
                f"filepath in `.keras`. Received: filepath={self.filepath}"
            )

    @functools.cached_property
    def template(self) -> FileTemplate:
        """The template of the file names."""
        return FileTemplate(self.filepath)

    @functools.cached_property
    def form(self) -> Form:
        """The form of the files."""
        return form_of(self.filepath)

    @functools.cached_property
    def storage(self) -> Storage:
        """The place of the files."""
        return storage_for(self.template.directory, self.storage_options, received=self.filepath)

    @property
    def signals(self) -> tuple[int, ...]:
        """The signals that end training with a checkpoint."""
        if isinstance(self.save_on_interrupt, tuple):
            return tuple(signal.Signals[name] for name in self.save_on_interrupt)
        return SIGNALS if self.save_on_interrupt else ()

    @property
    def needs_ranking(self) -> bool:
        """Whether any decision depends on which model is best."""
        return self.save_best_only or self.keep_best is not None

    @property
    def retention(self) -> Retention:
        """Which files to keep."""
        return Retention(self.keep_best, self.keep_last)

    def new_best_tracker(self) -> BestTracker:
        """Return a new tracker of the best model."""
        direction = monitor.direction_of_mode(self.mode)
        return BestTracker(direction, self.min_delta, self.initial_value_threshold)

    def adapt_best_tracker(self, tracker: BestTracker, earlier: "Settings") -> BestTracker:
        """Return the tracker to use after the settings changed; it keeps its best value if it can.

        The best value of another metric or in another direction is worthless, unless the user has
        set it for the coming run.
        """
        if (self.monitor, self.mode) != (earlier.monitor, earlier.mode):
            new = self.new_best_tracker()
            if tracker.was_set:
                new.start_from(tracker.best)
            return new
        tracker.min_delta = self.min_delta
        if not tracker.was_set and self.initial_value_threshold != earlier.initial_value_threshold:
            tracker.require(self.initial_value_threshold)
        return tracker

    def new_saver(self) -> Saver:
        """Return a new writer of the files."""
        root = self.template.directory
        return Saver(
            on_background=self.save_on_background,
            root=root,
            storage=self.storage,
            weights_only=self.save_weights_only,
        )

    def new_policy(self) -> SavePolicy:
        """Return a new policy for `save_freq`."""
        return from_save_freq(self.save_freq)

    def __str__(self) -> str:
        return (
            f"<ModelCheckpoint filepath={self.filepath!r}, monitor={self.monitor!r}, "
            f"save_best_only={self.save_best_only}, save_freq={self.save_freq!r}>"
        )


class Argument:
    """An argument as an attribute of the callback: checked when set, used from the next run on."""

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, callback: Any, owner: type | None = None) -> Any:
        return self if callback is None else getattr(callback._settings, self._name)

    def __set__(self, callback: Any, value: Any) -> None:
        callback._settings = callback._settings.with_argument(self._name, value)


def _save_freq(name: str, value: Any) -> Any:
    from_save_freq(value)
    return value


_CHECKS: dict[str, Callable[[str, Any], Any]] = {
    "filepath": lambda name, value: FileTemplate.parse(value).text,
    "monitor": arguments.text,
    "verbose": arguments.verbosity,
    "save_best_only": arguments.flag,
    "save_weights_only": arguments.flag,
    "mode": lambda name, value: arguments.mode(value),
    "save_freq": _save_freq,
    "initial_value_threshold": arguments.optional_number,
    "keep_best": lambda name, value: arguments.optional_whole(name, value, 1),
    "keep_last": lambda name, value: arguments.optional_whole(name, value, 1),
    "min_delta": arguments.not_negative,
    "save_on_background": arguments.flag,
    "resume": arguments.flag,
    "save_on_interrupt": arguments.signals,
    "on_save_error": lambda name, value: arguments.choice(name, value, ("raise", "warn")),
    "storage_options": arguments.mapping,
    "after_save": arguments.function,
}


def _check_is_no_file(directory: str) -> None:
    """Raise if a directory cannot be made because a file stands there or above it."""
    while not os.path.lexists(directory) and directory != os.path.dirname(directory):
        directory = os.path.dirname(directory)
    if os.path.exists(directory) and not os.path.isdir(directory):
        raise NotADirectoryError(f"filepath must lie in a directory, but {directory!r} is a file.")
