"""The other callbacks of a `fit`, before and after a resume."""

import functools
from collections.abc import Mapping
from typing import Any

from ..keras_seam.fit_control import callbacks_of_fit
from ..notify import Once
from ..state import callbacks as callback_states
from ..unshared import Unshared

_WEIGHTS_BACK = "BackupAndRestore"


class Companions(Unshared):
    """The other callbacks of one `fit`, with their states: the record's "callbacks".

    A checkpoint at the end of an epoch is written before Keras calls `on_epoch_end` of the
    callbacks after ours. A resume continues from that moment, so it calls them then.

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
        self._refused: dict[str, str] = {}  # why the state of a class cannot be stored
        self._missing: list[str] = []  # classes of states that match no callback
        self.first_epoch = 0  # index of the first epoch whose end they will see
        self.had_stopped = False  # whether one had ended the run at the last `capture`

    def savers_of_keras(self) -> list[tuple[str, str]]:
        """Return the path and a description of each of Keras' own `ModelCheckpoint` callbacks."""
        found = [c for c in self._all if callback_states.keras_class(c) == "ModelCheckpoint"]
        return [
            (c.filepath, f"<Keras' own ModelCheckpoint filepath={c.filepath!r}>") for c in found
        ]

    def capture(self) -> dict[str, Any]:
        """Return the callbacks' states as a JSON object with arrays."""
        captured = callback_states.capture(self._all)
        self._refused = captured.refused
        self.had_stopped = bool(getattr(self._model, "stop_training", False))
        return {"states": captured.states, "place": self._place, "stopped": self.had_stopped}

    @property
    def has_any_behind(self) -> bool:
        """Whether there is a callback after ours."""
        return bool(self._all[self._place + 1 :])

    def check(self, state: Mapping[str, Any]) -> None:
        """Raise an error if these are not states of callbacks."""
        if not isinstance(state["place"], int) or not isinstance(state["stopped"], bool):
            raise TypeError("the place of the checkpoint callback is missing")
        callback_states.check(state["states"])

    def restore(self, state: Mapping[str, Any]) -> None:
        """Restore the callbacks' states; skip those of callbacks that this `fit` lacks."""
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
        """Warn of each state that matched no callback."""
        for name in self._missing:
            once.warn(
                f"gone {name}",
                f"the resumed run had a callback {name} with state, and this run has none: its "
                "state is ignored",
            )

    def prevent_backup_restore(self) -> None:
        """Keep a Keras `BackupAndRestore` after ours from loading its own backup into the model.

        It would do so once, in `on_train_begin`, which does nothing else in Keras before 3.9.
        """
        for other in self._all[self._place + 1 :]:
            if callback_states.keras_class(other) == _WEIGHTS_BACK:
                name = "_load_model" if hasattr(other, "_load_model") else "on_train_begin"
                setattr(other, name, functools.partial(_do_nothing_once, other, name))

    def has_ended(self, state: Mapping[str, Any], epoch: int, logs: Mapping[str, Any]) -> bool:
        """Tell whether a callback had ended the run, or was about to, when the file was written.

        Args:
            state: What `capture` returned.
            epoch: Index of the epoch that the file ends with.
            logs: The metrics of that epoch.
        """
        return bool(state["stopped"]) or self._stop_behind(state, epoch, logs)

    def restore_finished(
        self, state: Mapping[str, Any], epoch: int, logs: Mapping[str, Any]
    ) -> None:
        """Restore the states of a run that has nothing left to train, before `on_train_end`.

        EarlyStopping puts its best weights into the model then. A CSVLogger has its rows already.

        Args:
            state, epoch, logs: As for `has_ended`.
        """
        pairs, _ = callback_states.pairs(self._all, state["states"])
        for other, one in pairs:
            if callback_states.keras_class(other) != "CSVLogger":
                callback_states.put_back(other, one, epoch)
        if not state["stopped"]:
            self._stop_behind(state, epoch, logs)

    def _stop_behind(self, state: Mapping[str, Any], epoch: int, logs: Mapping[str, Any]) -> bool:
        """Let each EarlyStopping after ours end the epoch; tell whether one ends the run."""
        # EarlyStopping is the only Keras callback that ends a run at the end of an epoch.
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
        """Call `on_epoch_end` of the callbacks after ours for the last epoch.

        A user's callback without state is not called: what it remembers of that epoch is lost.

        Args:
            state: What `capture` returned.
            epoch: Index of the epoch that the file ends with.
            logs: The metrics of that epoch.
            once: Gives each warning once.

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
                f"a callback after ModelCheckpoint ({names}) had ended the run, so one more batch "
                "is trained: put it before ModelCheckpoint in the list of callbacks",
            )
        for other in self._all[self._place + 1 :]:
            if _does_something_at_epoch_end(other) and other not in behind:
                name = type(other).__name__
                once.warn(
                    f"behind {name}",
                    f"what the callback {name} did at the end of epoch {epoch + 1} is not in the "
                    "file, because it comes after ModelCheckpoint in the list of callbacks: if it "
                    "changes the training, put it before ModelCheckpoint",
                )
        return logs

    def _behind(self, state: Mapping[str, Any]) -> list[tuple[Any, Mapping[str, Any]]]:
        """Return the callbacks that had not run yet when the file was written, with their states.

        They are the ones that came after ours in the list.
        """
        pairs, _ = callback_states.pairs(self._all, state["states"])
        behind = [(other, one) for other, one in pairs if one["place"] > state["place"]]
        return sorted(behind, key=lambda pair: int(pair[1]["place"]))


def _do_nothing_once(callback: Any, name: str, *arguments: Any, **settings: Any) -> None:
    """Stand in for a method of a callback until its first call."""
    vars(callback).pop(name, None)


def _does_something_at_epoch_end(callback: Any) -> bool:
    """Tell whether a user's callback without state defines `on_epoch_end`."""
    if callback_states.has_state(callback) or callback_states.keras_class(callback):
        return False
    if callback_states.is_ours(callback):
        return False
    own = getattr(callback.on_epoch_end, "__func__", callback.on_epoch_end)
    return getattr(own, "__module__", "").split(".")[0] != "keras"
