"""A `tf.data` pipeline on TensorFlow whose iterator has a small state, and continues from it.

The state of an iterator holds what its transformations hold: shuffle buffers, and by default also
the batches that are prefetched or being made. Its size has no bound, and a save would have to wait
until it is written. With the option `experimental_symbolic_checkpoint` only the shuffle buffers are
left. So only the state of a pipeline with that option is used, and only if its buffers are small.
All others are drawn again and skipped. Seen in Keras 3.6 to 3.16, TensorFlow 2.21.
"""

import contextlib
import hashlib
import importlib
import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from ..errors import CheckpointMismatchError
from .fit_control import epoch_iterator, trained_batches
from .private import BACKEND

OPTION = "experimental_symbolic_checkpoint"
_MOST_SHUFFLED = 1024  # elements in shuffle buffers; writing as many takes some 10 ms
_LARGEST = 1 << 20  # bytes of a state
_CALLS = {"Assert", "Case", "If", "PartitionedCall", "StatefulPartitionedCall", "While"}


class PipelineData:
    """The pipeline of a running `fit`.

    Args:
        iterator: Keras' epoch iterator.
        structure: What `_structure` returned for the pipeline.

    Attributes:
        kind: What the state is of: a hash of the structure of the pipeline.
        spans_epochs: Whether an epoch continues from the state at the end of the previous one.
    """

    def __init__(self, iterator: Any, structure: str) -> None:
        self._iterator = iterator
        self.kind = f"pipeline {hashlib.sha256(structure.encode()).hexdigest()}"
        self._watched: _Watched | None = None
        self._is_small = True
        self.spans_epochs = bool(iterator.steps_per_epoch)

    @classmethod
    def of(cls, model: Any) -> "PipelineData | None":
        """Return the pipeline of the running `fit` of `model`; `None` if its state is not used."""
        iterator = epoch_iterator(model)
        if BACKEND != "tensorflow" or not hasattr(iterator, "_enumerate_iterator"):
            return None
        if type(iterator.data_adapter).__name__ != "TFDatasetAdapter":
            return None
        structure = None
        with contextlib.suppress(AttributeError):  # what is private to TensorFlow may change
            structure = _structure(iterator._distributed_dataset)
        return None if structure is None else cls(iterator, structure)

    @property
    def drawn(self) -> int:
        """Number of trained batches of the current iterator."""
        return trained_batches(self._iterator)

    def watch(self) -> "_Watched":
        """Keep references to future iterators, so that their states can be read."""
        if self._watched is None:
            self._watched = watched = _Watched(self._iterator._distributed_dataset)
            self._iterator._get_iterator = lambda: watched
        return self._watched

    def state(self) -> Any:
        """Return the state of the current iterator as an array of bytes, `None` if it has none."""
        current = self._iterator._current_iterator
        if current is None and self._watched is not None and not self.spans_epochs:
            current = self._watched.newest  # Keras has it in a generator, as the length is unknown
        if current is None or not self._is_small:
            return None
        state = _write(current)
        self._is_small = state is not None and state.nbytes <= _LARGEST
        return state if self._is_small else None

    def begin_after(self, state: Any, place: int, before: int) -> None:
        """Make the epoch that is about to begin use an iterator that continues from a state.

        Args:
            state: What `state` returned.
            place: Number of its batches that are done; the state has it.
            before: How many of these belong to earlier epochs.
        """
        watched = self.watch()
        watched.pending = state
        if self.spans_epochs:
            self._iterator._current_iterator = iter(watched)
            self._iterator._steps_seen = before


def advice(iterator: Any) -> str:
    """Return how to have the state of a pipeline used, in brackets; empty if that is no question.

    Args:
        iterator: Keras' epoch iterator.
    """
    is_pipeline = type(iterator.data_adapter).__name__ == "TFDatasetAdapter"
    if BACKEND != "tensorflow" or not is_pipeline:
        return ""
    options = getattr(iterator._distributed_dataset, "options", None)
    if options is None or getattr(options(), OPTION, False):
        return ""
    return f" (a tf.data pipeline with {OPTION}=True in its options continues from its state)"


