"""Measure how `list_checkpoints` grows with the number of files; part of `make bench`.

Beside it, in the same run: what it takes to open each file and read its first 64 kB.
"""

import os
import pathlib
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from typing import Any

from rich.console import Console
from rich.table import Table

from kerascheckpoint import list_checkpoints

GOLDEN = pathlib.Path(__file__).parents[1] / "tests" / "python" / "golden"
COUNTS = (250, 500, 1000, 2000)
ROUNDS = 5


def main() -> None:
    """Print one row for each number of files."""
    table = Table(title="list_checkpoints", title_justify="left")
    for heading in ("files", "of", "ms", "ms per file", "x open and read 64 kB"):
        table.add_column(heading, justify="right")
    for suffix in (".keras", ".weights.h5"):
        with tempfile.TemporaryDirectory() as directory:
            for count in COUNTS:
                fill(directory, suffix, count)
                listing, reading = compare(directory, count)
                cells = (listing * 1e3, listing * 1e3 / count, listing / reading)
                table.add_row(str(count), suffix, *(f"{cell:.3g}" for cell in cells))
    Console(highlight=False).print(table)


def fill(directory: str, suffix: str, count: int) -> None:
    """Let `directory` hold `count` checkpoints."""
    for number in range(count):
        path = os.path.join(directory, f"{number}{suffix}")
        if not os.path.exists(path):
            shutil.copy(GOLDEN / f"schema-1{suffix}", path)


def compare(directory: str, count: int) -> tuple[float, float]:
    """Return the median seconds of a listing, and of opening and reading each file."""
    listings, readings = [], []
    for _ in range(ROUNDS):
        listings.append(timed(lambda: list_checkpoints(directory), count))
        readings.append(timed(lambda: read_all(directory), count))
    return statistics.median(listings), statistics.median(readings)


def timed(action: Callable[[], Any], count: int) -> float:
    """Return the seconds of an action that has to find `count` files."""
    begin = time.perf_counter()
    found = len(action())
    if found != count:
        raise RuntimeError(f"{found} files were found and not {count}")
    return time.perf_counter() - begin


def read_all(directory: str) -> list[bytes]:
    """Return the first 64 kB of each file."""
    contents = []
    for name in os.listdir(directory):
        with open(os.path.join(directory, name), "rb") as file:
            contents.append(file.read(1 << 16))
    return contents


if __name__ == "__main__":
    main()
