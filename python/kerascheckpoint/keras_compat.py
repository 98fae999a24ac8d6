"""Everything private to Keras, in one place, with a public way out where a piece is missing.

Seen in Keras 3.3 to 3.16 unless a function says otherwise.
"""

import contextlib
import dataclasses
import importlib
import json
import math
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from types import FrameType
from typing import Any, Literal

import h5py
import keras
import numpy as np

from .store_entry import StoreEntry, UnknownKerasError

BACKEND: str = keras.config.backend()

# Whether `fit` has a batch in its hands when it announces it; else it may find that there is none.
DRAWS_BEFORE_BATCH_BEGINS = BACKEND == "torch"

# Of the batches of one execution, `on_train_batch_end` names the last; before Keras 3.11 the first.
_VERSION = tuple(int(part) for part in re.findall(r"\d+", keras.__version__)[:2])
BATCH_END_NAMES_FIRST = _VERSION < (3, 11)

# Attributes that say nothing of a model's structure: Keras makes their values anew while it trains.
PASSING = {
    *("_jax_state", "_torch_params", "_losses", "_loss_ids"),
    *("_dropout_mask", "_recurrent_dropout_mask"),
}


@dataclasses.dataclass(frozen=True)
class Saveable:
    """An object whose state Keras saves.

    Attributes:
        target: The layer, optimizer, ...
        path: Its place in the file.
        name: The attribute `name` that Keras writes for it, if any.
        has_variables: Whether Keras asks it for variables at all.
    """

    target: Any
    path: str
    name: str | None
    has_variables: bool


def _private(module: str, name: str) -> Any:
    try:
        return getattr(importlib.import_module(f"keras.src.{module}"), name)
    except (ImportError, AttributeError) as error:
        raise UnknownKerasError(f"keras.src.{module}.{name} is missing") from error


def saveables(model: Any) -> list[Saveable]:
    """Return the objects that Keras would save, in its order and with its names.

    Keras' own walk does this, over a store that notes each object's path.

    Raises:
        UnknownKerasError: If this Keras walks in another way.
    """
    save_state = _private("saving.saving_lib", "_save_state")
    visits = _visits()
    objects = _reachable(model, _held)
    try:
        with _asked_for_nothing(objects.values()):
            save_state(
                model,
                weights_store=visits.store,
                assets_store=None,
                inner_path="",
                visited_saveables=visits,
            )
    except TypeError as error:
        raise UnknownKerasError(str(error)) from error
    if not objects.keys() >= visits.places.keys():
        objects = _reachable(model, _walked)  # slower, and hardly ever needed
    if not objects.keys() >= visits.places.keys():
        raise UnknownKerasError("Keras saved an object that was not found")
    return [Saveable(objects[key], *place) for key, place in visits.places.items()]


@contextlib.contextmanager
def _asked_for_nothing(objects: Iterable[Any]) -> Iterator[None]:
    """Keep objects from storing anything during a mere walk: optimizers would copy all they have.

    Nor can any of them refuse the store that it is given.
    """
    silenced = [vars(target) for target in objects if hasattr(target, "save_own_variables")]
    kept = [attributes.get("save_own_variables") for attributes in silenced]

    def give_back() -> None:
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
            give_back()
        finally:  # once more, if Ctrl-C came in the middle of that
            give_back()


def is_stock_optimizer(target: Any) -> bool:
    """Tell whether an object stores its variables in the way of all optimizers of Keras."""
    stock = keras.optimizers.Optimizer.save_own_variables
    own = getattr(type(target), "save_own_variables", None)
    return own is stock and "save_own_variables" not in vars(target)


def stores_in_keras_way(target: Any) -> bool:
    """Tell whether Keras' own code stores an object's variables, which it does not change."""
    store = target.save_own_variables
    return str(getattr(store, "__module__", "")).startswith("keras.")


def _visits() -> Any:
    """Return the set that Keras notes visited objects in; with it comes a store for its walk."""

    class Store(_private("saving.saving_lib", "H5IOStore")):  # type: ignore[misc]
        made: tuple[str, str | None, bool] | None = None

        def __init__(self) -> None:
            """No file is opened."""

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
    """Return, by identity, the objects that take part in saving and hang together with `model`."""
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
    """Return what an object holds in its own attributes."""
    return list(vars(target).values())


