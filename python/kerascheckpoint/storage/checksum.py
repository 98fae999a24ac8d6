"""CRC-32, as zip files use it: of bytes, and of two parts from their checksums.

isal is several times faster than zlib and, like zlib, lets other threads run meanwhile.
"""

import zlib
from collections.abc import Callable
from typing import Any

_fast_crc32: Callable[..., int]
_fast_combine: Callable[[int, int, int], int] | None
try:
    from isal.isal_zlib import crc32 as _fast_crc32
    from isal.isal_zlib import crc32_combine as _fast_combine
except ImportError:  # no wheel for this machine; zlib gives the same numbers, slower
    _fast_crc32, _fast_combine = zlib.crc32, None

_POLYNOMIAL = 0xEDB88320
_ONE = 1 << 31  # x^0 in the reflected order of CRC-32


def crc32(data: Any, start: int = 0) -> int:
    """Return the CRC-32 of a bytes-like object, continued from `start`."""
    return int(_fast_crc32(data, start))


def combine(first: int, second: int, second_length: int) -> int:
    """Return the CRC-32 of two parts joined together.

    Args:
        first: CRC-32 of the first part.
        second: CRC-32 of the second part.
        second_length: Bytes in the second part.

    Without isal, this follows the rule of zlib's `crc32_combine`: it shifts the first checksum by
    the length of the second part, that is, multiplies it by x^(8 n) modulo the polynomial.
    """
    if _fast_combine is not None:
        return int(_fast_combine(first, second, second_length))
    shift = _ONE
    for power, square in enumerate(_SQUARES):
        if second_length * 8 >> power & 1:
            shift = _multiply(shift, square)
    return _multiply(shift, first) ^ second


def _multiply(a: int, b: int) -> int:
    product = 0
    for bit in range(31, -1, -1):
        if a >> bit & 1:
            product ^= b
        b = b >> 1 ^ (_POLYNOMIAL if b & 1 else 0)
    return product


def _squares() -> list[int]:
    squares = [_ONE >> 1]  # x^1, then x^2, x^4, ...
    while len(squares) < 64:
        squares.append(_multiply(squares[-1], squares[-1]))
    return squares


_SQUARES = _squares()
