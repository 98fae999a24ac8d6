"""A save between its decision and its end."""

from collections.abc import Sequence

from ..policies.planned_save import Participant, PlannedSave


class PendingSave:
    """A decided save, which is either committed or aborted, once.

    Attributes:
        plan: What was decided.
        is_open: Whether it has not ended yet.
        is_committed: Whether it ended with a durable file.
    """

    def __init__(self, plan: PlannedSave, participants: Sequence[Participant]) -> None:
        """Begin the save.

        Args:
            plan: What was decided.
            participants: The objects that follow the save; they are called in this order.
        """
        self.plan = plan
        self.is_open = True
        self.is_committed = False
        self._participants = participants
        for participant in participants:
            participant.begin(plan)

    def commit(self) -> None:
        """End the save: its file is durable."""
        self._end()
        self.is_committed = True
        for participant in self._participants:
            participant.commit(self.plan)

    def abort(self) -> None:
        """End the save: its file could not be written."""
        self._end()
        for participant in self._participants:
            participant.abort(self.plan)

    def _end(self) -> None:
        if not self.is_open:
            raise RuntimeError(f"the save of {self.plan.path!r} has ended already")
        self.is_open = False
