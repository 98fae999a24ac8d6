"""Continue training from the newest usable checkpoint of a template."""

import functools
from typing import Any

from ..backends.processes import Processes, processes_of
from ..keras_seam.fit_control import (
    before_first_epoch,
    before_train_end,
    epochs_of_fit,
    forget_start,
    initial_epoch_of_fit,
    start_at_epoch,
)
from ..notify import Once, warn
from .messages import Messages
from .resume_point import ResumePoint
from .resume_together import open_together
from .role import all_or_none, first_decides
from .run import Run


def resume_run(run: Run, model: Any, once: Once) -> None:
    """Continue an earlier run: restore its state, its best value and its files.

    If several callbacks of one `fit` resume, the one with the newest file restores it, and the
    others continue from there.

    Args:
        run: The run that begins.
        model: The model in training.
        once: Gives each warning once.
    """
    group = processes_of(model)
    own = _find_together(run, group)
    if own is not None and run.group.is_newest(own):
        with own.checkpoint:
            rates = all_or_none(group, functools.partial(own.restore, model))
        run.group.resume_from(own, run)
        Messages(run.settings.verbose).resuming(own.info, initial_epoch_of_fit(model))
        if run.in_fit:
            own.has_ended = own.is_finished(run)
            epochs = epochs_of_fit(model) if own.has_ended else None
            start_at_epoch(model, max(own.info.epoch or 0, epochs or 0))
            if not own.has_ended:
                own.pass_over_epochs(model)
            run.companions.prevent_backup_restore()
            before_first_epoch(model, lambda: enter_first_epoch(run, model, once))
            before_train_end(model, lambda: restore_finished(run, own))
        if changes := run.script.changes(own.state_of(run.script), rates):
            once.warn("changed settings", changes)
    elif run.group.point is not None:
        run.continue_from(run.group.point.record)
    if own is not None:
        own.checkpoint.close()
        own.earlier.hand_over(run, model, once)
        best = run.best
        found = best.direction, best.ranked_best, best.best_path
        best.direction, value, path = first_decides(group, lambda: found)
        best.restore(value, path)


def _find_together(run: Run, group: Processes) -> ResumePoint | None:
    """Return the checkpoint that the first process finds, opened by every process."""
    template, storage = run.settings.template, run.settings.storage
    found: list[ResumePoint | None] = [None]

    def choose() -> tuple[str, str] | None:
        found[0] = point = ResumePoint.find(template, storage)
        return None if point is None else (point.info.path, str(point.record["saved_at"]))

    chosen = first_decides(group, choose)
    if chosen is None or not group.can_agree:
        return found[0]
    return open_together(found[0], *chosen, storage, group)


def enter_first_epoch(run: Run, model: Any, once: Once) -> None:
    """Complete a resume at the first event of training, unless that has been done."""
    point = run.group.take_point()
    if point is not None:
        restore_companions(run, point, once)
        point.enter_epoch(model, run)


def restore_companions(run: Run, point: ResumePoint, once: Once) -> None:
    """Restore the other callbacks; those after ours first get the end of the last epoch."""
    companions, state = run.companions, point.state_of(run.companions)
    if state is None:
        return
    last = point.last_epoch
    companions.first_epoch = (point.info.epoch or 0) if last is None else last
    companions.restore(state)
    companions.warn_of_missing(once)
    if last is not None:
        logs = companions.repeat_epoch_end(state, last, point.info.metrics, once)
        point.complete_history(logs)


def restore_finished(run: Run, point: ResumePoint) -> None:
    """Restore the other callbacks at the end of a training without any epoch."""
    if run.group.point is point:
        point.restore_finished(run)


def end_without_training(run: Run, model: Any) -> None:
    """Warn if `fit` ends without an epoch because the checkpoint has all of them."""
    point = run.group.take_point()
    if point is not None:
        forget_start(model)
        point.restore_history(model)
        reason = "a callback ended the run there" if point.has_ended else "nothing to train"
        warn(f"{point.info.path} has {point.info.epoch} epochs already: {reason}")
