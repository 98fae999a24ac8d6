"""TensorFlow's random state: the global generator and the generator of operation seeds.

TensorFlow has no public API that returns either without creating it. Seen in TensorFlow 2.16 to
2.21; if its modules differ, nothing is captured.
"""

import os
import sys
from collections.abc import Mapping
from typing import Any

import numpy as np

from .packing import pack, unpack

_GENERATOR_MODULE = "tensorflow.python.ops.stateful_random_ops"
_CONTEXT_MODULE = "tensorflow.python.eager.context"


def capture() -> dict[str, Any]:
    """Return the states as a JSON object, which is empty if TensorFlow is not in use."""
    state: dict[str, Any] = {}
    generator = _global_generator()
    if generator is not None:
        numbers = generator.state.numpy()
        state["tensorflow_generator"] = {
            "algorithm": int(generator.algorithm),
            "state": pack(numbers),
        }
    seeds = _operation_seeds()
    if seeds is not None:
        version, words, gauss = seeds.getstate()
        packed = pack(np.array(words, np.uint64))
        state["tensorflow_operations"] = {"seed": _global_seed(), "state": [version, packed, gauss]}
    return state


def check(state: Mapping[str, Any]) -> None:
    """Raise an error if a state is unusable, without changing any generator."""
    if "tensorflow_generator" in state:
        generator = state["tensorflow_generator"]
        numbers = unpack(generator["state"])
        if numbers.dtype.name != "int64" or numbers.shape not in ((2,), (3,)):
            raise ValueError("the state of TensorFlow's generator is not two or three integers")
        if type(generator["algorithm"]) is not int:
            raise ValueError("TensorFlow's generator has no algorithm")
    if "tensorflow_operations" in state:
        import random

        random.Random().setstate(_python_state(state["tensorflow_operations"]["state"]))


def restore(state: Mapping[str, Any]) -> None:
    """Restore the states, if TensorFlow is in use."""
    if "tensorflow_generator" in state and "tensorflow" in sys.modules:
        _restore_generator(**state["tensorflow_generator"])
    operations = state.get("tensorflow_operations")
    if operations is None or _CONTEXT_MODULE not in sys.modules:
        return
    # Operation seeds follow from the global one. Setting it again also forgets the counters of the
    # operations that have drawn numbers with these seeds since the save.
    sys.modules[_CONTEXT_MODULE].set_global_seed(operations["seed"])
    seeds = _operation_seeds()
    if seeds is not None:
        seeds.setstate(_python_state(operations["state"]))


def _restore_generator(algorithm: int, state: Any) -> None:
    import tensorflow as tf

    generator, numbers = _global_generator(), unpack(state)
    if generator is not None and (int(generator.algorithm), tuple(generator.state.shape)) == (
        algorithm,
        numbers.shape,
    ):
        generator.reset(numbers)  # functions that were already traced use this object
    else:
        tf.random.set_global_generator(tf.random.Generator.from_state(numbers, algorithm))


def _global_generator() -> Any:
    """Return the global generator, or `None` if nothing has used it."""
    return getattr(sys.modules.get(_GENERATOR_MODULE), "global_generator", None)


def _operation_seeds() -> Any:
    """Return the Python generator of operation seeds, or `None` without a global seed."""
    if _global_seed() is None:
        return None
    context = sys.modules[_CONTEXT_MODULE].context()
    seeds = getattr(context, "_rng", None)
    return seeds if hasattr(seeds, "getstate") else None


def _global_seed() -> int | None:
    find = getattr(sys.modules.get(_CONTEXT_MODULE), "global_seed", None)
    return None if find is None else find()


def _python_state(state: list[Any]) -> tuple[int, tuple[int, ...], float | None]:
    version, words, gauss = state
    return version, tuple(int(word) for word in unpack(words)), gauss


def has_global_seed() -> bool:
    """Tell whether TensorFlow has a global seed."""
    return _global_seed() is not None


def is_deterministic() -> bool:
    """Tell whether the script has enabled deterministic operations."""
    import tensorflow as tf

    ask = getattr(tf.config.experimental, "is_op_determinism_enabled", None)
    return bool(ask()) if ask else os.environ.get("TF_DETERMINISTIC_OPS") == "1"
