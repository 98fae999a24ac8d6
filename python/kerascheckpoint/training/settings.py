"""The arguments of a callback, each checked when it is given or set."""

import dataclasses
import functools
import os
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from ..policies import arguments, frequency, monitor
from ..policies.best_value import BestTracker
from ..policies.file_template import FileTemplate, check_suffix
from ..policies.retention import Retention
from ..saving import Saver


@dataclasses.dataclass(frozen=True)
class Settings:
    """What the arguments of `ModelCheckpoint` say; it documents them."""

    filepath: str
    monitor: str
    verbose: int
    save_best_only: bool
    save_weights_only: bool
    mode: str
    save_freq: "str | int | timedelta"
    initial_value_threshold: float | None
    keep_best: int | None
    keep_last: int | None
    min_delta: float
    save_on_background: bool
    resume: bool
    save_on_interrupt: bool
    on_save_error: str

    @classmethod
    def names(cls) -> frozenset[str]:
        """Return the names of the arguments."""
        return frozenset(field.name for field in dataclasses.fields(cls))

    @classmethod
    def of(cls, **given: Any) -> "Settings":
        """Check all arguments, and whether they go together.

        Raises:
            ValueError: If an argument is not one of the accepted forms.
        """
        settings = cls(**{name: _CHECKS[name](name, value) for name, value in given.items()})
        settings.check_together()
        return settings

    def with_argument(self, name: str, value: Any) -> "Settings":
        """Return these settings with another value of one argument, which is checked alone.

        Raises:
            ValueError: If it is not one of the accepted forms.
        """
        return dataclasses.replace(self, **{name: _CHECKS[name](name, value)})

    def check_together(self) -> None:
        """Check that the arguments go together.

        Raises:
            ValueError: If the suffix of `filepath` does not fit what is saved.
            IsADirectoryError: If `filepath` is a directory.
        """
        check_suffix(self.template, self.save_weights_only)
        if self.template.only_path is not None and os.path.isdir(self.template.only_path):
            raise IsADirectoryError(
                "Please specify a non-directory filepath for ModelCheckpoint. Filepath used is an "
                f"existing directory: {self.filepath}"
            )
        if self.resume and self.template.is_legacy:
            raise ValueError(
                "resume=True needs files that carry a record, and the legacy `.h5` has none: end "
                f"filepath in `.keras`. Received: filepath={self.filepath}"
            )

    @functools.cached_property
    def template(self) -> FileTemplate:
        """The template of the files' names."""
        return FileTemplate(self.filepath)

    @property
    def needs_ranking(self) -> bool:
        """Whether a decision depends on which model is the best."""
        return self.save_best_only or self.keep_best is not None

    @property
    def retention(self) -> Retention:
        """Which files to keep."""
        return Retention(self.keep_best, self.keep_last)

    def new_best_tracker(self) -> BestTracker:
        """Return a tracker that has seen no model yet."""
        direction = monitor.direction_of_mode(self.mode)
        return BestTracker(direction, self.min_delta, self.initial_value_threshold)

    def new_saver(self) -> Saver:
        """Return what writes the files."""
        return Saver(on_background=self.save_on_background, root=self.template.directory)

    def new_policy(self) -> frequency.SavePolicy:
        """Return the policy that `save_freq` asks for."""
        return frequency.from_save_freq(self.save_freq)

    def __str__(self) -> str:
        return (
            f"<ModelCheckpoint filepath={self.filepath!r}, monitor={self.monitor!r}, "
            f"save_best_only={self.save_best_only}, save_freq={self.save_freq!r}>"
        )


class Argument:
    """An argument that a callback shows as an attribute: checked when set, obeyed by later runs."""

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, callback: Any, owner: type | None = None) -> Any:
        return self if callback is None else getattr(callback._settings, self._name)

    def __set__(self, callback: Any, value: Any) -> None:
        callback._settings = callback._settings.with_argument(self._name, value)


def _save_freq(name: str, value: Any) -> Any:
    frequency.from_save_freq(value)
    return value


_CHECKS: dict[str, Callable[[str, Any], Any]] = {
    "filepath": lambda name, value: FileTemplate.parse(value).text,
    "monitor": arguments.text,
    "verbose": lambda name, value: arguments.whole(
        name, int(value) if value in (0, 1) else value, 0
    ),
    "save_best_only": arguments.flag,
    "save_weights_only": arguments.flag,
    "mode": lambda name, value: arguments.mode(value),
    "save_freq": _save_freq,
    "initial_value_threshold": arguments.optional_number,
    "keep_best": lambda name, value: arguments.optional_whole(name, value, 1),
    "keep_last": lambda name, value: arguments.optional_whole(name, value, 1),
    "min_delta": lambda name, value: arguments.number(name, value, 0.0),
    "save_on_background": arguments.flag,
    "resume": arguments.flag,
    "save_on_interrupt": arguments.flag,
    "on_save_error": lambda name, value: arguments.choice(name, value, ("raise", "warn")),
}
