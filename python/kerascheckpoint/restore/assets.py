"""The assets of a model's objects: files that an object keeps beside its variables."""

import os
import tempfile
import zipfile
from collections.abc import Iterable
from typing import Any, BinaryIO

from ..errors import CheckpointMismatchError
from ..formats.keras_file.writer import ASSETS
from ..snapshot import model_objects


def names_in(file: BinaryIO) -> list[str]:
    """Return the names of the assets in an open `.keras` file."""
    with zipfile.ZipFile(file) as archive:
        return [name for name in archive.namelist() if name.startswith(f"{ASSETS}/")]


class Assets:
    """The assets that a file holds, for the objects of one model that take them."""

    def __init__(self, model: Any, file: BinaryIO, names: list[str], directory: str) -> None:
        """Compare the file with the model.

        Args:
            model: The model.
            file: An open `.keras` file.
            names: Those of its members that are assets.
            directory: An empty directory to work in.

        Raises:
            CheckpointMismatchError: If an asset is of no object of the model.
        """
        places = {
            s.path: s.target
            for s in model_objects.saveables_or_none(model)
            if hasattr(s.target, "load_assets")
        }
        for name in names:
            if not any(name.startswith(_folder(ASSETS, place) + "/") for place in places):
                raise CheckpointMismatchError(f"the file holds {name!r}, which no layer takes")
        self._file, self._names, self._owners = file, names, places
        self._directory = directory
        self._kept: dict[str, str] = {}  # by place, the folder with what was there before
        self._begun: list[str] = []  # places whose objects may have changed

    def load(self) -> None:
        """Let each object load its assets from the file."""
        stored = os.path.join(self._directory, "stored")
        with zipfile.ZipFile(self._file) as archive:
            archive.extractall(stored, self._names)
        folders = {place: _folder(os.path.join(stored, ASSETS), place) for place in self._owners}
        folders = {place: folder for place, folder in folders.items() if os.path.isdir(folder)}
        self._keep(folders)
        for place, folder in folders.items():
            self._begun.append(place)
            self._owners[place].load_assets(folder)

    def _keep(self, places: Iterable[str]) -> None:
        """Let each object save what it has now, in a folder of its own."""
        for place in places:
            if hasattr(self._owners[place], "save_assets"):
                folder = tempfile.mkdtemp(dir=self._directory)
                self._owners[place].save_assets(folder)
                self._kept[place] = folder

    def roll_back(self) -> list[str]:
        """Put back what was there before, of each object by itself: any may refuse again."""
        left = []
        for place in self._begun:
            try:
                self._owners[place].load_assets(self._kept[place])
            except Exception:
                left.append(f"the assets of {place!r}")
        self._begun.clear()
        return left


def _folder(root: str, place: str) -> str:
    """Return the folder of the object at `place`; that of the model itself is the root."""
    return "/".join([root, place]).rstrip("/")
