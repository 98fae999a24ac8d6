"""What every state beside the weights can do."""

from typing import Protocol


class Part(Protocol):
    """A part of a model's state."""

    def load(self) -> None:
        """Take the state from the file."""

    def roll_back(self) -> list[str]:
        """Put back what was there before; return what could not be put back."""
