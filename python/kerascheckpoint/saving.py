"""Write a checkpoint of a model: now, or accepted now and written behind the training."""

import os
from collections.abc import Callable, Mapping
from typing import Any

from .background import BackgroundWriter
from .file_kind import LEGACY_SUFFIX, WEIGHTS_SUFFIX, suffix_of
from .formats.keras_file import add_record
from .formats.keras_file.writer import KerasFileWriter
from .keras_seam.serialization import save_legacy
from .keras_seam.store import KerasMustHandleError
from .snapshot.capture import Snapshotter
from .snapshot.staging import StagingBuffers
from .storage.base import Storage, write_error
from .storage.local import LocalStorage

OnSaved = Callable[[BaseException | None], None]


class Saver:
    """Saves models one after the other and keeps what the next save can use again."""

    def __init__(
        self, *, on_background: bool, root: str | None = None, storage: Storage | None = None
    ) -> None:
        """Make a saver.

        Args:
            on_background: Whether files are written behind the training.
            root: The directory that all files lie under; see `Storage.atomic_write`.
            storage: The place of the files; `None` is the disks of this machine.
        """
        self._snapshotter = Snapshotter()
        self._archiver = KerasFileWriter()
        self._memory = StagingBuffers()
        self._writer = BackgroundWriter()
        self._on_background = on_background
        self._root = root
        self._storage = storage or LocalStorage()

    def __deepcopy__(self, memo: dict[int, Any]) -> "Saver":
        return _new_saver(self._on_background, self._root, self._storage)

    def __reduce__(self) -> Any:
        return _new_saver, (self._on_background, self._root, self._storage)

    def save(self, model: Any, path: str, fields: Mapping[str, Any], done: OnSaved) -> None:
        """Save `model` at `path`, with `fields` as its record.

        Args:
            model: The model.
            path: Where to; the suffix decides what is saved.
            fields: The record's fields, without checksums.
            done: Called with the error, or `None` when the file is durable: before this returns,
                or in the background by a later `settle`.

        Raises:
            Exception: What the model's own code raises; errors of the writing go to `done`.
        """
        self._writer.wait_for_room()
        try:
            if suffix_of(path) == LEGACY_SUFFIX:
                raise KerasMustHandleError("the legacy format is Keras' own")
            content = self._snapshotter.capture(model, weights_only=path.endswith(WEIGHTS_SUFFIX))
        except KerasMustHandleError:
            run_here = self._writer.run_here if self._on_background else _run_and_report
            run_here(lambda: self._save_by_keras(model, path, fields), done)
            return
        if not self._on_background:
            _run_and_report(lambda: self._write(path, content, fields), done)
            return
        staged_snapshot = self._memory.stage(content, self._archiver.offsets)

        def job() -> None:
            try:
                self._write(path, staged_snapshot.content(), fields)
            finally:
                self._memory.release(staged_snapshot)

        self._writer.submit(job, done)

    def release_memory(self) -> None:
        """Give the memory of copies back to the system, for training is over."""
        self._memory = StagingBuffers()

    def settle(self, *, wait_for_all: bool = False) -> None:
        """Report the saves that finished in the background; wait for the others if asked to."""
        self._writer.settle(wait_for_all=wait_for_all)

    def _write(self, path: str, content: Any, fields: Mapping[str, Any]) -> None:
        with self._storage.atomic_write(path, self._root) as staged:
            self._archiver.write(staged.fd, content, fields)

    def _save_by_keras(self, model: Any, path: str, fields: Mapping[str, Any]) -> None:
        """Let Keras write beside the target, then publish that in our way."""
        suffix = suffix_of(path)
        with self._storage.atomic_write(path, self._root) as staged:
            sibling = staged.sibling(suffix)
            try:
                if suffix == WEIGHTS_SUFFIX:
                    model.save_weights(sibling)
                elif suffix == LEGACY_SUFFIX:
                    save_legacy(model, sibling)
                else:
                    model.save(sibling)
            except RuntimeError as error:  # h5py's words for a full disk, without its number
                raise write_error(path, OSError(str(error))) from error
            add_record.add_record(staged.fd, sibling, fields)
            os.unlink(sibling)


def _new_saver(on_background: bool, root: str | None, storage: Storage) -> Saver:
    return Saver(on_background=on_background, root=root, storage=storage)


def _run_and_report(write: Callable[[], None], done: OnSaved) -> None:
    try:
        write()
    except Exception as error:
        done(error)
    else:
        done(None)
