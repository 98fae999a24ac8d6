"""Capture the state of a model at one moment, without copying its arrays yet."""

import contextlib
import dataclasses
import datetime
import os
import tempfile
from collections.abc import Iterable, Mapping
from typing import Any

import keras

from ..backends.arrays import Hold, copy_now, hold, shape_and_dtype
from ..keras_seam import objects, state_tree
from ..keras_seam.objects import Saveable
from ..keras_seam.serialization import dumps, not_importing_tensorflow, serialize
from ..keras_seam.store import KerasMustHandleError, StoreEntry
from ..model_state import ArraySpec, ModelSnapshot, ObjectGroup, OnlyKeras
from .fingerprint import is_same, take_fingerprint


@dataclasses.dataclass
class _Plan:
    """The objects found in a model. Valid until the model's fingerprint changes."""

    model: Any
    saveables: list[Saveable]
    fingerprint: list[Any]
    is_settled: bool
    specs: tuple[ArraySpec, ...] = ()
    config: tuple[str, str] | None = None
    tree: dict[str, tuple[str, ...]] | None = None


class Snapshotter:
    """Takes snapshots of a model, and reuses what has not changed since the last one."""

    def __init__(self) -> None:
        self._plan: _Plan | None = None

    def take(
        self, model: Any, *, weights_only: bool, hold: Hold = hold
    ) -> ModelSnapshot | OnlyKeras:
        """Return a snapshot as `capture` does, or `OnlyKeras` if only Keras can save this model.

        Raises:
            Exception: Whatever a layer's own `get_config`, `save_own_variables` ... raises.
        """
        try:
            return self.capture(model, weights_only=weights_only, hold=hold)
        except KerasMustHandleError as error:
            return OnlyKeras(str(error))

    @not_importing_tensorflow()
    def prepare(self, model: Any, *, weights_only: bool, hold: Hold = hold) -> None:
        """Do in advance what takes longer in the first snapshot of a model than in later ones.

        That is to find its objects, to write its config, and to read its arrays for the first time.
        Code of the user's own is not called: it may do anything. An error occurs again at the first
        save, which reports it.
        """
        with contextlib.suppress(Exception):
            plan = self._current_plan(model)
            stored = [entry.target for entry in plan.saveables if entry.has_variables]
            if all(objects.stores_in_keras_way(target) for target in stored):
                self._snapshot(plan, hold)
            if plan.is_settled and not weights_only:
                self._config(plan)

    @not_importing_tensorflow()
    def capture(self, model: Any, *, weights_only: bool, hold: Hold = hold) -> ModelSnapshot:
        """Return everything that a file of `model` holds, copying as little as possible.

        Values in host memory become NumPy views. Arrays on devices stay there until
        `snapshot.staging` brings them to the host. Both are valid only until training continues,
        unless the backend keeps values.

        Args:
            model: The model.
            weights_only: Whether to leave out config and assets.
            hold: How to hold the arrays: `backends.arrays.hold` or a variant of it.

        Raises:
            KerasMustHandleError: If only Keras itself can save this model.
            Exception: Whatever a layer's own `get_config`, `save_own_variables` ... raises.
        """
        if not model.built:
            raise KerasMustHandleError("Keras itself reports unbuilt models")
        plan = self._current_plan(model)
        snapshot = self._snapshot(plan, hold)
        if weights_only:
            return snapshot
        config, assets = self._config(plan), _assets(plan.saveables)
        return dataclasses.replace(snapshot, config=config, metadata=_metadata(), assets=assets)

    def places(self, model: Any) -> list[tuple[Any, str]]:
        """Return each object that stores variables, with its path in the file."""
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

    def _snapshot(self, plan: _Plan, hold: Hold) -> ModelSnapshot:
        """Return the arrays of a snapshot, without config and assets."""
        groups, stored = _stored_variables(plan.saveables)
        if plan.tree is None:
            plan.tree = state_tree.keys_in_state_tree(plan.model, stored)
        arrays = hold(stored)
        specs = plan.specs = _specs(arrays, plan.specs)
        return ModelSnapshot(groups, arrays, specs, tree=plan.tree)

    def _config(self, plan: _Plan) -> str:
        """Return the text of `config.json`.

        If the model consists of Keras' own classes, the fingerprint covers everything that the
        architecture's part depends on, so that part is computed once. The compile part is computed
        at every save, because learning rates change.
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
    """Return roughly the variables that a file of `model` will hold, without a walk over it."""
    optimizer = getattr(model, "optimizer", None)
    variables = [*model.weights, *getattr(optimizer, "variables", ())]
    return {str(index): variable for index, variable in enumerate(variables)}


def _specs(held: Mapping[str, Any], last: tuple[ArraySpec, ...]) -> tuple[ArraySpec, ...]:
    """Return the specs of the held arrays: the `last` ones themselves if nothing changed."""
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
    """Tell whether the fingerprint covers everything that an object's config depends on.

    It does not for lambdas, whose config holds their code and closure, nor for PyTorch modules,
    whose config holds the whole module.
    """
    attributes = vars(target)
    stock = type(target).__module__.startswith("keras.") and "get_config" not in attributes
    if not stock or isinstance(target, keras.layers.Lambda | keras.layers.TorchModuleWrapper):
        return False
    return not any(getattr(value, "__name__", "") == "<lambda>" for value in attributes.values())


def _compile_config(model: Any) -> Any:
    return keras.saving.serialize_keras_object(model.get_compile_config())


def _stored_variables(
    saveables: Iterable[Saveable],
) -> tuple[tuple[ObjectGroup, ...], dict[str, Any]]:
    """Return the groups of objects that have variables, and the variables by name in the file."""
    groups, stored = [], {}
    for saveable in saveables:
        if not saveable.has_variables:
            continue
        group = ObjectGroup(saveable.path, saveable.name)
        groups.append(group)
        for key, value in _own_variables(saveable.target).items():
            stored[f"{group.variables}/{key}"] = value
    return tuple(groups), stored


def _own_variables(target: Any) -> Mapping[str, Any]:
    """Return what an object stores; for Keras' optimizers the variables themselves, not copies."""
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
    """Have each object with assets write them, and return the contents of the files."""
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