class _Watched:
    """The dataset of a pipeline; it remembers its newest iterator.

    Attributes:
        newest: That iterator.
        pending: A state for the next iterator.
    """

    def __init__(self, dataset: Any) -> None:
        self._dataset = dataset
        self.newest: Any = None
        self.pending: Any = None

    def __iter__(self) -> Iterator[Any]:
        pending, self.pending = self.pending, None
        self.newest = iter(self._dataset)
        if pending is not None:
            _read(self.newest, pending)
        batches: Iterator[Any] = self.newest
        return batches


def _write(iterator: Any) -> Any:
    """Return the state of an iterator as an array of bytes, `None` if it cannot be saved."""
    import tensorflow as tf

    try:
        state = tf.raw_ops.SerializeIterator(
            resource_handle=iterator._iterator_resource,
            external_state_policy=tf.data.experimental.ExternalStatePolicy.FAIL.value,
        )
        return np.frombuffer(tf.io.serialize_tensor(state).numpy(), np.uint8)
    except tf.errors.OpError:
        return None


def _read(iterator: Any, state: Any) -> None:
    """Let an iterator continue from a state.

    TensorFlow checks little of it. Its checksum is verified by now, and the structure compared.

    Raises:
        CheckpointMismatchError: If it cannot.
    """
    import tensorflow as tf

    try:
        stored = tf.io.parse_tensor(np.asarray(state, np.uint8).tobytes(), tf.variant)
        tf.raw_ops.DeserializeIterator(
            resource_handle=iterator._iterator_resource, serialized=stored
        )
    except tf.errors.OpError as error:
        raise CheckpointMismatchError(
            "the tf.data pipeline cannot continue from the state in the checkpoint: make it as it "
            f"was, or without {OPTION}, so that its batches are drawn again ({error.message:.200})"
        ) from error


def _structure(dataset: Any) -> str | None:
    """Return what two pipelines have in common if a state of one fits the other.

    TensorFlow does not check that itself: it can crash if a shuffle buffer became smaller. The
    result is `None` if the iterators have no small state that determines what follows.
    """
    import tensorflow as tf

    if not isinstance(dataset, tf.data.Dataset) or not getattr(dataset.options(), OPTION, False):
        return None
    shuffled: float = 0
    parts, pending = [str(tf.__version__)], [dataset]
    while pending:
        each = pending.pop()
        bodies = [_operations(function) for function in each._functions()]
        if any(map(_has_state, bodies)):
            return None
        kind = type(each).__name__
        size = int(each._buffer_size) if kind == "_ShuffleDataset" else 0
        shuffled += size if size >= 0 else math.inf  # a negative size stands for all elements
        parts.append(f"{kind} {size} {each.element_spec} {bodies}")
        pending += each._inputs()
    return " < ".join(parts) if shuffled <= _MOST_SHUFFLED else None


def _operations(function: Any) -> list[list[str]]:
    """Return the kinds of operations in a function of a pipeline, and in those that it calls."""
    graph = function.function.graph.as_graph_def()
    bodies = [graph.node, *(each.node_def for each in graph.library.function)]
    return sorted([node.op for node in body] for body in bodies)


def _has_state(bodies: list[list[str]]) -> bool:
    """Tell whether a function has state outside of the pipeline, or makes one that shuffles.

    TensorFlow looks for such random numbers itself only if a state holds all batches.
    """
    op_defs: Any = importlib.import_module("tensorflow.python.framework.op_def_registry")
    found = [op_defs.get(kind) for body in bodies for kind in body]
    kinds = {each.name for each in found if each is not None and each.is_stateful} - _CALLS
    return any("Dataset" not in kind or "Shuffle" in kind for kind in kinds)
