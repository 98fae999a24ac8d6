"""How an array is cut into the chunks that TensorStore stores, each with its own checksum.

No chunk crosses the border between two shards, so no two processes write into the same one, and
none is large, so a host that needs a part of an array reads little more than that part.
"""

import itertools
import math
from collections.abc import Iterator, Sequence

from ...model_state import Index

LARGEST = 16 << 20  # bytes of one chunk, about
_FEW = 8  # a cut this much smaller than it could be makes too many chunks


def chunk_shape(
    shape: Sequence[int], shard_shape: Sequence[int], itemsize: int, largest: int = LARGEST
) -> tuple[int, ...]:
    """Return the shape of an array's chunks.

    Args:
        shape: The array's shape.
        shard_shape: The shape of each of its shards, which divides it evenly.
        itemsize: Bytes of an element.
        largest: Bytes that a chunk should not exceed.
    """
    chunk = [max(length, 1) for length in shard_shape]
    for axis, length in enumerate(chunk):
        size = math.prod(chunk) * itemsize
        if size <= largest:
            break
        wanted = max(length * largest // size, 1)
        if length == shape[axis]:  # not sharded: the last chunk may be smaller
            chunk[axis] = wanted
        else:
            divisor = next(each for each in range(wanted, 0, -1) if length % each == 0)
            if divisor * _FEW >= wanted:
                chunk[axis] = divisor
    return tuple(chunk)


def chunks_within(index: Index, shape: Sequence[int], chunk: Sequence[int]) -> Iterator[Index]:
    """Yield the places of the chunks that make up a part of an array, in order.

    Args:
        index: The part; its begin is that of a chunk.
        shape: The array's shape.
        chunk: The shape of its chunks.
    """
    ranges = [
        [
            slice(start, min(start + step, stop, length))
            for start in range(first, min(stop, length), step)
        ]
        for (first, stop), length, step in zip(_bounds(index), shape, chunk, strict=True)
    ]
    yield from itertools.product(*ranges)


def number_of(place: Index, shape: Sequence[int], chunk: Sequence[int]) -> int:
    """Return the number of a chunk among all of an array, counted along the last axis first."""
    number = 0
    for (start, _), length, step in zip(_bounds(place), shape, chunk, strict=True):
        number = number * max(-(-length // step), 1) + start // step
    return number


def count_of(shape: Sequence[int], chunk: Sequence[int]) -> int:
    """Return how many chunks an array has; none if it is empty."""
    return math.prod(-(-length // step) for length, step in zip(shape, chunk, strict=True))


def whole(shape: Sequence[int]) -> Index:
    """Return the index of all of an array."""
    return tuple(slice(0, length) for length in shape)


def _bounds(index: Index) -> list[tuple[int, int]]:
    return [(part.start, part.stop) for part in index]
