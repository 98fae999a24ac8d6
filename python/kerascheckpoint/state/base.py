"""The interface of each state other than the weights, and how a record holds them."""

from collections.abc import Iterable, Mapping
from typing import Any, Protocol

from ..errors import CheckpointCorruptError, CheckpointError, CheckpointSchemaError


class Stateful(Protocol):
    """State other than the weights that a checkpoint saves and restores.

    Attributes:
        name: Its key in the record's `states`.
        version: Version of the format that `capture` returns.
    """

    name: str
    version: int

    def capture(self) -> dict[str, Any]:
        """Return the state as a JSON object."""

    def check(self, state: Mapping[str, Any]) -> None:
        """Raise an error if `restore` could not use the state; change nothing."""

    def restore(self, state: Mapping[str, Any]) -> None:
        """Restore the state."""


def capture(all_of: Iterable[Stateful]) -> dict[str, dict[str, Any]]:
    """Return the record's `states`: each state by name, with its version."""
    return {one.name: {"version": one.version} | one.capture() for one in all_of}


def stored_state(one: Stateful, record: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the state that a record holds for `one`, checked, or `None` if it holds none.

    Raises:
        CheckpointSchemaError: If a newer version of this package wrote it.
        CheckpointCorruptError: If it is unusable.
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
