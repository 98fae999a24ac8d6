"""What the checkpoint callbacks of one `fit` share."""

import contextlib
import threading
import weakref
from typing import TYPE_CHECKING, Any

from ..keras_seam.fit_control import list_once
from ..notify import warn
from ..policies.file_template import FileTemplate
from ..unshared import Unshared

if TYPE_CHECKING:
    from .companions import Companions
    from .resume_point import ResumePoint
    from .run import Run

_lock = threading.Lock()  # several threads may each train a model
_groups: "weakref.WeakSet[FitGroup]" = weakref.WeakSet()


class FitGroup(Unshared):
    """The runs of one `fit`, and the checkpoint that all of them continue from.

    Attributes:
        point: The newest checkpoint that a callback of the group found, until training has
            continued from it.
    """

    def __init__(self, params: dict[str, Any] | None = None) -> None:
        self._params = params
        self._runs: weakref.WeakSet[Run] = weakref.WeakSet()
        self.point: ResumePoint | None = None

    @classmethod
    def register(cls, run: "Run", params: dict[str, Any] | None) -> "FitGroup":
        """Add a run to the group of its `fit`.

        Args:
            run: The run that begins.
            params: The callback's `params`; Keras gives all callbacks of one `fit` the same dict.
        """
        with _lock:
            of_fit = [group for group in _groups if params is not None and group._params is params]
            group = of_fit[0] if of_fit else cls(params)
            group._runs.add(run)
            _groups.add(group)
        return group

    def unregister(self, run: "Run") -> None:
        """Remove a run whose training has ended."""
        with _lock:
            self._runs.discard(run)

    def runs_beside(self, run: "Run") -> "list[Run]":
        """Return the other runs of the group."""
        with _lock:
            return [other for other in self._runs if other is not run]

    def warn_of_shared_path(self, run: "Run") -> None:
        """Warn if another callback of the group writes to the same paths."""
        epochs = (self._params or {}).get("epochs") or 1
        ours = [(other.settings.template, other.settings) for other in self.runs_beside(run)]
        for template, other in [*ours, *_of_keras(run.companions)]:
            if run.settings.template.fills_like(template, epochs):
                warn(
                    "two callbacks of one fit save to the same path and overwrite each other: "
                    f"{other} and {run.settings}"
                )

    def is_newest(self, point: "ResumePoint") -> bool:
        """Tell whether a checkpoint is newer than the one that the group continues from."""
        return self.point is None or point.is_newer_than(self.point)

    def resume_from(self, point: "ResumePoint", run: "Run") -> None:
        """Make `run` and every other run with `resume=True` continue from a checkpoint."""
        self.point = point
        for each in (run, *self.runs_beside(run)):
            if each.settings.resume:
                each.continue_from(point.record)

    def take_point(self) -> "ResumePoint | None":
        """Return the checkpoint to continue from on the first call, then `None`."""
        point, self.point = self.point, None
        return point


def use_once(callback: Any, model: Any) -> None:
    """Warn if a callback is listed more than once in the running `fit`; let it act only once."""
    if list_once(model, callback):
        warn(f"one callback is listed more than once in callbacks and is used once: {callback!r}")


def _of_keras(companions: "Companions") -> list[tuple[FileTemplate, str]]:
    """Return template and description of each `ModelCheckpoint` that is Keras' own."""
    found = []
    for path, text in companions.savers_of_keras():
        with contextlib.suppress(TypeError, ValueError):  # Keras reports it at the first save
            found.append((FileTemplate.parse(path), text))
    return found
