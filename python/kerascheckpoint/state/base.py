"""What each state beside the weights offers, and how a record holds them all."""

from collections.abc import Iterable, Mapping
from typing import Any, Protocol

from ..errors import CheckpointCorruptError, CheckpointError, CheckpointSchemaError


class Stateful(Protocol):
    """Something beside the weights that a checkpoint saves and brings back.

    Attributes:
        name: Its key in the record's `states`.
        version: Version of what `capture` returns.
    """

    name: str
    version: int

    def capture(self) -> dict[str, Any]:
        """Return the state as a JSON object."""

    def check(self, state: Mapping[str, Any]) -> None:
        """Raise if `restore` could not use the state; change nothing."""

    def restore(self, state: Mapping[str, Any]) -> None:
        """Put the state back."""


def capture(all_of: Iterable[Stateful]) -> dict[str, dict[str, Any]]:
    """Return the record's `states`: by name, each with its version."""
    return {one.name: {"version": one.version} | one.capture() for one in all_of}


def stored_state(one: Stateful, record: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the checked state that a record holds for `one`, `None` if it holds none.

    Raises:
        CheckpointSchemaError: If a newer version of this package wrote it.
        CheckpointCorruptError: If it is not usable.
        CheckpointMismatchError: If it does not fit.
    """
    state: dict[str, Any] | None = record.get("states", {}).get(one.name)
    if state is None:
        return None
    if state["version"] > one.version:
        raise CheckpointSchemaError(
            f"its state {one.name!r} has version {state['version']}, newer than {one.version}, the "
            "newest that this version of kerascheckpoint reads; install a newer kerascheckpoint"
        )
    try:
        one.check(state)
    except CheckpointError:
        raise
    except (ArithmeticError, LookupError, TypeError, ValueError, AttributeError) as error:
        what = f"{type(error).__name__}: {error}"
        raise CheckpointCorruptError(f"its state {one.name!r} is not usable ({what})") from error
    return state
