"""One save, from the decision to the durable file."""

import dataclasses
import math
import time
from collections.abc import Callable, Mapping
from math import nan
from typing import Any

from ..checkpoint_info import CheckpointInfo, Reason
from ..errors import CheckpointNameError, was_published
from ..notify import Once, warn
from ..policies import monitor, save_decision
from ..policies.monitor import MonitoredValue
from ..policies.planned_save import Participant, PlannedSave
from ..policies.save_decision import Decision
from ..saving import Saver
from ..state.arrays import Arrays, take_out
from . import preflight, record_fields
from .direction import settle_direction
from .messages import Messages
from .pending_save import PendingSave
from .role import Role
from .run import Run
from .target_file import holds_best, info_after_save


@dataclasses.dataclass(frozen=True)
class Occasion:
    """The situation in which a save is due.

    Attributes:
        model: The model in training.
        reason: The reason that the checkpoint will give for the save.
        logs: The metrics.
        epoch_done: Whether an epoch has just ended.
    """

    model: Any
    reason: Reason
    logs: Mapping[str, Any]
    epoch_done: bool

    @property
    def is_cut_short(self) -> bool:
        """Whether a signal ended the epoch early, so that its metrics must not be ranked."""
        return self.reason == "interrupt" and not self.epoch_done


class SaveStep:
    """Decides on the saves of one run and carries them out."""

    def __init__(
        self,
        run: Run,
        saver: Saver,
        once: Once,
        on_durable: Callable[[str, CheckpointInfo | None], None],
    ) -> None:
        """Serve one run.

        Args:
            run: The run.
            saver: Writes the files.
            once: Gives each warning once.
            on_durable: Called with the path of each durable file and, in the process that published
                it, with its info.
        """
        self._run = run
        self._saver = saver
        self._once = once
        self._on_durable = on_durable
        self._messages = Messages(run.settings.verbose)

    def path(self, occasion: Occasion, epoch: int, batch: int | None) -> str:
        """Return the path of a save, from the template.

        Args:
            occasion: The situation in which it is due.
            epoch: Index of the epoch, from 0.
            batch: Index of the batch in it, from 0; `None` at the end of the epoch.

        Raises:
            CheckpointNameError: If a placeholder has no value.
        """
        template, logs = self._run.settings.template, occasion.logs
        for name in template.missing_validation(logs):
            self._once.warn(
                f"nan {name}", f"{name} has no value at this save: the file name shows nan."
            )
        counters = self._run.progress.counters(epoch_done=occasion.epoch_done)
        counters |= {"epoch": epoch + 1} | ({} if batch is None else {"batch": batch + 1})
        try:
            return template.fill(counters, logs)
        except CheckpointNameError:
            if occasion.reason != "interrupt":
                raise
            # Some metrics exist only at an epoch's end; a save after a signal must not fail for it.
            return template.fill(counters, {**dict.fromkeys(template.names, nan), **logs})

    def decide(self, occasion: Occasion, path: str) -> Decision:
        """Decide whether to save at `path`; with `verbose=1`, say why not."""
        decision = self.judge(occasion, path)
        if not decision.save and decision.value is not None and math.isfinite(decision.value):
            settings, to_beat = self._run.settings, self._run.best.value_to_beat
            self._messages.not_better(self._shown_epoch(occasion), settings.monitor, to_beat)
        return decision

    def judge(self, occasion: Occasion, path: str) -> Decision:
        """Decide whether to save at `path`, without a message."""
        settings, best = self._run.settings, self._run.best
        if occasion.is_cut_short:
            monitored = MonitoredValue(None, "absent")
        else:
            monitored = monitor.read(occasion.logs, settings.monitor)
        has_values = monitored.value is not None
        settle_direction(best, settings, occasion.model, self._once, has_values=has_values)
        if settings.needs_ranking and not occasion.is_cut_short:
            save_decision.explain(monitored, settings.monitor, occasion.logs, self._once)
        rules = {
            "best_only": settings.save_best_only,
            "must_save": occasion.reason == "interrupt",
        }
        asks = save_decision.depends_on_target(monitored, **rules)
        is_taken = asks and holds_best(path, settings.storage)
        return save_decision.decide(monitored, best, holds_best=is_taken, **rules)

    def write(self, occasion: Occasion, path: str, decision: Decision) -> None:
        """Save the model as it is now.

        Raises:
            CheckpointWriteError: If it cannot be written, with `on_save_error="raise"`.
        """
        run, settings = self._run, self._run.settings
        role = run.role(occasion.model)
        if not role.takes_part:
            return
        began = time.monotonic()
        path = settings.template.interrupt_path(path) if decision.spares_best else path
        fields = record_fields.fields(
            occasion.model,
            run,
            occasion.logs,
            reason=occasion.reason,
            epoch_done=occasion.epoch_done,
            template=settings.template.name,
        )
        arrays: Arrays = {}
        fields["states"] = take_out(fields["states"], arrays)
        if role.gathers and role.is_first:
            self._once.warn(
                "gathers",
                "the weights are spread over several processes: for each save they are brought "
                f"together array by array, and training waits until {path!r} is written. End "
                "filepath in `.orbax` to let every process write its own part",
            )
        if settings.resume:  # else nobody needs these states
            run.companions.warn_of_lost_states(self._once)
        plan = PlannedSave(path, decision.value, decision.is_best, fields["saved_at"])
        fields |= save_decision.fields(plan, run.best, settings.monitor)
        self._announce(occasion, plan)
        try:
            pending = PendingSave(plan, self._participants(occasion))
            self._carry_out(pending, occasion, fields, arrays)
        finally:
            run.policy.stalled(began, time.monotonic())

    def check_target(self, model: Any) -> None:
        """Check that this process can write files, if it is the one that publishes them.

        Raises:
            CheckpointWriteError: If they cannot be written.
        """
        role, settings = self._run.role(model), self._run.settings

        def check() -> None:
            size = preflight.state_size(model)
            preflight.check_target(settings.template, settings.form, settings.storage, size)
            self._run.group.warn_of_shared_path(self._run)

        if role.takes_part:
            self._run.is_checked = True
            role.agree(check)

    def _participants(self, occasion: Occasion) -> tuple[Participant, ...]:
        run = self._run
        deletes = (run.files,) if run.role(occasion.model).is_first else ()
        return (run.best, run.policy, *deletes)

    def _announce(self, occasion: Occasion, plan: PlannedSave) -> None:
        run, shown = self._run, self._shown_epoch(occasion)
        if not run.role(occasion.model).is_first:
            return
        if plan.is_best and run.settings.save_best_only:
            monitor, to_beat = run.settings.monitor, run.best.value_to_beat
            self._messages.saving_better(shown, plan, monitor, to_beat)
        else:
            self._messages.saving(shown, plan)
        self._messages.measured(run.policy.report())

    def _carry_out(
        self,
        pending: PendingSave,
        occasion: Occasion,
        fields: Mapping[str, Any],
        arrays: Arrays,
    ) -> None:
        shown, role = self._shown_epoch(occasion), self._run.role(occasion.model)

        def report(error: BaseException | None) -> None:
            self._end(pending, error, shown, fields, role)

        try:
            if not self._run.is_checked:  # a custom loop need not call on_train_begin
                self.check_target(occasion.model)
            together = role.processes if role.is_joint else None
            path = pending.plan.path
            self._saver.save(occasion.model, path, fields, report, together, arrays)
        except BaseException as error:
            if not pending.is_open:
                raise
            report(error)

    def _end(
        self,
        pending: PendingSave,
        error: BaseException | None,
        shown: int,
        fields: Mapping[str, Any],
        role: Role,
    ) -> None:
        """Commit or abort by what is on the disk, then raise or warn of an error."""
        if error is None or was_published(error):
            pending.commit()
            try:
                self._note(pending.plan, shown, fields, role)
            except Exception as raised:
                error = error or raised
        else:
            pending.abort()
        error = role.share_error(error)
        if error is None:
            return
        if self._run.settings.on_save_error == "raise" or not isinstance(error, Exception):
            raise error
        if pending.is_committed:
            warn(f"training goes on after an error in the save of {pending.plan.path!r}: {error}")
        else:
            warn(f"training goes on without this checkpoint: {error}")

    def _note(self, plan: PlannedSave, shown: int, fields: Mapping[str, Any], role: Role) -> None:
        """Report a durable file."""
        info = None
        if role.is_first:
            self._messages.finished(shown, plan)
            info = info_after_save(plan.path, fields, self._run.settings)
        self._on_durable(plan.path, info)

    def _shown_epoch(self, occasion: Occasion) -> int:
        return self._run.progress.counters(epoch_done=occasion.epoch_done)["epoch"]
