"""The random state of training.

It consists of that of Python, NumPy, Keras (global and for each layer), backends and host language.
"""

import random
from collections.abc import Mapping
from typing import Any

import numpy as np

from ..backends.arrays import to_numpy
from ..errors import CheckpointMismatchError
from ..keras_seam.random_seed import global_seed_state, make_global_seed_state
from . import host, tensorflow_random, torch_random
from .packing import pack, unpack

_KERAS_SEED = (2,)  # shape of the state of a seed generator


class RandomState:
    """The random state of the process and of a model's seed generators: the record's "random"."""

    name = "random"
    version = 1

    def __init__(self, model: Any) -> None:
        self._model = model

    def capture(self) -> dict[str, Any]:
        """Return the random state as a JSON object."""
        layers = [pack(to_numpy(variable)) for variable in seed_variables(self._model)]
        return capture_process() | {"layers": layers}

    def check(self, state: Mapping[str, Any]) -> None:
        """Try what `restore` would do, without changing any generator.

        Raises:
            CheckpointMismatchError: If the state does not fit the model's seed generators.
        """
        check_process(state)
        stored = [unpack(packed) for packed in state["layers"]]
        variables = seed_variables(self._model)
        if len(variables) != len(stored):
            raise CheckpointMismatchError(
                f"the file holds the state of {len(stored)} seed generators, the model has "
                f"{len(variables)}"
            )
        for variable, array in zip(variables, stored, strict=True):
            if array.shape != tuple(variable.shape) or array.dtype.kind not in "iu":
                raise CheckpointMismatchError(
                    f"the state of the seed generator {variable.path!r} is {array.dtype.name} of "
                    f"shape {array.shape} in the file and {variable.dtype} of shape "
                    f"{tuple(variable.shape)} in the model"
                )

    def restore(self, state: Mapping[str, Any]) -> None:
        """Restore the random state."""
        for variable, stored in zip(seed_variables(self._model), state["layers"], strict=True):
            variable.assign(unpack(stored))
        restore_process(state)


def capture_process(*, with_host: bool = True) -> dict[str, Any]:
    """Return the random state outside the model: of Python, NumPy, Keras, backends and host.

    Args:
        with_host: Whether to ask the host, whose code runs on the main thread alone.
    """
    version, words, gauss = random.getstate()
    numpy_state: Any = np.random.get_state(legacy=False)
    state = {
        "python": [version, pack(np.array(words, np.uint64)), gauss],
        "numpy": _packed(numpy_state),
        "keras": None,
    }
    global_seed = global_seed_state()
    if global_seed is not None:
        state["keras"] = pack(to_numpy(global_seed))
    state |= torch_random.capture() | tensorflow_random.capture()
    return state | ({"host": host.capture()} if with_host else {})


def check_process(state: Mapping[str, Any]) -> None:
    """Raise an error if the random state outside the model is unusable."""
    python = _python_state(state)
    random.Random().setstate(python)
    if not isinstance(python[2], float | None):
        raise TypeError("Python's next normal number is not a number")
    numpy_state = _unpacked(state["numpy"])
    bit_generator = type(np.random.get_bit_generator())()
    np.random.RandomState(bit_generator).set_state(numpy_state)
    # NumPy does not check this, and would read out of bounds.
    if not 0 <= numpy_state["state"].get("pos", 0) <= np.size(numpy_state["state"].get("key", 0)):
        raise ValueError("NumPy's position is outside its state")
    if state["keras"] is not None:
        seed = unpack(state["keras"])
        if seed.shape != _KERAS_SEED or seed.dtype.kind not in "iu":
            raise ValueError("Keras' seed is not two integers")
    torch_random.check(state)
    tensorflow_random.check(state)
    host.check(state.get("host"))


def restore_process(state: Mapping[str, Any]) -> None:
    """Restore the random state outside the model; see `capture_process`."""
    random.setstate(_python_state(state))
    np.random.set_state(_unpacked(state["numpy"]))
    if state["keras"] is not None:
        make_global_seed_state().assign(unpack(state["keras"]))
    torch_random.restore(state)
    tensorflow_random.restore(state)
    host.restore(state.get("host"))


def seed_variables(model: Any) -> list[Any]:
    """Return the state variables of the seed generators in `model`.

    Keras includes them in a model's variables, but not in its weights or metrics.
    """
    others = {id(variable) for variable in [*model.weights, *model.metrics_variables]}
    return [variable for variable in model.variables if id(variable) not in others]


def _python_state(state: Mapping[str, Any]) -> tuple[int, tuple[int, ...], float | None]:
    version, words, gauss = state["python"]
    return version, tuple(int(word) for word in unpack(words)), gauss


def _packed(state: dict[str, Any]) -> dict[str, Any]:
    inner = {
        key: {"packed": pack(value)} if isinstance(value, np.ndarray) else value
        for key, value in state["state"].items()
    }
    return state | {"state": inner}


def _unpacked(state: dict[str, Any]) -> dict[str, Any]:
    inner = {
        key: unpack(value["packed"]) if isinstance(value, dict) else value
        for key, value in state["state"].items()
    }
    return state | {"state": inner}
