"""Compare the arrays of a file with a model's, and read them one by one."""

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from ..backends.arrays import to_numpy
from ..errors import CheckpointMismatchError
from ..formats.base import OpenCheckpoint
from ..keras_seam import objects
from ..model_state import ArraySpec, Index
from ..notify import warn
from ..snapshot import model_objects
from .learning_rate import MatchedArrays


@dataclasses.dataclass(frozen=True)
class StoredState:
    """The arrays of a file, for one model.

    Attributes:
        arrays: The stored arrays to load into the model, by their names in the model.
        own: Values that the model keeps, by the names of their specs in `arrays`.
        checkpoint: The open checkpoint to read them from.
        optimizer: The model's optimizer, if it has one.
        place: Prefix of the names of that optimizer's arrays.
        optimizer_is_unstepped: Whether the file was saved before the optimizer's first step.
        is_renumbered: Whether Keras itself would not recognize the optimizer's arrays.
    """

    arrays: dict[str, ArraySpec]
    own: "Mapping[str, np.ndarray[Any, Any]]"
    checkpoint: OpenCheckpoint
    optimizer: Any
    place: str
    optimizer_is_unstepped: bool
    is_renumbered: bool

    @classmethod
    def from_file(
        cls, matched: MatchedArrays, checkpoint: OpenCheckpoint, model: Any
    ) -> "StoredState":
        """Return the state for `model`; warn if only one of the two has optimizer state."""
        arrays = matched.arrays
        optimizer = getattr(model, "optimizer", None)
        place = f"{next(iter(model_objects.optimizers(model)), model_objects.OPTIMIZER)}/vars/"
        if optimizer is None:
            place = f"{model_objects.OPTIMIZER}/"
            if any(name.startswith(place) for name in arrays):
                warn("the model has no optimizer, so the optimizer state in the file was ignored")
                arrays = {name: a for name, a in arrays.items() if not name.startswith(place)}
        optimizer_is_unstepped = _optimizer_is_unstepped(optimizer, arrays, checkpoint, place)
        return cls(
            arrays,
            matched.own,
            checkpoint,
            optimizer,
            place,
            optimizer_is_unstepped,
            is_renumbered=matched.difference is not None,
        )

    def fitting(self, specs: Iterable[ArraySpec]) -> dict[str, ArraySpec]:
        """Return the arrays with the model's dtypes, if they match the model exactly.

        Args:
            specs: The arrays of the model.

        Raises:
            CheckpointMismatchError: At the first difference.
        """
        own = {spec.name: spec for spec in specs if not self._may_lack(spec.name)}
        for spec in own.values():
            _compare(spec, self.arrays.get(spec.name))
        extra = sorted(self.arrays.keys() - own.keys())
        if extra:
            raise CheckpointMismatchError(f"the file holds {extra[0]!r}, which the model lacks")
        return {name: _typed(array, own[name].dtype) for name, array in self.arrays.items()}

    def _may_lack(self, name: str) -> bool:
        return (
            self.optimizer_is_unstepped and name.startswith(self.place) and name not in self.arrays
        )

    def load_optimizer(self) -> None:
        """Load what the file holds for the optimizer, which may be less than it has."""
        for name, array in self.arrays.items():
            if name.startswith(self.place):
                index = int(name.removeprefix(self.place))
                self.optimizer.variables[index].assign(self.read(array))

    def read(self, array: ArraySpec) -> Any:
        """Read an array from the file, unless the model keeps its own value."""
        own = self.own.get(array.name)
        return self.checkpoint.read(array) if own is None else own

    def part_reader(self, array: ArraySpec) -> "Callable[[Index], np.ndarray[Any, Any]]":
        """Return a function that reads parts of an array, given their slices."""
        own = self.own.get(array.name)
        return self.checkpoint.part_reader(array) if own is None else own.__getitem__


def _optimizer_is_unstepped(
    optimizer: Any, arrays: dict[str, ArraySpec], checkpoint: OpenCheckpoint, place: str
) -> bool:
    """Tell whether the file lacks optimizer state because none existed yet.

    Such a file was saved before the first step, before Keras created the slot variables. An
    optimizer that has made no step either has them at their initial values, so nothing is missing.
    """
    if not objects.is_stock_optimizer(optimizer):
        return False
    if not any(name.startswith(place) for name in arrays):
        warn("the file holds no optimizer state, so that of the model stays as it is")
        return True
    names = {f"{place}{index}" for index in range(len(optimizer.variables))}
    iterations = arrays.get(f"{place}0")
    if names <= arrays.keys() or iterations is None or iterations.shape != ():
        return False
    return int(checkpoint.read(iterations)) == int(to_numpy(optimizer.iterations)) == 0


def _compare(spec: ArraySpec, array: ArraySpec | None) -> None:
    if array is None:
        raise CheckpointMismatchError(f"the model has {spec.name!r}, which the file lacks")
    if array.shape != spec.shape:
        raise CheckpointMismatchError(
            f"{spec.name!r} has shape {array.shape} in the file and {spec.shape} in the model"
        )
    if not _fits(array.dtype, spec.dtype):
        raise CheckpointMismatchError(
            f"{spec.name!r} has dtype {array.dtype} in the file and {spec.dtype} in the model"
        )


def _fits(stored: "np.dtype[Any]", own: "np.dtype[Any]") -> bool:
    """Tell whether an array of dtype `stored` can be loaded as dtype `own` without loss.

    Backends differ in integer types (`iterations` is int64 on TensorFlow, int32 on JAX), and HDF5
    stores unknown dtypes as opaque bytes.
    """
    if stored.kind == "V":
        return stored.itemsize == own.itemsize
    return stored == own or (stored.kind in "iu" and own.kind in "iu")


def _typed(array: ArraySpec, own: "np.dtype[Any]") -> ArraySpec:
    """Return the array with its real dtype where HDF5 has opaque bytes, as for bfloat16."""
    return dataclasses.replace(array, dtype=own) if array.dtype.kind == "V" else array
