"""Write a checkpoint of a model: now, or accepted now and written behind the training."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from .backends.arrays import Hold, hold, hold_shards
from .backends.messages import Conversation
from .backends.processes import Processes
from .background import BackgroundWriter
from .errors import CheckpointWriteError
from .formats.base import CheckpointWriter, Form, KerasSave, Target
from .formats.forms import form_of
from .formats.writers import ALONE, Writers, give_up
from .keras_seam.objects import has_all_to_train
from .keras_seam.own_saving import saves_itself
from .keras_seam.serialization import save_legacy
from .model_state import ModelSnapshot, OnlyKeras
from .notify import warn
from .snapshot.capture import Snapshotter, state_variables
from .snapshot.gathering import GatheredArrays
from .snapshot.staging import StagingBuffers
from .storage.base import Storage
from .storage.local import LocalStorage

OnSaved = Callable[[BaseException | None], None]


class Saver:
    """Saves models one after the other and keeps what the next save can use again."""

    def __init__(
        self,
        *,
        on_background: bool,
        root: str | None = None,
        storage: Storage | None = None,
        weights_only: bool = False,
    ) -> None:
        """Make a saver.

        Args:
            on_background: Whether files are written behind the training.
            root: The directory that all files lie under; see `Storage.atomic_write`.
            storage: The place of the files; `None` is the disks of this machine.
            weights_only: Whether forms that may hold either hold weights and not whole models.
        """
        self._snapshotter = Snapshotter()
        self._writers: dict[Form, CheckpointWriter] = {}
        self._memory = StagingBuffers()
        self._writer = BackgroundWriter()
        self._conversation: Conversation | None = None
        self._on_background = on_background
        self._root = root
        self._storage = storage or LocalStorage()
        self._weights_only = weights_only
        self.is_ready = True  # false if `prepare` is to be called again

    def __deepcopy__(self, memo: dict[int, Any]) -> "Saver":
        return _new_saver(self._on_background, self._root, self._storage, self._weights_only)

    def __reduce__(self) -> Any:
        return _new_saver, (self._on_background, self._root, self._storage, self._weights_only)

    def save(
        self,
        model: Any,
        path: str,
        fields: Mapping[str, Any],
        done: OnSaved,
        processes: Processes | None = None,
        state_arrays: "Mapping[str, np.ndarray[Any, Any]] | None" = None,
    ) -> None:
        """Save `model` at `path`, with `fields` as its record.

        Args:
            model: The model.
            path: The target; its suffix decides what is saved.
            fields: The record's fields, without checksums.
            done: Called with the error, or with `None` when the file is durable: before this
                returns, or for background saves by a later `report_finished`.
            processes: The processes that write the file together, if there are several. Each of
                them makes this call; only the first one's `fields` are used.
            state_arrays: Arrays that `fields` refers to, by names that begin with
                `model_state.STATE`. They must not change before the file is durable.

        Raises:
            Exception: Whatever the model's own code raises; write errors go to `done`.
        """
        self._writer.wait_for_room()
        target = Target(path, self._storage, self._root, self._next_writers(processes))
        form, content = self._content(model, form_of(path), target.writers)
        content = content.with_arrays(state_arrays or {})
        writer = self._writers.setdefault(form, form.writer())
        run_here = self._writer.run_here if self._on_background else _run_and_report
        if processes is not None and form.processes == "first":
            run_here(lambda: _save_gathered(writer, target, content, fields, processes), done)
        elif isinstance(content, KerasSave):
            run_here(lambda: writer.save(target, content, fields), done)
        elif not self._on_background:
            _run_and_report(lambda: self._write_now(writer, target, content, fields), done)
        else:
            self._write_later(writer, target, content, fields, done)

    def _write_later(
        self,
        writer: CheckpointWriter,
        target: Target,
        content: ModelSnapshot,
        fields: Mapping[str, Any],
        done: OnSaved,
    ) -> None:
        """Stage a snapshot now, and have it written in the background."""
        self.is_ready = True
        staged_snapshot = self._memory.stage(content, writer.offsets)

        def job() -> None:
            try:
                writer.save(target, staged_snapshot.content(), fields)
            finally:
                self._memory.release(staged_snapshot)

        self._writer.submit(job, done)

    def _next_writers(self, processes: Processes | None) -> Writers:
        """Return the writers of the next file; every process calls this for each file."""
        if processes is None:
            return ALONE
        if self._conversation is None:
            self._conversation = processes.new_conversation()
        return self._conversation.next_save()

    def _content(
        self, model: Any, form: Form, writers: Writers
    ) -> tuple[Form, ModelSnapshot | KerasSave]:
        """Return what is to be written, and the form that takes it.

        If that fails, tell the other writers, which would wait for this process.
        """
        try:
            return self._capture(model, form, is_first=writers.index == 0)
        except BaseException as error:
            give_up(writers, error)
            raise

    def _capture(
        self, model: Any, form: Form, *, is_first: bool
    ) -> tuple[Form, ModelSnapshot | KerasSave]:
        weights_only = form.weights_only or self._weights_only
        if form.takes == "snapshot" and not saves_itself(model, weights_only=weights_only):
            content = self._snapshotter.take(
                model,
                weights_only=weights_only or not is_first,
                hold=_hold_for(form),
            )
            if not isinstance(content, OnlyKeras):
                return form, content
        by_keras = form.written_by_keras
        return by_keras, KerasSave(lambda path: _save_by_keras(model, path, by_keras))

    def prepare(
        self, model: Any, form: Form | None = None, *, after_first_batch: bool = False
    ) -> None:
        """Get ready for saves of `model`, so that the first one takes no longer than later ones.

        A thread prepares the memory. If training has yet to build something, `is_ready` is false,
        and another call is due after its first batch.

        Args:
            model: The model.
            form: The form of the files, if it is known.
            after_first_batch: Whether training has built everything.
        """
        if not self._on_background:
            return
        self.is_ready = after_first_batch or has_all_to_train(model)
        if self.is_ready:
            weights_only = self._weights_only or (form is not None and form.weights_only)
            own_hold = _hold_for(form)
            self._snapshotter.prepare(model, weights_only=weights_only, hold=own_hold)
            self._memory.prepare(state_variables(model), in_shards=own_hold is hold_shards)

    def release_memory(self) -> None:
        """Give back to the system what was kept for the next save, for training is over."""
        self._memory.close()
        self._storage.release()

    @property
    def finished(self) -> int:
        """How many saves have finished in the background and are not reported yet."""
        return self._writer.finished

    def report_finished(self, *, wait_for_all: bool = False, limit: int | None = None) -> None:
        """Report the saves that finished in the background; wait for the others if asked to.

        Args:
            wait_for_all: Whether to wait for all saves.
            limit: How many to report at most; `None` for no limit.
        """
        self._writer.report_finished(wait_for_all=wait_for_all, limit=limit)

    def report_rest(self) -> None:
        """Wait for all saves after one that failed; warn of others that failed as well."""
        while True:
            try:
                self.report_finished(wait_for_all=True)
            except Exception as error:
                warn(f"a later save ended in an error as well: {error}")
            else:
                return

    def _write_now(
        self,
        writer: CheckpointWriter,
        target: Target,
        content: ModelSnapshot,
        fields: Mapping[str, Any],
    ) -> None:
        with self._memory.on_host(content) as arriving:
            writer.save(target, arriving, fields)


def _hold_for(form: Form | None) -> Hold:
    return hold_shards if form is not None and form.processes == "all" else hold


def _save_gathered(
    writer: CheckpointWriter,
    target: Target,
    content: ModelSnapshot | KerasSave,
    fields: Mapping[str, Any],
    processes: Processes,
) -> None:
    """Let the first process write what all processes bring together, array by array."""
    if isinstance(content, KerasSave):
        raise CheckpointWriteError(
            f"could not write checkpoint {target.path!r}: only Keras' own saving can store this "
            "model, and it cannot bring together weights that are spread over processes"
        )
    arrays = GatheredArrays(content.arrays)
    try:
        if processes.is_first:
            own = dataclasses.replace(target, writers=ALONE)
            writer.save(own, dataclasses.replace(content, arrays=arrays), fields)
    finally:
        arrays.finish()


def _new_saver(
    on_background: bool, root: str | None, storage: Storage, weights_only: bool
) -> Saver:
    return Saver(on_background=on_background, root=root, storage=storage, weights_only=weights_only)


def _run_and_report(write: Callable[[], None], done: OnSaved) -> None:
    try:
        write()
    except Exception as error:
        done(error)
    else:
        done(None)


def _save_by_keras(model: Any, path: str, form: Form) -> None:
    if form.weights_only:
        model.save_weights(path)
    elif not form.carries_record:
        save_legacy(model, path)
    else:
        model.save(path)
