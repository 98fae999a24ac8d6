"""What must hold after a fault, and how many tries it took."""

import contextlib
import dataclasses
import errno
import os
import traceback
import warnings
from collections.abc import Iterator

from kerascheckpoint import catalog, errors
from kerascheckpoint.storage import leftovers
from support.faults.child import in_child
from support.faults.sample import Sample


@dataclasses.dataclass
class Outcome:
    """How often a fault was tried, and what it destroyed."""

    attempts: int = 0
    lost: list[str] = dataclasses.field(default_factory=list)
    skipped: str = ""

    @contextlib.contextmanager
    def attempt(self, what: str) -> Iterator[None]:
        """Count one try; an exception in the block is a loss."""
        self.attempts += 1
        try:
            yield
        except Exception as error:
            where = traceback.extract_tb(error.__traceback__)[-1]
            self.lost.append(f"{what}: {type(error).__name__}: {error} ({where.name})")


def expect(condition: bool, text: str) -> None:
    """Raise an AssertionError unless the condition holds."""
    if not condition:
        raise AssertionError(text)


def check(sample: Sample, directory: str, *versions: int, may_stay: bool = True) -> None:
    """Check that one of `versions` is there, whole, and that no reader or later run minds the rest.

    Args:
        sample: What was being saved.
        directory: Where.
        versions: The versions that may stand at the target.
        may_stay: Whether a temporary file may have stayed.
    """
    version = sample.version_in(directory)
    expect(version in versions, f"version {version} stands there, none of {versions}")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        listed = [os.path.basename(info.path) for info in catalog.list_checkpoints(directory)]
        latest = catalog.latest_checkpoint(directory)
    expect(listed == [sample.name], f"listed: {listed}")
    expect(latest is not None and latest.step == version, f"latest: {latest}")
    stayed = sorted(set(os.listdir(directory)) - {sample.name})
    expect(may_stay or not stayed, f"left behind: {stayed}")
    in_child(lambda: leftovers.remove_leftovers(directory))
    stayed = sorted(set(os.listdir(directory)) - {sample.name})
    expect(not stayed, f"not removed by the next run: {stayed}")


def expect_refusal(sample: Sample, directory: str, *numbers: int) -> None:
    """Check that a save fails with the promised error, which names the path and the cause."""
    try:
        sample.save(directory, 2)
    except errors.CheckpointWriteError as error:
        path = os.path.join(directory, sample.name)
        expect(path in str(error), f"the error does not name the path: {error}")
        expect(error.errno in (numbers or (errno.EFBIG, errno.ENOSPC)), f"cause: {error.errno}")
        expect(os.strerror(error.errno) in str(error), f"the error names no cause: {error}")
    else:
        raise AssertionError("the save was not refused")
