"""Cut an array into the chunks that TensorStore stores, each with its own checksum.

No chunk crosses the border between two shards, so two processes never write into the same chunk.
Chunks are small, so a host that needs a part of an array reads little more than that part.
"""

import itertools
import math
from collections.abc import Iterator, Sequence

from ...model_state import Index

LARGEST = 16 << 20  # bytes; the approximate limit of a chunk
_FEW = 8  # do not cut an axis if the chunks would be this many times smaller than wanted


def chunk_shape(
    shape: Sequence[int], shard_shape: Sequence[int], itemsize: int, largest: int = LARGEST
) -> tuple[int, ...]:
    """Return the shape of an array's chunks.

    Args:
        shape: The array's shape.
        shard_shape: The shape of its shards, which divides the array evenly.
        itemsize: Size of an element in bytes.
        largest: Largest desired size of a chunk in bytes.
    """
    chunk = [max(length, 1) for length in shard_shape]
    for axis, length in enumerate(chunk):
        size = math.prod(chunk) * itemsize
        if size <= largest:
            break
        wanted = max(length * largest // size, 1)
        if length == shape[axis]:  # not sharded, so the last chunk may be smaller
            chunk[axis] = wanted
        else:
            divisor = next(each for each in range(wanted, 0, -1) if length % each == 0)
            if divisor * _FEW >= wanted:
                chunk[axis] = divisor
    return tuple(chunk)


def chunks_within(index: Index, shape: Sequence[int], chunk: Sequence[int]) -> Iterator[Index]:
    """Yield the places of the chunks that make up a part of an array, in order.

    Args:
        index: The part; chunks at its borders are cut.
        shape: The array's shape.
        chunk: The shape of its chunks.
    """
    ranges = []
    for (first, stop), length, step in zip(_bounds(index), shape, chunk, strict=True):
        end = min(stop, length)
        cuts = [first, *range((first // step + 1) * step, end, step), end]
        ranges.append([slice(a, b) for a, b in itertools.pairwise(cuts) if a < b])
    yield from itertools.product(*ranges)


def number_of(place: Index, shape: Sequence[int], chunk: Sequence[int]) -> int:
    """Return the number of a chunk in an array, counted along the last axis first."""
    number = 0
    for (start, _), length, step in zip(_bounds(place), shape, chunk, strict=True):
        number = number * max(-(-length // step), 1) + start // step
    return number


def is_chunk(place: Index, shape: Sequence[int], chunk: Sequence[int]) -> bool:
    """Tell whether a place from `chunks_within` is a whole chunk."""
    return all(
        start % step == 0 and stop == min(start + step, length)
        for (start, stop), length, step in zip(_bounds(place), shape, chunk, strict=True)
    )


def count_of(shape: Sequence[int], chunk: Sequence[int]) -> int:
    """Return the number of chunks of an array; 0 if it is empty."""
    return math.prod(-(-length // step) for length, step in zip(shape, chunk, strict=True))


def whole(shape: Sequence[int]) -> Index:
    """Return the index of a whole array."""
    return tuple(slice(0, length) for length in shape)


def _bounds(index: Index) -> list[tuple[int, int]]:
    return [(part.start, part.stop) for part in index]
