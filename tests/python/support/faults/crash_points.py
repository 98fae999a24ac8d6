"""What the disk may hold if the power fails at any point of some steps."""

import contextlib
import hashlib
import os
import random
import shutil
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from kerascheckpoint.formats.keras_file import add_record
from kerascheckpoint.formats.orbax import publish
from kerascheckpoint.storage import direct_io
from support.faults.disk import Disk, Tree
from support.faults.stepping import STEPPED, Stepper

_FILES = (
    *(*STEPPED, add_record.__file__, direct_io.__file__, publish.__file__),
    *(shutil.__file__, __file__),
)

State = tuple[int, Tree]  # how many steps have ended, and what the disk holds


def states_of(root: str, steps: Sequence[Callable[[], object]], seed: int) -> list[State]:
    """Run steps one after the other; return what the disk may hold at each line of each of them.

    Args:
        root: A directory, in which all of it happens.
        steps: What to do.
        seed: Chooses among states that are too many to try all.
    """
    disk, ended, choice = Disk(root), 0, random.Random(seed)
    found: list[State] = []
    keys: set[str] = set()

    def look(*, has_ended: bool = False) -> None:
        if not disk.look() and not has_ended:
            return
        for tree in disk.trees(choice):
            key = hashlib.sha256(repr((ended, tree)).encode()).hexdigest()
            if key not in keys:
                keys.add(key)
                found.append((ended, tree))

    with _flushes_told(disk.flushed, look):
        for step in steps:
            _Looker(look).run(step)
            ended += 1
            look(has_ended=True)
    disk.close()
    return found


class _Looker(Stepper):
    """Looks at the disk before each line."""

    def __init__(self, look: Callable[[], None]) -> None:
        super().__init__(files=_FILES)
        self._look = look

    def trace(self, frame: Any, event: str, argument: Any) -> Any:
        if frame.f_code.co_filename not in self.files:
            return None
        if event == "line":
            self._look()
        return self.trace


@contextlib.contextmanager
def _flushes_told(tell: Callable[[int], None], look: Callable[[], None]) -> Iterator[None]:
    fsync = os.fsync

    def told(fd: int) -> None:
        look()
        fsync(fd)
        tell(fd)

    os.fsync = told  # type: ignore[assignment]
    try:
        yield
    finally:
        os.fsync = fsync
