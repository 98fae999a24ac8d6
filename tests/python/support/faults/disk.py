"""What a disk may hold after a power failure, as POSIX permits it.

Only a flush (`fsync`) makes anything certain. Until then each block of a file may hold any value
that it had since its last flush, or zeros; its size may be any that it had; and each name in a
directory may stand for what it stood for at any time since the directory's last flush, one name
independent of the others.
"""

import dataclasses
import itertools
import math
import os
import random
from collections.abc import Iterator, Sequence
from typing import Any

from kerascheckpoint.storage.leftovers import is_temporary

BLOCK = 4096
_MOST = 64  # contents of one file that are tried, and arrangements of the names in one directory

Tree = dict[str, Any]  # of each name: the content of a file, or the tree of a directory


@dataclasses.dataclass
class FileHistory:
    """The values that a file's blocks and its size had since its last flush."""

    blocks: list[set[bytes]]
    sizes: set[int]
    content: bytes

    def write(self, content: bytes) -> bool:
        """The file holds this now; tell whether that is new."""
        if content == self.content:
            return False
        for index in range(math.ceil(max(len(content), len(self.content)) / BLOCK)):
            new, old = (c[index * BLOCK : (index + 1) * BLOCK] for c in (content, self.content))
            if index == len(self.blocks):
                self.blocks.append({_whole(b"")})
            if new != old:  # until it is flushed, a block that is written may read as zeros
                self.blocks[index] |= {_whole(new), _whole(b"")}
        self.sizes.add(len(content))
        self.content = content
        return True

    def flush(self) -> None:
        """What it holds now is certain."""
        starts = range(0, len(self.content), BLOCK)
        self.blocks = [{_whole(self.content[start : start + BLOCK])} for start in starts]
        self.sizes = {len(self.content)}

    def contents(self, choice: random.Random, most: int = _MOST) -> list[bytes]:
        """Return what may be read after a power failure: all of it, or about `most` of many."""
        options = [sorted(self.sizes), *map(sorted, self.blocks)]
        found = {b"".join(blocks)[:size] for size, *blocks in _product(options, choice, most)}
        return sorted(found)


def _whole(block: bytes) -> bytes:
    return block.ljust(BLOCK, b"\0")


def _product(
    options: Sequence[Sequence[Any]], choice: random.Random, most: int = _MOST
) -> Iterator[Sequence[Any]]:
    """Yield each way to take one of each, or the first, the last and random picks of many."""
    if math.prod(map(len, options)) <= most:
        yield from itertools.product(*options)
        return
    yield [values[0] for values in options]
    yield [values[-1] for values in options]
    for _ in range(most - 2):
        yield [choice.choice(values) for values in options]


@dataclasses.dataclass
class DirectoryHistory:
    """The nodes (`None`: nothing) that each name stood for since the directory's last flush."""

    names: dict[str, list[int | None]]

    def write(self, entries: dict[str, int]) -> bool:
        """The names stand for these nodes now; tell whether that is new."""
        is_new = False
        for name in self.names.keys() | entries.keys():
            nodes = self.names.setdefault(name, [None])
            if entries.get(name) != nodes[-1]:
                nodes.append(entries.get(name))
                is_new = True
        return is_new

    def flush(self) -> None:
        """What the names stand for now is certain."""
        self.names = {name: nodes[-1:] for name, nodes in self.names.items()}


class Disk:
    """Follows what a directory and everything below it may hold after a power failure."""

    def __init__(self, root: str) -> None:
        """Begin with what is there, all of it certain."""
        self._root = root
        self._nodes: dict[tuple[int, int], int] = {}
        self._held: list[int] = []  # a number of a node serves no other while it is open
        self._histories: list[FileHistory | DirectoryHistory] = []
        self._is_changed = False
        self.look()
        for history in self._histories:
            history.flush()

    def close(self) -> None:
        """Follow it no longer."""
        for fd in self._held:
            os.close(fd)
        self._held.clear()

    def look(self) -> bool:
        """Take in what is there now; tell whether that is new."""
        self._is_changed = False
        self._look_at(self._root)
        return self._is_changed

    def flushed(self, fd: int) -> None:
        """What an open file or directory holds is certain from now on."""
        self.look()
        status = os.fstat(fd)
        node = self._nodes.get((status.st_dev, status.st_ino))
        if node is not None:
            self._histories[node].flush()

    def trees(self, choice: random.Random) -> Iterator[Tree]:
        """Yield what may be there after a power failure now."""
        yield from self._arrangements(0, choice)

    def _look_at(self, path: str) -> int:
        node = self._node(path)
        history = self._histories[node]
        if isinstance(history, DirectoryHistory):
            names = sorted(os.listdir(path))
            entries = {name: self._look_at(os.path.join(path, name)) for name in names}
            self._is_changed |= history.write(entries)
        else:
            fd = self._held[node]
            self._is_changed |= history.write(os.pread(fd, os.fstat(fd).st_size, 0))
        return node

    def _node(self, path: str) -> int:
        status = os.stat(path)
        key = status.st_dev, status.st_ino
        if key not in self._nodes:
            self._nodes[key] = len(self._histories)
            self._held.append(os.open(path, os.O_RDONLY))
            is_directory = os.path.isdir(path)
            self._histories.append(
                DirectoryHistory({}) if is_directory else FileHistory([], {0}, b"")
            )
        return self._nodes[key]

    def _arrangements(self, node: int, choice: random.Random) -> Iterator[Tree]:
        history = self._histories[node]
        assert isinstance(history, DirectoryHistory)
        names = sorted(history.names)
        for nodes in _product([history.names[name] for name in names], choice):
            present = [(name, node) for name, node in zip(names, nodes, strict=True) if node]
            below = [self._below(node, name, choice) for name, node in present]
            for contents in _product(below, choice):
                yield dict(zip((name for name, _ in present), contents, strict=True))

    def _below(self, node: int, name: str, choice: random.Random) -> list[Any]:
        history = self._histories[node]
        if isinstance(history, FileHistory):  # nobody looks into temporary files
            return history.contents(choice, 3 if is_temporary(name) else _MOST)
        return list(self._arrangements(node, choice))


def write_tree(directory: str, tree: Tree) -> None:
    """Let an existing directory hold a tree."""
    for name, content in tree.items():
        path = os.path.join(directory, name)
        if isinstance(content, bytes):
            with open(path, "wb") as file:
                file.write(content)
        else:
            os.mkdir(path)
            write_tree(path, content)
