"""What this process does in the saves of a run that several processes may train."""

import dataclasses
from collections.abc import Callable
from typing import Any, TypeVar

from ..backends.arrays import is_spread
from ..backends.processes import Processes, processes_of
from ..errors import CheckpointError, CheckpointWriteError
from ..formats.base import Form

_Value = TypeVar("_Value")


@dataclasses.dataclass(frozen=True)
class Role:
    """The part of one process.

    Attributes:
        processes: The processes of the training.
        is_joint: Whether all of them take part in each save: the weights are spread over them. Then
            the first one decides, and nothing may be decided or raised by one process alone, as the
            others would wait for it in the next step of the training.
        gathers: Whether all bring the weights together for the first one, which writes alone.
    """

    processes: Processes
    is_joint: bool = False
    gathers: bool = False

    @classmethod
    def of(cls, model: Any, form: Form) -> "Role":
        """Return the role in the saves of `model` in a form."""
        found = processes_of(model)
        if found.count == 1 or not found.can_write_together:
            return cls(found)
        optimizer = getattr(model, "optimizer", None)
        variables = [*model.variables, *getattr(optimizer, "variables", ())]
        is_joint = any(is_spread(variable) for variable in variables)
        return cls(found, is_joint, gathers=is_joint and form.processes == "first")

    @property
    def is_first(self) -> bool:
        """Whether this process decides, publishes and deletes."""
        return self.processes.is_first

    @property
    def takes_part(self) -> bool:
        """Whether this process has something to do in a save."""
        return self.is_first or self.is_joint

    def agree(self, decide: Callable[[], _Value]) -> _Value:
        """Return what the first process decides, in each one that takes part in saves.

        Args:
            decide: Called by those whose decision counts; returns JSON.

        Raises:
            CheckpointError: If it raised in the first process.
        """
        return first_decides(self.processes, decide) if self.is_joint else decide()

    def share_error(self, error: BaseException | None) -> BaseException | None:
        """Return the error that a save ends with in all processes that take part in it.

        Args:
            error: The error in this process, if any.
        """
        if not self.is_joint or not isinstance(error, Exception | None):
            return error
        problems = self.processes.gather(None if error is None else str(error) or repr(error))
        found = [(index, problem) for index, problem in enumerate(problems) if problem is not None]
        if error is None and found:
            return CheckpointWriteError(f"process {found[0][0]} of this training: {found[0][1]}")
        return error


def first_decides(group: Processes, decide: Callable[[], _Value]) -> _Value:
    """Return what the first process decides, in every process: a collective call.

    Args:
        group: The processes.
        decide: Called by the first one alone; returns JSON.

    Raises:
        CheckpointError: If it raised in the first process, where its own error is raised.
    """
    if not group.can_agree:
        return decide()
    if not group.is_first:
        answer = group.agree({})
    else:
        try:
            answer = {"value": decide()}
        except Exception as error:
            group.agree({"error": str(error) or type(error).__name__})
            raise
        answer = group.agree(answer)
    if "error" in answer:
        raise CheckpointError(f"the first process of this training met an error: {answer['error']}")
    value: _Value = answer["value"]
    return value


def all_or_none(group: Processes, action: Callable[[], _Value]) -> _Value:
    """Do something in every process; if it raises in one of them, raise in all: a collective call.

    Raises:
        CheckpointError: If it raised in another process.
    """
    if not group.can_agree:
        return action()
    try:
        value = action()
    except Exception as error:
        group.gather(str(error) or type(error).__name__)
        raise
    for index, problem in enumerate(group.gather("")):
        if problem:
            raise CheckpointError(f"process {index} of this training met an error: {problem}")
    return value
