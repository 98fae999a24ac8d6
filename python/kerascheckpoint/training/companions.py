"""The other callbacks of a `fit`, before and after a resume."""

from collections.abc import Mapping
from typing import Any

from ..keras_seam.fit_control import callbacks_of_fit
from ..notify import Once
from ..state import callbacks as callback_states

# If they come after ours in the list, a resume repeats their `on_epoch_end`, because the checkpoint
# was written before they ran.
_REPEATED = ("EarlyStopping", "ReduceLROnPlateau", "ModelCheckpoint")


class Companions:
    """The other callbacks of one `fit`.

    Args:
        callback: Our callback.
        model: The model in training.
    """

    def __init__(self, callback: Any = None, model: Any = None) -> None:
        self._all = callbacks_of_fit(model) if model is not None else []
        here = [place for place, other in enumerate(self._all) if other is callback]
        self._place = here[0] if here else len(self._all)
        self._before = {id(c): callback_states.plain_attributes(c) for c in self._all}

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

    def capture(self, model: Any, once: Once, *, resume: bool) -> dict[str, Any]:
        """Return their states as a JSON object; warn once of each that cannot be saved.

        Args:
            model: The model in training.
            once: Gives each warning once.
            resume: Whether the callback has `resume=True`; else nobody needs the warnings.
        """
        states, too_large = callback_states.capture(self._all)
        if resume:
            self._warn(once, too_large)
        return {
            "version": callback_states.VERSION,
            "states": states,
            "place": self._place,
            "stopped": bool(getattr(model, "stop_training", False)),
        }

    def _warn(self, once: Once, too_large: list[str]) -> None:
        for name in too_large:
            once.warn(
                f"large {name}",
                f"the best weights that {name} keeps are too large for a checkpoint's record: "
                "after a resume it only has those of later epochs",
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

    def has_ended(self, state: Mapping[str, Any], epoch: int, logs: Mapping[str, Any]) -> bool:
        """Tell whether a callback had ended the run or was about to when the file was written.

        Args:
            state: What `capture` returned.
            epoch: Index of the epoch that the file ends with.
            logs: The metrics of that epoch.
        """
        if state["stopped"]:
            return True
        behind = self._behind(state, ("EarlyStopping",))
        if not behind:
            return False
        callback_states.restore(self._all, state["states"])
        for other in behind:
            other.on_epoch_end(epoch, dict(logs))
        return any(bool(other.model.stop_training) for other in behind)

    def restore(
        self, state: Mapping[str, Any], once: Once, epoch: int | None, logs: Mapping[str, Any]
    ) -> dict[str, Any]:
        """Restore their states, and repeat the epoch's end for those after ours.

        Args:
            state: What `capture` returned.
            once: Gives each warning once.
            epoch: Index of the epoch that the file ends with, `None` in the middle of one.
            logs: The metrics of that epoch.

        Returns:
            The metrics of that epoch, including any that those callbacks added.
        """
        logs = dict(logs)
        for name in callback_states.restore(self._all, state["states"]):
            once.warn(
                f"gone {name}",
                f"the resumed run had a callback {name} with a state, and this one has none: its "
                "state is left out",
            )
        if epoch is not None:
            for other in self._behind(state, _REPEATED):
                other.on_epoch_end(epoch, logs)
        return logs

    def _behind(self, state: Mapping[str, Any], classes: tuple[str, ...]) -> list[Any]:
        """Return the callbacks of `classes` that had not run yet when the file was written."""
        waiting = [s["class"] for s in state["states"] if s["place"] > state["place"]]
        found = []
        for other in reversed(self._all):
            name = type(other).__name__
            if callback_states.keras_class(other) in classes and name in waiting:
                waiting.remove(name)
                found.append(other)
        return found[::-1]
