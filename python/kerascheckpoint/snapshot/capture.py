"""Take hold of the state of a model at one instant: what a walk over it found, not copied yet."""

import dataclasses
import datetime
import os
import tempfile
from collections.abc import Iterable, Mapping
from typing import Any

import keras

from ..backends.arrays import copy_now, hold, hold_shards, shape_and_dtype
from ..keras_seam import objects, state_tree
from ..keras_seam.objects import Saveable
from ..keras_seam.serialization import dumps, not_importing_tensorflow, serialize
from ..keras_seam.store import KerasMustHandleError, StoreEntry
from ..model_state import ArraySpec, ModelSnapshot, ObjectGroup, OnlyKeras
from .fingerprint import is_same, take_fingerprint


@dataclasses.dataclass
class _Plan:
    """What the walk over a model found; good until a fingerprint differs."""

    model: Any
    saveables: list[Saveable]
    fingerprint: list[Any]
    is_settled: bool
    specs: tuple[ArraySpec, ...] = ()
    config: tuple[str, str] | None = None
    tree: dict[str, tuple[str, ...]] | None = None


class Snapshotter:
    """Takes snapshots of a model; what cannot change between them is found once."""

    def __init__(self) -> None:
        self._plan: _Plan | None = None

    def take(
        self, model: Any, *, weights_only: bool, in_shards: bool = False
    ) -> ModelSnapshot | OnlyKeras:
        """Return a snapshot as `capture` does, or the answer that only Keras can save this model.

        Raises:
            Exception: What a layer's own `get_config`, `save_own_variables` ... raises.
        """
        try:
            return self.capture(model, weights_only=weights_only, in_shards=in_shards)
        except KerasMustHandleError as error:
            return OnlyKeras(str(error))

    @not_importing_tensorflow()
    def capture(self, model: Any, *, weights_only: bool, in_shards: bool = False) -> ModelSnapshot:
        """Return everything that a file of `model` holds, without a copy wherever possible.

        What lies in the host's memory is seen through NumPy arrays; arrays on devices stay there,
        and `snapshot.staging` brings them to the host. Unless the backend keeps values, both are
        good only until training goes on.

        Args:
            model: The model.
            weights_only: Whether config and assets are left out.
            in_shards: Whether arrays on several devices are taken shard by shard.

        Raises:
            KerasMustHandleError: If only Keras' own saving can write this model.
            Exception: What a layer's own `get_config`, `save_own_variables` ... raises.
        """
        if not model.built:
            raise KerasMustHandleError("Keras itself reports unbuilt models")
        plan = self._current_plan(model)
        stored: dict[str, Any] = {}
        groups = []
        for saveable in plan.saveables:
            if not saveable.has_variables:
                continue
            group = ObjectGroup(saveable.path, saveable.name)
            groups.append(group)
            place = group.variables
            for key, value in _own_variables(saveable.target).items():
                stored[f"{place}/{key}"] = value
        if plan.tree is None:
            plan.tree = state_tree.keys_in_state_tree(model, stored)
        arrays = hold_shards(stored) if in_shards else hold(stored)
        specs = plan.specs = _specs(arrays, plan.specs)
        if weights_only:
            return ModelSnapshot(tuple(groups), arrays, specs, tree=plan.tree)
        return ModelSnapshot(
            tuple(groups),
            arrays,
            specs,
            config=self._config(plan),
            metadata=_metadata(),
            assets=_assets(plan.saveables),
            tree=plan.tree,
        )

    def places(self, model: Any) -> list[tuple[Any, str]]:
        """Return each object that stores variables, and where in the file."""
        stored = [entry for entry in self._current_plan(model).saveables if entry.has_variables]
        return [(entry.target, ObjectGroup(entry.path, entry.name).variables) for entry in stored]

    def _current_plan(self, model: Any) -> _Plan:
        plan = self._plan
        if (
            plan is None
            or plan.model is not model
            or not is_same(plan.fingerprint, take_fingerprint(plan.saveables))
        ):
            found = objects.saveables(model)
            is_settled = all(_is_settled_by_fingerprint(entry.target) for entry in found)
            plan = self._plan = _Plan(model, found, take_fingerprint(found), is_settled)
        return plan

    def _config(self, plan: _Plan) -> str:
        """Return the text of `config.json`.

        The architecture's part is computed once for a model of Keras' own classes, whose configs
        depend on nothing that the fingerprint does not hold; the compile part at every save, as
        learning rates change.
        """
        if not plan.is_settled:
            return dumps(serialize(plan.model))
        if plan.config is None:
            config = serialize(plan.model)
            if "compile_config" not in config:  # not compiled, on an older Keras
                return dumps(config)
            compiled = config.pop("compile_config")
            if compiled != _compile_config(plan.model):  # it shares objects with the architecture
                return dumps(config | {"compile_config": compiled})
            plan.config = (dumps(config)[:-1] + ', "compile_config": ', "}")
        return dumps(_compile_config(plan.model)).join(plan.config)


