"""Where arrays lie in a block of memory, so that direct I/O can write them from there."""

from collections.abc import Iterable, Mapping

from ..storage.direct_io import BLOCK, LARGE

_ALIGNMENT = 64  # bytes


def place_arrays(sizes: Mapping[str, int], offsets: Mapping[str, int]) -> dict[str, int]:
    """Return a place in the memory for each array, less than a block from the one before.

    Args:
        sizes: Bytes of each array.
        offsets: Where in the file arrays will lie, as far as that is known.
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
    """Return bytes in which arrays of these sizes find a place, wherever they lie in the file."""
    return sum(size + BLOCK for size in sizes)
