"""The layout of a `.orbax` directory.

It is the root of an Orbax checkpointer with exactly one step, laid out like a step of Keras'
`OrbaxCheckpoint`: the item `pytree` holds the model's variables under Keras' names, `model_config`
the config, `assets` the asset files. Two items are ours: `kerascheckpoint` is the record, and
`other_arrays` holds the stored arrays that are not variables. The step and each of its items hold
Orbax' mark of what is finished, which counts in an object store.
"""

import contextlib
import importlib.util
import os
from collections.abc import Collection, Iterable, Iterator
from typing import Any

import numpy as np

from ...errors import CheckpointCorruptError
from ...file_kind import COMMIT_MARK
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
MANIFEST = "manifest.ocdbt"  # TensorStore's file in an item whose parts are joined
PART = "ocdbt.process_"  # prefix of the directories of the processes' parts


def is_installed(package: str, *modules: str) -> bool:
    """Tell whether a package, and modules in it, can be imported; imports the package alone."""
    try:
        found = importlib.util.find_spec(".".join((package, *modules)))
    except ModuleNotFoundError:
        return False
    return found is not None


def steps(files: Iterable[str]) -> list[str]:
    """Return the steps that a `.orbax` directory holds anything of, given all of its files."""
    tops = {name.partition("/")[0] for name in files if "/" in name}
    return sorted((top for top in tops if top.isdecimal()), key=int)


def marked_steps(files: Collection[str]) -> list[str]:
    """Return the steps in an object store that are marked as finished, given all files there."""
    return [step for step in steps(files) if f"{step}/{COMMIT_MARK}" in files]


def only_step(files: Collection[str]) -> str:
    """Return the only step in a local `.orbax` directory, given all of its files.

    Raises:
        CheckpointCorruptError: If there is not exactly one, or it is not finished.
    """
    found = steps(files)
    if len(found) != 1:
        raise CheckpointCorruptError(f"it holds {len(found)} steps instead of one")
    (step,) = found
    if f"{step}/{CONTENTS}" not in files:
        raise CheckpointCorruptError("its step is not finished")
    return step


def own_files(files: Iterable[str]) -> list[str]:
    """Return Orbax' own files of a step, without those of the record and of the arrays."""
    return sorted(
        name for name in files if name.count("/") <= 1 and name.partition("/")[0] != RECORD
    )


def array_items(content: ModelSnapshot) -> list[str]:
    """Return the names of the items that hold arrays of a model."""
    has = {
        PYTREE: bool(content.tree),
        OTHER: any(name not in content.tree for name in content.arrays),
        ASSETS: bool(content.assets),
    }
    return [name for name, is_there in has.items() if is_there]


def make_directories(step: str, content: ModelSnapshot) -> None:
    """Create the directories of a step's items on a disk of this machine."""
    texts = [RECORD] if content.config is None else [RECORD, CONFIG]
    for name in [*array_items(content), *texts]:
        os.makedirs(os.path.join(step, name))


def parts(files: Iterable[str]) -> list[str]:
    """Return the directories of a step that hold a process's part of the arrays."""
    folders = {"/".join(name.split("/")[:2]) for name in files}
    return sorted(folder for folder in folders if folder.partition("/")[2].startswith(PART))


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
