"""Layout of arrays in a block of memory such that direct I/O can write them from there."""

from collections.abc import Iterable, Mapping

from ..storage.direct_io import BLOCK, LARGE

_ALIGNMENT = 64  # bytes


def place_arrays(sizes: Mapping[str, int], offsets: Mapping[str, int]) -> dict[str, int]:
    """Return the position of each array in memory, with gaps of less than a block.

    Args:
        sizes: Size of each array, in bytes.
        offsets: Offsets of arrays in the file, in bytes, where known.
    """
    places, position = {}, 0
    for name, size in sizes.items():
        if size >= LARGE:
            position += (offsets.get(name, 0) - position) % BLOCK
        else:
            position += -position % _ALIGNMENT
        places[name] = position
        position += size
    return places


def memory_for(sizes: Iterable[int]) -> int:
    """Return how many bytes suffice for arrays of these sizes, whatever their offsets."""
    return sum(size + BLOCK for size in sizes)
