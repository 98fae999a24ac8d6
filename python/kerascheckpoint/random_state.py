"""The random state of training: Python's, NumPy's, Keras' global one and each layer's own."""

import base64
import random
from typing import Any

import numpy as np

from . import keras_compat
from .errors import CheckpointMismatchError


def capture(model: Any) -> dict[str, Any]:
    """Return the random state as a JSON object."""
    version, words, gauss = random.getstate()
    numpy_state: Any = np.random.get_state(legacy=False)
    state = {
        "python": [version, pack(np.array(words, np.uint64)), gauss],
        "numpy": _packed(numpy_state),
        "keras": None,
        "layers": [pack(keras_compat.to_numpy(variable)) for variable in seed_variables(model)],
    }
    global_seed = keras_compat.global_seed_state()
    if global_seed is not None:
        state["keras"] = pack(keras_compat.to_numpy(global_seed))
    if keras_compat.BACKEND == "torch":
        import torch

        state["torch"] = pack(torch.get_rng_state().numpy())
    return state


def check(model: Any, state: dict[str, Any]) -> None:
    """Raise a CheckpointMismatchError unless `state` fits the seed generators of `model`."""
    present, stored = len(seed_variables(model)), len(state["layers"])
    if present != stored:
        raise CheckpointMismatchError(
            f"the file holds the state of {stored} seed generators, the model has {present}"
        )


def restore(model: Any, state: dict[str, Any]) -> None:
    """Put the random state back."""
    for variable, stored in zip(seed_variables(model), state["layers"], strict=True):
        variable.assign(unpack(stored))
    restore_process(state)


def restore_process(state: dict[str, Any]) -> None:
    """Put the random state back that is not the model's: of Python, NumPy, Keras and PyTorch."""
    version, words, gauss = state["python"]
    random.setstate((version, tuple(int(word) for word in unpack(words)), gauss))
    np.random.set_state(_unpacked(state["numpy"]))
    if state["keras"] is not None:
        keras_compat.make_global_seed_state().assign(unpack(state["keras"]))
    if keras_compat.BACKEND == "torch" and "torch" in state:
        import torch

        torch.set_rng_state(torch.from_numpy(unpack(state["torch"])))


def seed_variables(model: Any) -> list[Any]:
    """Return the states of the seed generators in `model`.

    Keras counts them among a model's variables, but not among its weights or metrics.
    """
    others = {id(variable) for variable in [*model.weights, *model.metrics_variables]}
    return [variable for variable in model.variables if id(variable) not in others]


def pack(array: Any) -> list[Any]:
    """Write an array, bit for bit, as a JSON value: dtype, shape and base64 text."""
    text = base64.b64encode(array.tobytes()).decode()
    return [array.dtype.name, list(array.shape), text]


def unpack(packed: list[Any]) -> Any:
    """Read what `pack` wrote."""
    name, shape, text = packed
    if name == "bfloat16":
        import ml_dtypes

        name = ml_dtypes.bfloat16
    return np.frombuffer(base64.b64decode(text), np.dtype(name)).reshape(shape).copy()


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
