"""The durable files of a run; deletes those that the retention policy drops."""

from collections.abc import Hashable, Iterable

from ..errors import CheckpointError
from ..file_kind import LEGACY_SUFFIX, WEIGHTS_SUFFIX
from ..formats.forms import open_checkpoint
from ..notify import warn
from ..policies.best_value import BestTracker
from ..policies.planned_save import PlannedSave
from ..policies.retention import KeptFile, Retention
from ..storage.base import Storage


class RunFiles:
    """The files that this run and the runs it continues wrote, oldest first."""

    def __init__(
        self,
        retention: Retention,
        best: BestTracker,
        storage: Storage,
        files: Iterable[KeptFile] = (),
    ) -> None:
        """Start with the files of earlier runs.

        Args:
            retention: Which files to keep.
            best: The best so far; it learns of each save before this object does.
            storage: The place of the files.
            files: Durable files, oldest first.
        """
        self._retention = retention
        self._best = best
        self._storage = storage
        self._files = list(files)
        self._on_their_way: list[str] = []
        self._identities: dict[str, Hashable] = {}  # of files that carry no record

    def begin(self, save: PlannedSave) -> None:
        """Protect the target from deletion until the save has ended."""
        self._on_their_way.append(save.path)

    def abort(self, save: PlannedSave) -> None:
        """End the protection of the target."""
        self._on_their_way.remove(save.path)

    def commit(self, save: PlannedSave) -> None:
        """Add a durable file, and delete the files that are no longer kept."""
        self._on_their_way.remove(save.path)
        self._files = [earlier for earlier in self._files if earlier.path != save.path]
        self._files.append(KeptFile(save.path, save.value, save.saved_at))
        if save.path.endswith(LEGACY_SUFFIX) and not save.path.endswith(WEIGHTS_SUFFIX):
            self._identities[save.path] = self._storage.status(save.path).identity
        best = self._best
        for file in self._retention.to_delete(self._files, best.direction, best.best_path):
            if file.path not in self._on_their_way:
                self._files.remove(file)
                self._delete(file)

    def _delete(self, file: KeptFile) -> None:
        try:
            if self._storage.exists(file.path) and self._is_ours(file):
                self._storage.delete(file.path)
        except (CheckpointError, OSError) as error:
            warn(f"an old checkpoint could not be deleted: {error}")

    def _is_ours(self, file: KeptFile) -> bool:
        """Tell by its record whether a file is still the one that this run saved there.

        Another run may have replaced it at any time. A legacy file has no record; the identity that
        the file system gives it decides.
        """
        if file.path in self._identities:
            return self._identities.pop(file.path) == self._storage.status(file.path).identity
        with open_checkpoint(file.path, self._storage) as checkpoint:
            fields = checkpoint.record or {}
        return file.saved_at is not None and fields.get("saved_at") == file.saved_at
