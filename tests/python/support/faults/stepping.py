"""Step through a save and do something before one of its lines."""

import os
import random
import sys
import zipfile
from collections.abc import Callable
from typing import Any

from kerascheckpoint.formats.keras_file import writer
from kerascheckpoint.storage import durable, leftovers, local
from support.faults.child import die
from support.faults.outcome import Outcome, check
from support.faults.sample import Sample

PUBLISHING = (local.__file__, leftovers.__file__, durable.__file__)
STEPPED = (*PUBLISHING, writer.__file__, zipfile.__file__)


class Stepper:
    """Runs code and does something just before its line number `at`, as executed.

    Lines count in the modules that write and publish a file, on the calling thread.
    """

    def __init__(self, at: int = -1, action: Callable[[], object] = die, files: Any = STEPPED):
        self.at, self.action, self.files = at, action, files
        self.lines: list[str] = []

    def run(self, body: Callable[[], object]) -> None:
        """Run `body`."""
        sys.settrace(self.trace)
        try:
            body()
        finally:
            sys.settrace(None)

    def trace(self, frame: Any, event: str, argument: Any) -> Any:
        if frame.f_code.co_filename not in self.files:
            return None
        if event == "line":
            file = os.path.basename(frame.f_code.co_filename)
            self.lines.append(f"{file}:{frame.f_lineno} {frame.f_code.co_name}")
            if len(self.lines) - 1 == self.at:
                self.action()
        return self.trace


def lines_of(body: Callable[[], object], files: Any = STEPPED) -> list[str]:
    """Return the lines that `body` executes."""
    stepper = Stepper(files=files)
    stepper.run(body)
    return stepper.lines


def at_lines(
    sample: Sample, directory: str, tries: int, seed: int, fault: Callable[[int], None]
) -> Outcome:
    sample.save(directory, 1)
    lines = lines_of(lambda: sample.save(directory, 1))
    outcome = Outcome()
    for at in spread(len(lines), tries, seed):
        with outcome.attempt(f"before {lines[at]}"):
            fault(at)
            check(sample, directory, 1, 2)
        if sample.name in os.listdir(directory):
            os.unlink(os.path.join(directory, sample.name))
        sample.save(directory, 1)
    return outcome


def spread(count: int, tries: int, seed: int) -> list[int]:
    """Return all of `range(count)`, or `tries` of it, from each part one."""
    if tries >= count:
        return list(range(count))
    choice = random.Random(seed)
    return sorted({int((part + choice.random()) * count / tries) for part in range(tries)})
