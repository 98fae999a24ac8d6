"""What lies where in a `.orbax` directory.

It is the root of an Orbax checkpointer with exactly one step, laid out as Keras' `OrbaxCheckpoint`
lays out its steps: the item `pytree` holds the model's variables by Keras' own names, the item
`model_config` the config, `assets` the contents of asset files. Two items are ours:
`kerascheckpoint` is the record, `other_arrays` holds what a model stores that is no variable.
"""

import os

from ...errors import CheckpointCorruptError
from ...storage.checksum import crc32

PYTREE, CONFIG, ASSETS = "pytree", "model_config", "assets"
RECORD, OTHER = "kerascheckpoint", "other_arrays"
RECORD_FILE = "metadata"  # the name that Orbax gives to the file of a JSON item
CONTENTS = "_CHECKPOINT_METADATA"  # Orbax' list of a step's items


def step_of(path: str) -> str:
    """Return the directory of the only step in a `.orbax` directory.

    Raises:
        CheckpointCorruptError: If there is none, or more than one.
    """
    steps = [name for name in os.listdir(path) if name.isdigit()]
    if len(steps) != 1:
        raise CheckpointCorruptError(f"it holds {len(steps)} steps and not one")
    return os.path.join(path, steps[0])


def own_files(step: str) -> list[str]:
    """Return the files of Orbax' own words below a step, without the record's and the arrays'."""
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
