"""The settings of a script, compared with those of the resumed run's script."""

from collections.abc import Mapping
from typing import Any

from ..keras_seam.fit_control import data_of_fit
from ..restore.learning_rate import OtherRate
from ..snapshot.compiled import learning_rate, loss_weights

_WORDS = {
    "learning_rate": "the learning rate",
    "schedule": "the learning rate's schedule",
    "loss_weights": "loss_weights",
    "batch_size": "the batch size",
    "steps": "the number of batches per epoch",
}
_RATES = ("learning_rate", "schedule")
_IN_FILE = "learning_rate"  # the only setting that a checkpoint restores


class ScriptSettings:
    """The settings of a script that affect how training continues: the record's "settings".

    Args:
        model: The model in training, before anything is restored into it.
        steps: Batches per epoch, if Keras knows.
    """

    name = "settings"
    version = 1

    def __init__(self, model: Any = None, steps: int | None = None) -> None:
        adapter = data_of_fit(model) if model is not None else None
        size = getattr(adapter, "batch_size", None)
        rate, schedule = learning_rate(model)
        values = {
            "learning_rate": None if rate is None else f"{rate:.7g}",
            "schedule": schedule,
            "loss_weights": loss_weights(model),
            "batch_size": str(size) if isinstance(size, int) else None,
            "steps": None if steps is None else str(steps),
        }
        self._values = {name: value for name, value in values.items() if value is not None}

    def capture(self) -> dict[str, Any]:
        """Return the settings as strings."""
        return {"values": dict(self._values)}

    def check(self, state: Mapping[str, Any]) -> None:
        """Raise an error if these are not settings."""
        if not all(isinstance(value, str) for value in state["values"].values()):
            raise TypeError("a setting is not text")

    def restore(self, state: Mapping[str, Any]) -> None:
        """Do nothing: the script's own settings apply."""

    def changes(self, state: Mapping[str, Any] | None, rates: OtherRate | None) -> str | None:
        """Return a message about the settings that differ, or `None` if none does.

        Args:
            state: What the resumed run had captured, if it had.
            rates: How the learning rates differ, if only one of them follows a schedule.
        """
        before = self._values if state is None else state["values"]
        found = self._differences(before, rates)
        if not found:
            return None
        text = f"settings differ from those of the resumed run: {'; '.join(found)}"
        if rates is not None:
            text += f". {rates.advice}"
        elif _IN_FILE in before and self._values.get(_IN_FILE) not in (None, before[_IN_FILE]):
            text += (
                ". To continue with the new learning rate, set model.optimizer.learning_rate in "
                "on_epoch_begin of a callback, or use keras.callbacks.LearningRateScheduler"
            )
        return text

    def _differences(self, before: Mapping[str, str], rates: OtherRate | None) -> list[str]:
        """Return a description of each setting that differs."""
        found, names = [], list(_WORDS)
        are_known = all(any(rate in values for rate in _RATES) for values in (before, self._values))
        if rates is not None or not are_known:
            names = [name for name in names if name not in _RATES]
            found = [] if rates is None else [str(rates)]
        for name in names:
            words, old, new = _WORDS[name], before.get(name), self._values.get(name)
            if old == new or (None in (old, new) and name in ("batch_size", "steps")):
                continue
            used = "the file's" if name == _IN_FILE and new is not None else "this script's"
            found.append(
                f"{words} was {old or 'none'} and is {new or 'none'} here ({used} is used)"
            )
        return found
