"""Publish a step in an object store: all of its files, and at last the mark that it is finished.

An object store cannot rename a directory. Orbax therefore writes there under the final name, and
takes the step with the highest number among those that are marked.
"""

import contextlib
from collections.abc import Iterator

from ... import location
from ...errors import CheckpointWriteError
from ...file_kind import COMMIT_MARK
from ...storage import filesystems, remote_leftovers
from ...storage.base import Storage, write_error
from . import layout


@contextlib.contextmanager
def marked_step(path: str, storage: Storage, number: int) -> Iterator[str]:
    """Fill a new step of the checkpoint at `path` in the body of a `with` block.

    The end of the block publishes it. Until then, and if the body raises or the process dies, the
    earlier checkpoint at `path` stays. A later run removes what a dead process left.

    Args:
        path: The URL of the checkpoint.
        storage: Its place.
        number: Number of the step. If the earlier checkpoint has the same, the next free one is
            taken.

    Raises:
        CheckpointWriteError: If the step could not be written.
    """
    try:
        with filesystems.reporting(path):
            files = storage.files_below(path)
            earlier, taken = layout.marked_steps(files), layout.steps(files)
            while str(number) in taken:
                number += 1
            step = location.join(path, str(number))
            with _claimed(step, storage):
                yield step
                _write(storage, location.join(step, COMMIT_MARK), "The step is complete.\n")
            _delete(storage, path, earlier, str(number))
    except CheckpointWriteError:
        raise
    except OSError as error:
        raise write_error(filesystems.shown(path), error) from error


def _delete(storage: Storage, path: str, earlier: list[str], new: str) -> None:
    """Delete earlier steps; one with a higher number hides the new one until it has no mark."""
    try:
        for step in earlier:
            storage.delete(location.join(path, step))
    except OSError:
        if layout.marked_steps(storage.files_below(path))[-1:] != [new]:
            raise  # else what is left only takes up space


@contextlib.contextmanager
def _claimed(step: str, storage: Storage) -> Iterator[None]:
    """Tell later runs who fills a step; remove the step if the body of the block raises."""
    path = location.parent(step)
    claim = location.join(location.parent(path), remote_leftovers.claim_name())
    _write(storage, claim, step.removeprefix(f"{location.parent(path)}/"))
    try:
        yield
    except BaseException:
        with contextlib.suppress(Exception):
            storage.delete(step)
            storage.delete(claim)  # last: a later run removes what is left, as the claim says
        raise
    with contextlib.suppress(Exception):
        storage.delete(claim)


def _write(storage: Storage, path: str, text: str) -> None:
    with storage.atomic_write(path) as staged, open(staged.path, "wb") as file:
        file.write(text.encode())
