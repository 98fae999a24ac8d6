"""The processes that train one model together: which one this is, and how they agree.

They communicate through their framework. `agree` and `gather` are collective calls: every process
must make them in the same order, on the main thread, and waits for the others. Use them only for
decisions that must be the same in every process. With a single process they cost nothing.
"""

import dataclasses
import functools
import importlib
import json
import os
import sys
from collections.abc import Callable
from typing import Any, BinaryIO, TypeVar

import numpy as np

from ..keras_seam.private import BACKEND
from .messages import Conversation

_Value = TypeVar("_Value")
_Bytes = np.ndarray[Any, np.dtype[np.uint8]]

_BLOCK = 256  # bytes; JAX compiles once for each size of message
_PIECE = 4 << 20  # bytes of a file that are sent at once


@dataclasses.dataclass(frozen=True)
class Processes:
    """The processes of one training.

    Attributes:
        index: Number of this process, from 0.
        count: Number of processes.
    """

    index: int = 0
    count: int = 1
    _gather: Callable[[_Bytes], _Bytes] | None = None
    _new_conversation: "Callable[[], Conversation] | None" = None

    @property
    def can_write_together(self) -> bool:
        """Whether a writing thread can exchange messages with the other processes."""
        return self.count > 1 and self._new_conversation is not None

    def new_conversation(self) -> Conversation:
        """Start a conversation about saves: see `Conversation`."""
        if self._new_conversation is None:
            raise RuntimeError("these processes cannot write one checkpoint together")
        return self._new_conversation()

    @property
    def is_first(self) -> bool:
        """Whether this is the process that decides and writes standard Keras files."""
        return self.index == 0

    @property
    def can_agree(self) -> bool:
        """Whether there are other processes, and a way to reach them."""
        return self.count > 1 and self._gather is not None

    def agree(self, value: _Value) -> _Value:
        """Return, in every process, the first process's value.

        Args:
            value: Any JSON value; the values of the other processes are ignored.
        """
        return self.gather(value)[0]

    def gather(self, value: _Value) -> list[_Value]:
        """Return the values of all processes, in order.

        Args:
            value: Any JSON value.
        """
        if self._gather is None or self.count == 1:
            return [value]
        text = np.frombuffer(json.dumps([self.index, value]).encode(), np.uint8)
        sizes = self._gather(np.array([len(text)], np.int32).view(np.uint8))
        lengths = np.ascontiguousarray(sizes).view(np.int32).reshape(-1)
        capacity = -(-int(lengths.max()) // _BLOCK) * _BLOCK
        padded = np.zeros(capacity, np.uint8)
        padded[: len(text)] = text
        rows = self._gather(padded)
        found = [json.loads(row[:n].tobytes()) for row, n in zip(rows, lengths, strict=True)]
        return [each for _, each in sorted(found, key=lambda pair: int(pair[0]))]

    def send(self, open_source: Callable[[], BinaryIO], target: BinaryIO | None) -> None:
        """Copy a file of the first process into files of other ones: a collective call.

        Args:
            open_source: Opens the file; called in the first process.
            target: Where to, in each process that needs it.

        Raises:
            OSError: In all processes, if one cannot read or write.
        """
        problems: list[str] = []

        def attempt(action: Callable[[], Any], condition: bool = True) -> Any:
            """Remember an error instead of ending the exchange in one process alone."""
            try:
                return action() if condition and not problems else None
            except Exception as error:
                problems.append(str(error) or type(error).__name__)

        source = attempt(open_source, self.is_first)
        size = self.agree(attempt(lambda: source.seek(0, os.SEEK_END), self.is_first) or 0)
        for start in range(0, size, _PIECE):
            piece: _Bytes = np.zeros(min(size - start, _PIECE), np.uint8)
            attempt(functools.partial(_read_into, piece, source, start), self.is_first)
            piece = self._from_first(piece)
            if target is not None:
                attempt(functools.partial(target.write, piece.data))
        if target is not None:
            attempt(target.flush)
        if source is not None:
            source.close()
        for index, found in enumerate(self.gather(problems)):
            if found:
                raise OSError(f"process {index} of this training: {found[0]}")

    def _from_first(self, piece: _Bytes) -> _Bytes:
        """Return the first process's piece, in every process; all are of one length."""
        if self._gather is None:
            return piece
        rows = self._gather(
            np.concatenate([np.array([self.index], np.int32).view(np.uint8), piece])
        )
        return next(row[4:] for row in rows if not row[:4].any())


def _read_into(piece: _Bytes, source: BinaryIO, start: int) -> None:
    source.seek(start)
    piece[:] = np.frombuffer(source.read(len(piece)), np.uint8)


def processes_of(model: Any) -> Processes:
    """Return the processes that train `model`."""
    if BACKEND == "jax":
        return _of_jax()
    if BACKEND == "torch":
        return _of_torch()
    if BACKEND == "tensorflow":
        return _of_tensorflow(getattr(model, "distribute_strategy", None))
    return Processes()


def _of_jax() -> Processes:
    jax = sys.modules["jax"]
    index, count = jax.process_index(), jax.process_count()
    if count == 1:
        return Processes()
    distributed: Any = importlib.import_module("jax._src.distributed")  # as Orbax does
    client = distributed.global_state.client
    conversation = None if client is None else functools.partial(Conversation, index, count, client)
    return Processes(index, count, _gather_by_jax, conversation)


def _gather_by_jax(row: _Bytes) -> _Bytes:
    from jax.experimental import multihost_utils

    return np.asarray(multihost_utils.process_allgather(row))


def _of_torch() -> Processes:
    distributed = sys.modules.get("torch.distributed")
    if distributed is None or not distributed.is_available() or not distributed.is_initialized():
        return Processes()
    return Processes(distributed.get_rank(), distributed.get_world_size(), _gather_by_torch)


def _gather_by_torch(row: _Bytes) -> _Bytes:
    import torch
    from torch import distributed

    # NCCL transfers tensors on GPUs, gloo those in host memory.
    device = torch.device("cuda", torch.cuda.current_device()) if _uses_nccl() else None
    own = torch.tensor(row, device=device)
    rows = [torch.empty_like(own) for _ in range(distributed.get_world_size())]
    distributed.all_gather(rows, own)
    return np.stack([each.cpu().numpy() for each in rows])


def _uses_nccl() -> bool:
    from torch import distributed

    return "gloo" not in str(distributed.get_backend())


def _of_tensorflow(strategy: Any) -> Processes:
    resolver = getattr(strategy, "cluster_resolver", None)
    if resolver is None:
        return Processes()
    jobs = resolver.cluster_spec().as_dict()
    chiefs = len(jobs.get("chief", ()))
    if resolver.task_type in (None, "chief"):
        index = resolver.task_id or 0
    else:
        index = chiefs + (resolver.task_id or 0)
    count = chiefs + len(jobs.get("worker", ()))
    import tensorflow as tf

    if not isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy):
        return Processes(index, max(count, 1))
    return Processes(index, max(count, 1), lambda row: _gather_by_tensorflow(strategy, row, count))


def _gather_by_tensorflow(strategy: Any, row: _Bytes, count: int) -> _Bytes:
    import tensorflow as tf

    @tf.function  # type: ignore[untyped-decorator]
    def gather(values: Any) -> Any:
        def exchange() -> Any:
            return tf.distribute.get_replica_context().all_gather(values[None], axis=0)

        return strategy.run(exchange)

    with strategy.scope():
        gathered = gather(tf.constant(row.astype(np.int32)))
    rows: _Bytes = np.asarray(strategy.experimental_local_results(gathered)[0]).astype(np.uint8)
    return rows[:: len(rows) // count]  # each process has a row for each of its devices
