"""The layout of a `.orbax` directory.

It is the root of an Orbax checkpointer with exactly one step, laid out like a step of Keras'
`OrbaxCheckpoint`: the item `pytree` holds the model's variables under Keras' names, `model_config`
the config, `assets` the asset files. Two items are ours: `kerascheckpoint` is the record, and
`other_arrays` holds the stored arrays that are not variables.
"""

import contextlib
import importlib.util
import os
from collections.abc import Iterator
from typing import Any

import numpy as np

from ...errors import CheckpointCorruptError
from ...model_state import ModelSnapshot
from ...storage.checksum import crc32

NEEDS_ORBAX = (
    "A path that ends in `.orbax` needs Orbax, which is not installed: "
    "pip install kerascheckpoint[orbax]."
)
PYTREE, CONFIG, ASSETS = "pytree", "model_config", "assets"
RECORD, OTHER = "kerascheckpoint", "other_arrays"
RECORD_FILE = "metadata"  # Orbax' name for the file of a JSON item
CONTENTS = "_CHECKPOINT_METADATA"  # Orbax' list of a step's items
PART = "ocdbt.process_"  # prefix of the directories of the processes' parts


def is_installed(package: str, *modules: str) -> bool:
    """Tell whether a package, and modules in it, can be imported; imports the package alone."""
    try:
        found = importlib.util.find_spec(".".join((package, *modules)))
    except ModuleNotFoundError:
        return False
    return found is not None


def step_of(path: str) -> str:
    """Return the directory of the only step in a `.orbax` directory.

    Raises:
        CheckpointCorruptError: If there is not exactly one.
    """
    steps = [name for name in os.listdir(path) if name.isdigit()]
    if len(steps) != 1:
        raise CheckpointCorruptError(f"it holds {len(steps)} steps instead of one")
    return os.path.join(path, steps[0])


def own_files(step: str) -> list[str]:
    """Return Orbax' own files below a step, without those of the record and of the arrays."""
    names = []
    for item in sorted(os.listdir(step)):
        path = os.path.join(step, item)
        if os.path.isfile(path):
            names.append(item)
        elif item != RECORD:
            names += [
                f"{item}/{name}"
                for name in sorted(os.listdir(path))
                if os.path.isfile(os.path.join(path, name))
            ]
    return names


def file_checksum(step: str, name: str) -> int:
    """Return the CRC-32 of a file below a step."""
    with open(os.path.join(step, *name.split("/")), "rb") as file:
        return crc32(file.read())


def array_items(content: ModelSnapshot) -> list[str]:
    """Return the names of the items that hold arrays of a model."""
    has = {
        PYTREE: bool(content.tree),
        OTHER: any(name not in content.tree for name in content.arrays),
        ASSETS: bool(content.assets),
    }
    return [name for name, is_there in has.items() if is_there]


def make_directories(step: str, content: ModelSnapshot) -> None:
    """Create the directories of a step's items."""
    texts = [RECORD] if content.config is None else [RECORD, CONFIG]
    for name in [*array_items(content), *texts]:
        os.makedirs(os.path.join(step, name))


def parts(step: str) -> list[str]:
    """Return the directories below a step that hold a process's part of the arrays."""
    return [
        f"{item}/{name}"
        for item in sorted(os.listdir(step))
        if os.path.isdir(os.path.join(step, item))
        for name in sorted(os.listdir(os.path.join(step, item)))
        if name.startswith(PART)
    ]


def name_of_part(part: str) -> str:
    """Return a readable name for a directory from `parts`."""
    item, _, name = part.partition("/")
    return f"the part of process {name.removeprefix(PART)} ({item})"


def array_checksum(array: "np.ndarray[Any, Any]") -> str:
    """Return the CRC-32 of an array's elements in order, as eight hexadecimal digits."""
    data = np.ascontiguousarray(array).reshape(-1)
    return f"{crc32(data.view(np.uint8)) if data.size else 0:08x}"


@contextlib.contextmanager
def naming(name: str) -> Iterator[None]:
    """Turn TensorStore's errors into ones that name the array."""
    try:
        yield
    except Exception as error:
        raise CheckpointCorruptError(f"array {name!r} cannot be read: {error}") from error
