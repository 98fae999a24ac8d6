"""The names of files below a directory, without the temporary ones."""

import os

from .local import is_temporary


def files_below(directory: str, levels: int) -> list[str]:
    if levels <= 1:
        return files_in(directory)
    paths = []
    for name in sorted(_names_in(directory)):
        path = os.path.join(directory, name)
        paths += [path] if os.path.isfile(path) else files_below(path, levels - 1)
    return paths


def files_in(directory: str) -> list[str]:
    paths = [os.path.join(directory, name) for name in sorted(_names_in(directory))]
    return [path for path in paths if os.path.isfile(path) or os.path.islink(path)]


def _names_in(directory: str) -> list[str]:
    try:
        return [name for name in os.listdir(directory) if not is_temporary(name)]
    except OSError:
        return []