def _walked(target: Any) -> Iterable[Any]:
    """Return what Keras' walk would see of an object, properties included."""
    return [child for _, child in _private("saving.saving_lib", "_walk_saveable")(target)]


def saveable_type() -> type:
    """Return the class of objects that take part in saving."""
    kind: type = _private("saving.keras_saveable", "KerasSaveable")
    return kind


class _OnceImported:
    """Keras' lazy TensorFlow, which is there only once something else has imported it."""

    def __init__(self, lazy: Any) -> None:
        self._lazy = lazy

    @property
    def available(self) -> bool:
        return "tensorflow" in sys.modules and bool(self._lazy.available)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._lazy, name)


@contextlib.contextmanager
def not_importing_tensorflow() -> Iterator[None]:
    """Keep Keras from importing TensorFlow, for seconds, to find that no object is one of its."""
    serialization: Any = importlib.import_module("keras.src.saving.serialization_lib")
    lazy = getattr(serialization, "tf", None)
    if lazy is None:
        yield
        return
    try:
        serialization.tf = _OnceImported(lazy)
        yield
    finally:
        serialization.tf = lazy


def serialize(target: Any) -> dict[str, Any]:
    """Return the config of a model as Keras writes it, objects in common marked as such."""
    with _private("saving.serialization_lib", "ObjectSharingScope")():
        config: dict[str, Any] = keras.saving.serialize_keras_object(target)
    return config


def save_legacy(model: Any, path: str) -> None:
    """Write a model in the legacy HDF5 format.

    In memory first, where this Keras can: HDF5 itself crashes when a disk is full.
    """
    try:
        write = _private("legacy.saving.legacy_h5_format", "save_model_to_hdf5")
    except UnknownKerasError:
        model.save(path)
        return
    with h5py.File(path, "w", driver="core", backing_store=False) as h5_file:
        write(model, h5_file)
        h5_file.flush()
        image = h5_file.id.get_file_image()
    with open(path, "wb") as file:
        file.write(image)


def print_message(text: str) -> None:
    """Print through Keras, so that its logging settings hold."""
    try:
        _private("utils.io_utils", "print_msg")(text)
    except UnknownKerasError:
        print(text)


def metric_direction(model: Any, name: str) -> Literal["min", "max"] | None:
    """Return `"min"` or `"max"` if the compiled metric `name` says which is better, else `None`.

    `_direction` of a metric was seen from Keras 3.7 on; before, the name alone decides.
    """
    outputs = [f"{output}_" for output in getattr(model, "output_names", None) or []]
    names = {name, *(name.removeprefix(output) for output in outputs)}
    pending = list(getattr(model, "metrics", []))
    while pending:
        metric = pending.pop()
        pending.extend(getattr(metric, "metrics", []))
        if getattr(metric, "name", None) in names:
            direction = getattr(metric, "_direction", None)
            if direction in ("up", "down"):
                return "max" if direction == "up" else "min"
    return None


def is_fitting(model: Any, frame: FrameType | None) -> bool:
    """Tell whether a `fit` of `model` is on the stack that ends in `frame`."""
    while frame is not None and model is not None:
        if frame.f_code.co_name == "fit" and frame.f_locals.get("self") is model:
            return True
        frame = frame.f_back
    return False


class _Epoch(int):
    """An epoch's number that is true even at 0, as Keras asks `_initial_epoch or initial_epoch`.

    It is false in any later `fit`: the one that it was made for may have ended by an exception.
    """

    model: Any
    history: Any

    def __bool__(self) -> bool:
        if getattr(self.model, "history", None) is self.history:
            return True
        forget_start(self.model)
        return False


def start_at_epoch(model: Any, epoch: int) -> None:
    """Let the `fit` that is about to begin start at `epoch`, as Keras' BackupAndRestore does."""
    start = _Epoch(epoch)
    start.model, start.history = model, getattr(model, "history", None)
    model._initial_epoch = start


def forget_start(model: Any) -> None:
    """Undo `start_at_epoch`, so that a later `fit` starts where it is told to."""
    model._initial_epoch = None


