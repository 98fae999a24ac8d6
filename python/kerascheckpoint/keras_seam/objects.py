"""The objects whose state Keras saves, found by Keras' own saving walk."""

import contextlib
import dataclasses
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import keras

from .distribution import without_distribution
from .private import BACKEND, private_name
from .store import KerasMustHandleError, StoreEntry

# Keras replaces these attributes during training; they do not describe a model's structure.
TRANSIENT_ATTRIBUTES = {
    *("_jax_state", "_torch_params", "_losses", "_loss_ids", "_called"),
    *("_dropout_mask", "_recurrent_dropout_mask"),
}

_TRAINER_ATTRIBUTES = {
    *("history", "_initial_epoch", "_eval_epoch_iterator"),
    *("train_function", "test_function", "predict_function"),
    *("stop_training", "stop_evaluating", "stop_predicting"),
}
_MODE = {"training"} if BACKEND == "torch" else set()  # of each module of PyTorch


@dataclasses.dataclass(frozen=True)
class Saveable:
    """An object whose state Keras saves.

    Attributes:
        target: The layer, optimizer or other object.
        path: Its group in the file.
        name: The attribute `name` that Keras writes for it, if any.
        has_variables: Whether Keras asks it for variables.
    """

    target: Any
    path: str
    name: str | None
    has_variables: bool


def saveables(model: Any) -> list[Saveable]:
    """Return the objects that Keras would save, in its order and with its names.

    This runs Keras' own saving code with a store that only records the path of each object.

    Raises:
        KerasMustHandleError: If the saving code of this Keras is not supported.
    """
    save_state = private_name("saving.saving_lib", "_save_state")
    visits = _visits()
    objects = _reachable(model, _held)
    try:
        with (
            without_distribution(),
            _skipping_at_once(objects.values()),
            _storing_nothing(objects.values()),
        ):
            save_state(
                model,
                weights_store=visits.store,
                assets_store=None,
                inner_path="",
                visited_saveables=visits,
            )
    except TypeError as error:
        raise KerasMustHandleError(str(error)) from error
    if not objects.keys() >= visits.places.keys():
        objects = _reachable(model, _walked)  # slower, and rarely needed
    if not objects.keys() >= visits.places.keys():
        raise KerasMustHandleError("Keras saved an object that was not found")
    return [Saveable(objects[key], *place) for key, place in visits.places.items()]


@contextlib.contextmanager
def _storing_nothing(objects: Iterable[Any]) -> Iterator[None]:
    """Replace each object's `save_own_variables` by a no-op during the walk.

    Otherwise optimizers would copy all their variables, and an object might reject the store.
    """
    silenced = [vars(target) for target in objects if hasattr(target, "save_own_variables")]
    kept = [attributes.get("save_own_variables") for attributes in silenced]

    def restore_all() -> None:
        for attributes, own in zip(silenced, kept, strict=True):
            if own is None:
                attributes.pop("save_own_variables", None)
            else:
                attributes["save_own_variables"] = own

    try:
        for attributes in silenced:
            attributes["save_own_variables"] = lambda store: None
        yield
    finally:
        try:
            restore_all()
        finally:  # again, in case Ctrl-C interrupted the first attempt
            restore_all()


@contextlib.contextmanager
def _skipping_at_once(objects: Iterable[Any]) -> Iterator[None]:
    """Let Keras find once per kind of object, not per object, which attributes its walk skips.

    Keras looks for the names that it has found before in another place than it keeps them in. So it
    makes a layer for each layer and lists its attributes: two thirds of a walk over many layers.
    Seen in Keras 3.9 to 3.16; earlier versions keep them in this place.
    """
    try:
        keep = private_name("backend.common.global_state", "set_global_attribute")
        skipped = private_name("saving.saving_lib", "get_attr_skipset")
        kinds = {target._obj_type() for target in objects}
        found = {f"saving_attr_skiplist_{kind}": skipped(kind) for kind in kinds}
    except (KerasMustHandleError, AttributeError, NotImplementedError, ValueError):
        yield
        return
    for place, names in found.items():
        keep(place, names)
    try:
        yield
    finally:
        for place in found:
            keep(place, None)


def has_all_to_train(model: Any) -> bool:
    """Tell whether weights, loss, metrics and optimizer of a model have made their variables.

    On TensorFlow, the first batch of training does so.
    """
    own = [getattr(model, name, None) for name in ("_compile_loss", "_compile_metrics")]
    parts = [model, getattr(model, "optimizer", None), *own]
    return all(getattr(each, "built", True) for each in parts)


def set_by_training(target: Any) -> set[str]:
    """Return the names of attributes that `fit` and `evaluate` set: functions, flags, reports.

    They do not describe the structure, unless a user's own class holds layers by these names.
    """
    return _TRAINER_ATTRIBUTES | _MODE if isinstance(target, keras.Model) else _MODE


def is_stock_optimizer(target: Any) -> bool:
    """Tell whether an object uses the `save_own_variables` that Keras' optimizers share."""
    stock = keras.optimizers.Optimizer.save_own_variables
    own = getattr(type(target), "save_own_variables", None)
    return own is stock and "save_own_variables" not in vars(target)


def stores_in_keras_way(target: Any) -> bool:
    """Tell whether Keras' own code stores an object's variables, without modifying them."""
    store = target.save_own_variables
    return str(getattr(store, "__module__", "")).startswith("keras.")


def loads_in_keras_way(target: Any) -> bool:
    """Tell whether Keras' own code loads an object's variables: by key, one after the other."""
    load = getattr(target, "load_own_variables", None)
    return str(getattr(load, "__module__", "")).startswith("keras.")


def _visits() -> Any:
    """Return the set in which Keras records visited objects, with a store for its walk attached."""

    class Store(private_name("saving.saving_lib", "H5IOStore")):  # type: ignore[misc]
        made: tuple[str, str | None, bool] | None = None

        def __init__(self) -> None:
            """Open no file, unlike the base class."""

        def __bool__(self) -> bool:
            return True

        def make(self, path: str, metadata: dict[str, str] | None = None) -> "StoreEntry":
            self.made = (path, (metadata or {}).get("name"), True)
            return StoreEntry()

    class Visits(set[int]):
        def __init__(self) -> None:
            super().__init__()
            self.store = Store()
            self.places: dict[int, tuple[str, str | None, bool]] = {}

        def add(self, key: int) -> None:
            super().add(key)
            self.places[key] = self.store.made or ("", None, False)
            self.store.made = None

    return Visits()


def _reachable(model: Any, children: Callable[[Any], Iterable[Any]]) -> dict[int, Any]:
    """Return the saveable objects that can be reached from `model`, by their `id()`."""
    kind = saveable_type()
    found: dict[int, Any] = {}
    containers: set[int] = set()
    pending = [model]
    while pending:
        target = pending.pop()
        if isinstance(target, kind):
            if id(target) not in found:
                found[id(target)] = target
                pending.extend(children(target))
        elif isinstance(target, dict | list | tuple | set) and id(target) not in containers:
            containers.add(id(target))
            pending.extend(target.values() if isinstance(target, dict) else target)
    return found


def _held(target: Any) -> Iterable[Any]:
    """Return the values of an object's own attributes."""
    return list(vars(target).values())


def _walked(target: Any) -> Iterable[Any]:
    """Return the children that Keras' saving code visits, including properties."""
    return [child for _, child in private_name("saving.saving_lib", "_walk_saveable")(target)]


def saveable_type() -> type:
    """Return the class of objects that take part in saving."""
    kind: type = private_name("saving.keras_saveable", "KerasSaveable")
    return kind
