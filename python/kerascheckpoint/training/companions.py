"""The other callbacks of a `fit`, before and after a resume."""

import functools
from collections.abc import Mapping
from typing import Any

from ..keras_seam.fit_control import callbacks_of_fit
from ..notify import Once
from ..state import callbacks as callback_states

_WEIGHTS_BACK = "BackupAndRestore"


class Companions:
    """The other callbacks of one `fit`, with their states: the record's "callbacks".

    A checkpoint at an epoch's end is written before the callbacks behind ours have heard of that
    end. A resume goes on from that instant, so they hear of it then.

    Args:
        callback: Our callback.
        model: The model in training.
    """

    name = "callbacks"
    version = 1

    def __init__(self, callback: Any = None, model: Any = None) -> None:
        self._model = model
        self._all = callbacks_of_fit(model) if model is not None else []
        here = [place for place, other in enumerate(self._all) if other is callback]
        self._place = here[0] if here else len(self._all)
        self._before = {id(c): callback_states.plain_attributes(c) for c in self._all}
        self._refused: dict[str, str] = {}  # why a class gave no state that can be stored
        self._missing: list[str] = []  # classes of states that no callback took
        self.first_epoch = 0  # index of the first epoch whose end they are to hear of

    def __deepcopy__(self, memo: dict[int, Any]) -> "Companions":
        return Companions()

    def __reduce__(self) -> tuple[type["Companions"], tuple[()]]:
        return Companions, ()

    def savers_of_keras(self) -> list[tuple[str, str]]:
        """Return path and description of each `ModelCheckpoint` that is Keras' own."""
        found = [c for c in self._all if callback_states.keras_class(c) == "ModelCheckpoint"]
        return [
            (c.filepath, f"<Keras' own ModelCheckpoint filepath={c.filepath!r}>") for c in found
        ]

    def capture(self) -> dict[str, Any]:
        """Return their states as a JSON object with arrays."""
        captured = callback_states.capture(self._all)
        self._refused = captured.refused
        return {
            "states": captured.states,
            "place": self._place,
            "stopped": bool(getattr(self._model, "stop_training", False)),
        }

    def check(self, state: Mapping[str, Any]) -> None:
        """Raise if these are no states of callbacks."""
        if not isinstance(state["place"], int) or not isinstance(state["stopped"], bool):
            raise TypeError("the place of the checkpoint callback is not known")
        callback_states.check(state["states"])

    def restore(self, state: Mapping[str, Any]) -> None:
        """Put their states back; leave out those of callbacks that this `fit` has not."""
        pairs, self._missing = callback_states.pairs(self._all, state["states"])
        for other, one in pairs:
            callback_states.put_back(other, one, self.first_epoch)

    def warn_of_lost_states(self, once: Once) -> None:
        """Warn once of each state that cannot be saved."""
        for name, why in self._refused.items():
            once.warn(
                f"refused {name}",
                f"the state of the callback {name} is not saved: a value of type {why}",
            )
        for other in self._all:
            changed = callback_states.changed_without_state(other, self._before[id(other)])
            if changed:
                name = type(other).__name__
                once.warn(
                    f"state {name}",
                    f"the callback {name} changed its attributes {', '.join(changed)} during "
                    "training, and checkpoints do not save them: give it the methods state_dict() "
                    "and load_state_dict(state), so that a resumed run can restore them",
                )

    def warn_of_missing(self, once: Once) -> None:
        """Warn of each state that no callback took."""
        for name in self._missing:
            once.warn(
                f"gone {name}",
                f"the resumed run had a callback {name} with a state, and this one has none: its "
                "state is left out",
            )

    def let_no_backup_in(self) -> None:
        """Keep Keras' `BackupAndRestore` behind ours from putting its own backup into the model.

        It would do so when it hears that training begins, once.
        """
        for other in self._all[self._place + 1 :]:
            if callback_states.keras_class(other) == _WEIGHTS_BACK:
                other._load_model = functools.partial(vars(other).pop, "_load_model", None)

    def has_ended(self, state: Mapping[str, Any], epoch: int, logs: Mapping[str, Any]) -> bool:
        """Tell whether a callback had ended the run or was about to when the file was written.

        Args:
            state: What `capture` returned.
            epoch: Index of the epoch that the file ends with.
            logs: The metrics of that epoch.
        """
        if state["stopped"]:
            return True
        # Of all callbacks of Keras' that may end a run, only this one does so at an epoch's end.
        behind = [
            (other, one)
            for other, one in self._behind(state)
            if callback_states.keras_class(other) == "EarlyStopping"
        ]
        for other, one in behind:
            callback_states.put_back(other, one, epoch)
            other.on_epoch_end(epoch, dict(logs))
        return any(bool(other.model.stop_training) for other, _ in behind)

    def repeat_epoch_end(
        self, state: Mapping[str, Any], epoch: int, logs: Mapping[str, Any], once: Once
    ) -> dict[str, Any]:
        """Let the callbacks behind ours hear of the end of the last epoch.

        Those of the user's without a state do not: what they remember of that epoch is lost.

        Args:
            state: What `capture` returned.
            epoch: Index of the epoch that the file ends with.
            logs: The metrics of that epoch.
            once: Says each warning once.

        Returns:
            The metrics of that epoch, including any that those callbacks added.
        """
        logs = dict(logs)
        behind = [other for other, _ in self._behind(state)]
        for other in behind:
            other.on_epoch_end(epoch, logs)
        if behind and getattr(self._model, "stop_training", False):
            names = ", ".join(type(other).__name__ for other in behind)
            once.warn(
                "stopped behind",
                f"a callback behind ModelCheckpoint ({names}) had ended the run, and a batch more "
                "is trained: put it before ModelCheckpoint in the list of callbacks",
            )
        for other in self._all[self._place + 1 :]:
            if _does_something_at_epoch_end(other) and other not in behind:
                name = type(other).__name__
                once.warn(
                    f"behind {name}",
                    f"what the callback {name} did at the end of epoch {epoch + 1} is not in the "
                    "file, as it comes after ModelCheckpoint in the list of callbacks: if that "
                    "changes the training, put it before ModelCheckpoint",
                )
        return logs

    def _behind(self, state: Mapping[str, Any]) -> list[tuple[Any, Mapping[str, Any]]]:
        """Return the callbacks that had not run yet when the file was written, with their states.

        They are those that stood behind ours then.
        """
        pairs, _ = callback_states.pairs(self._all, state["states"])
        behind = [(other, one) for other, one in pairs if one["place"] > state["place"]]
        return sorted(behind, key=lambda pair: int(pair[1]["place"]))


def _does_something_at_epoch_end(callback: Any) -> bool:
    """Tell whether a callback of the user's, without a state, hears of the ends of epochs."""
    if callback_states.has_state(callback) or callback_states.keras_class(callback):
        return False
    if callback_states.is_ours(callback):
        return False
    own = getattr(callback.on_epoch_end, "__func__", callback.on_epoch_end)
    return getattr(own, "__module__", "").split(".")[0] != "keras"
