"""Restore the assets of a model's objects: files stored beside its variables."""

import os
import tempfile
from collections.abc import Iterable
from typing import Any

from ..errors import CheckpointMismatchError
from ..formats.base import OpenCheckpoint
from ..snapshot import model_objects


class Assets:
    """The assets in a file, and the objects of one model that load them."""

    def __init__(self, model: Any, checkpoint: OpenCheckpoint, directory: str) -> None:
        """Compare the file with the model.

        Args:
            model: The model.
            checkpoint: An open checkpoint that holds assets.
            directory: An empty directory to work in.

        Raises:
            CheckpointMismatchError: If an asset belongs to no object of the model.
        """
        places = {
            s.path: s.target
            for s in model_objects.saveables_or_none(model)
            if hasattr(s.target, "load_assets")
        }
        for name in checkpoint.assets():
            if not any(name.startswith(f"{place}/" if place else "") for place in places):
                place = f"assets/{name}"
                raise CheckpointMismatchError(
                    f"the file holds {place!r}, which belongs to no layer"
                )
        self._checkpoint, self._owners = checkpoint, places
        self._directory = directory
        self._kept: dict[str, str] = {}  # by place, the folder with the earlier assets
        self._begun: list[str] = []  # places whose objects may have changed

    def load(self) -> None:
        """Have each object load its assets from the file."""
        stored = os.path.join(self._directory, "stored")
        self._checkpoint.extract_assets(stored)
        folders = {place: os.path.join(stored, place).rstrip("/") for place in self._owners}
        folders = {place: folder for place, folder in folders.items() if os.path.isdir(folder)}
        self._keep(folders)
        for place, folder in folders.items():
            self._begun.append(place)
            self._owners[place].load_assets(folder)

    def _keep(self, places: Iterable[str]) -> None:
        """Have each object save its current assets, in separate folders."""
        for place in places:
            if hasattr(self._owners[place], "save_assets"):
                folder = tempfile.mkdtemp(dir=self._directory)
                self._owners[place].save_assets(folder)
                self._kept[place] = folder

    def roll_back(self) -> list[str]:
        """Restore the earlier assets of each object separately; any may fail again."""
        left = []
        for place in self._begun:
            try:
                self._owners[place].load_assets(self._kept[place])
            except Exception:
                left.append(f"the assets of {place!r}")
        self._begun.clear()
        return left