def state_variables(model: Any) -> dict[str, Any]:
    """Return about the variables that a file of `model` will hold, without a walk over it."""
    optimizer = getattr(model, "optimizer", None)
    variables = [*model.weights, *getattr(optimizer, "variables", ())]
    return {str(index): variable for index, variable in enumerate(variables)}


def _specs(held: Mapping[str, Any], last: tuple[ArraySpec, ...]) -> tuple[ArraySpec, ...]:
    """Return the specs of arrays: the `last` ones if they still hold."""
    found = {name: shape_and_dtype(value) for name, value in held.items()}
    if len(found) == len(last) and all(
        spec.name == name and (spec.shape, spec.dtype) == kind
        for spec, (name, kind) in zip(last, found.items(), strict=True)
    ):
        return last
    for name, (_, dtype) in found.items():
        if dtype.hasobject or dtype.kind not in "biufcV":
            raise KerasMustHandleError(f"{name} has dtype {dtype}")
    return tuple(ArraySpec(name, *kind) for name, kind in found.items())


def _is_settled_by_fingerprint(target: Any) -> bool:
    """Tell whether a fingerprint holds all that an object's config depends on.

    Of a lambda the config holds the code and what it closes over, of a module of PyTorch all of it.
    """
    attributes = vars(target)
    stock = type(target).__module__.startswith("keras.") and "get_config" not in attributes
    if not stock or isinstance(target, keras.layers.Lambda | keras.layers.TorchModuleWrapper):
        return False
    return not any(getattr(value, "__name__", "") == "<lambda>" for value in attributes.values())


def _compile_config(model: Any) -> Any:
    return keras.saving.serialize_keras_object(model.get_compile_config())


def _own_variables(target: Any) -> Mapping[str, Any]:
    """Return what an object stores, with Keras' optimizers as variables and not as copies."""
    if objects.is_stock_optimizer(target):
        return {str(index): variable for index, variable in enumerate(target.variables)}
    in_keras_way = objects.stores_in_keras_way(target)
    entry = StoreEntry(take=None if in_keras_way else copy_now)
    target.save_own_variables(entry)
    if entry.unknown_use is not None:
        raise KerasMustHandleError(entry.unknown_use)
    return entry


def _metadata() -> dict[str, str]:
    now = datetime.datetime.now().strftime("%Y-%m-%d@%H:%M:%S")
    return {"keras_version": keras.__version__, "date_saved": now}


def _assets(saveables: Iterable[Saveable]) -> dict[str, bytes]:
    """Let each object that has assets write them, and return the files' contents."""
    owners = [entry for entry in saveables if hasattr(entry.target, "save_assets")]
    contents: dict[str, bytes] = {}
    if not owners:
        return contents
    with tempfile.TemporaryDirectory() as directory:
        for owner in owners:
            place = os.path.join(directory, *owner.path.split("/"))
            os.makedirs(place, exist_ok=True)
            owner.target.save_assets(place)
        for folder, _, names in os.walk(directory):
            for name in names:
                path = os.path.join(folder, name)
                with open(path, "rb") as file:
                    contents[os.path.relpath(path, directory).replace(os.sep, "/")] = file.read()
    return contents
