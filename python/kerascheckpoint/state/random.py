"""The random state of training.

Python's, NumPy's, Keras' global one and each layer's own, the backends', the host language's.
"""

import random
from typing import Any

import numpy as np

from ..backends.arrays import to_numpy
from ..errors import CheckpointCorruptError, CheckpointMismatchError
from ..keras_seam.random_seed import global_seed_state, make_global_seed_state
from . import host, tensorflow_random, torch_random
from .packing import pack, unpack

_KERAS_SEED = (2,)  # shape of the state of a seed generator


def capture(model: Any) -> dict[str, Any]:
    """Return the random state as a JSON object."""
    layers = [pack(to_numpy(variable)) for variable in seed_variables(model)]
    return capture_process() | {"layers": layers}


def capture_process() -> dict[str, Any]:
    """Return the random state that is not the model's: of Python, NumPy, Keras and PyTorch."""
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
    return state | torch_random.capture() | tensorflow_random.capture() | {"host": host.capture()}


def check(model: Any, state: Any) -> None:
    """Try what `restore` would do, without a change to any generator.

    Raises:
        CheckpointCorruptError: If `state` is not what `capture` returns.
        CheckpointMismatchError: If it does not fit the seed generators of `model`.
    """
    try:
        _try_process(state)
        stored = [unpack(packed) for packed in state["layers"]]
    except Exception as error:
        what = f"{type(error).__name__}: {error}"
        raise CheckpointCorruptError(f"its random state is not usable ({what})") from error
    variables = seed_variables(model)
    if len(variables) != len(stored):
        raise CheckpointMismatchError(
            f"the file holds the state of {len(stored)} seed generators, the model has "
            f"{len(variables)}"
        )
    for variable, array in zip(variables, stored, strict=True):
        if array.shape != tuple(variable.shape) or array.dtype.kind not in "iu":
            raise CheckpointMismatchError(
                f"the state of the seed generator {variable.path!r} is {array.dtype.name} of shape "
                f"{array.shape} in the file and {variable.dtype} of shape {tuple(variable.shape)} "
                "in the model"
            )


def _try_process(state: dict[str, Any]) -> None:
    """Raise whatever is wrong with the state that is not the model's."""
    python = _python_state(state)
    random.Random().setstate(python)
    if not isinstance(python[2], float | None):
        raise TypeError("Python's next normal number is none")
    numpy_state = _unpacked(state["numpy"])
    bit_generator = type(np.random.get_bit_generator())()
    np.random.RandomState(bit_generator).set_state(numpy_state)
    # NumPy itself would read outside of its memory.
    if not 0 <= numpy_state["state"].get("pos", 0) <= np.size(numpy_state["state"].get("key", 0)):
        raise ValueError("NumPy's position is outside of its state")
    if state["keras"] is not None:
        seed = unpack(state["keras"])
        if seed.shape != _KERAS_SEED or seed.dtype.kind not in "iu":
            raise ValueError("Keras' seed is not two whole numbers")
    torch_random.check(state)
    tensorflow_random.check(state)
    host.check(state.get("host"))


def restore(model: Any, state: dict[str, Any]) -> None:
    """Put the random state back."""
    for variable, stored in zip(seed_variables(model), state["layers"], strict=True):
        variable.assign(unpack(stored))
    restore_process(state)


def restore_process(state: dict[str, Any]) -> None:
    """Put the random state back that is not the model's, as `capture` lists it."""
    random.setstate(_python_state(state))
    np.random.set_state(_unpacked(state["numpy"]))
    if state["keras"] is not None:
        make_global_seed_state().assign(unpack(state["keras"]))
    torch_random.restore(state)
    tensorflow_random.restore(state)
    host.restore(state.get("host"))


def seed_variables(model: Any) -> list[Any]:
    """Return the states of the seed generators in `model`.

    Keras counts them among a model's variables, but not among its weights or metrics.
    """
    others = {id(variable) for variable in [*model.weights, *model.metrics_variables]}
    return [variable for variable in model.variables if id(variable) not in others]


def _python_state(state: dict[str, Any]) -> tuple[int, tuple[int, ...], float | None]:
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


class RandomState:
    """The random state of the model and of the process."""

    def __init__(self, model: Any, state: dict[str, Any]) -> None:
        check(model, state)
        self._model, self._state = model, state
        self._before = capture(model)

    def load(self) -> None:
        """Take the state from the file."""
        restore(self._model, self._state)

    def roll_back(self) -> list[str]:
        """Put back what was there before."""
        restore(self._model, self._before)
        return []