def global_seed_state() -> Any:
    """Return the variable of Keras' global seed generator, or `None` if it has none yet."""
    with contextlib.suppress(UnknownKerasError, AttributeError):
        find = _private("backend.common.global_state", "get_global_attribute")
        generator = find(_private("random.seed_generator", "GLOBAL_SEED_GENERATOR"))
        return None if generator is None else generator.state
    return None


def make_global_seed_state() -> Any:
    """Return the variable of Keras' global seed generator, made if it has none yet."""
    return _private("random.seed_generator", "global_seed_generator")().state


def to_numpy(value: Any) -> Any:
    """Return a tensor's or variable's value as a NumPy array."""
    return np.asarray(keras.ops.convert_to_numpy(value))


def skip_batches(
    model: Any, count: int, on_first: Callable[[], None], on_last: Callable[[], None]
) -> Callable[[], None]:
    """Let the next `count` batches of the running `fit` be drawn but not trained.

    `fit` looks the training function up at each batch, so one that only draws stands in for it and
    takes itself away after the last batch.

    Args:
        model: The model in training.
        count: Batches to pass over, 1 or more.
        on_first: Called once the first batch is drawn and everything is built.
        on_last: Called once the last of these batches is drawn.

    Returns:
        A function that takes the stand-in away, if it is still there.
    """
    train, history = model.train_function, model.history
    left = count

    def draw(*arguments: Any) -> Any:
        nonlocal left
        # Neither another fit, if this one ends by an exception, nor train_on_batch() is meant.
        if model.history is not history or not is_fitting(model, sys._getframe(1)):
            cancel()
            return train(*arguments)
        batches = arguments[-1]
        if BACKEND != "torch" and not isinstance(batches, list):
            drawn = [next(batches) for _ in range(min(model.steps_per_execution, left))]
            if left == count and BACKEND == "tensorflow":
                with contextlib.suppress(AttributeError):
                    model._symbolic_build(data_batch=drawn[0])
        if left == count:
            on_first()
        left -= model.steps_per_execution
        if left <= 0:
            cancel()
            on_last()
        if BACKEND != "jax":
            return model.get_metrics_result()
        # While JAX trains, the variables' values are in the state that is passed around.
        state = arguments[0]
        values = zip(model.metrics_variables, state[-1], strict=True)
        with keras.StatelessScope(state_mapping=values):
            return model.get_metrics_result(), state

    def cancel() -> None:
        if model.train_function is draw:
            model.train_function = train

    model.train_function = draw
    return cancel


def is_first_process(model: Any) -> bool:
    """Tell whether this process is the one of a distributed training that writes files."""
    if BACKEND == "torch" and "torch.distributed" in sys.modules:
        distributed = sys.modules["torch.distributed"]
        if distributed.is_available() and distributed.is_initialized():
            return bool(distributed.get_rank() == 0)
    if BACKEND == "jax":
        return bool(sys.modules["jax"].process_index() == 0)
    if BACKEND == "tensorflow":
        strategy = getattr(model, "distribute_strategy", None)
        resolver = getattr(strategy, "cluster_resolver", None)
        return resolver is None or _is_chief(resolver)
    return True


def _is_chief(resolver: Any) -> bool:
    chief = "chief" if "chief" in resolver.cluster_spec().jobs else "worker"
    return resolver.task_type in (None, chief) and resolver.task_id in (None, 0)


def state_size(model: Any) -> int:
    """Return the bytes of a model's variables, those of its optimizer included.

    An optimizer that is not built yet counts as two variables for each that it trains: Adam's.
    """
    optimizer = getattr(model, "optimizer", None)
    variables = list(model.variables)
    if optimizer is not None:
        variables += optimizer.variables if optimizer.built else 2 * model.trainable_variables
    return sum(math.prod(v.shape) * _item_size(v.dtype) for v in variables)


def _item_size(dtype: str) -> int:
    bits = re.search(r"\d+", str(dtype))
    return max(int(bits.group()) // 8, 1) if bits else 1


def build_config(model: Any) -> dict[str, Any] | None:
    """Return what `build_from_config` of an unbuilt copy of `model` takes, if it is plain JSON."""
    try:
        config: dict[str, Any] | None = model.get_build_config()
        json.dumps(config)
    except (AttributeError, NotImplementedError, TypeError, ValueError):
        return None
    return config


def dumps(config: Any) -> str:
    """Write a config as Keras does."""
    return json.dumps(config)
