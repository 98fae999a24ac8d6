"""The global seed of TensorFlow, from which the seeds of its operations follow."""

from typing import Any


def get() -> int | None:
    """Return the global seed, `None` if no script has set one.

    TensorFlow has no public way to ask. Seen in TensorFlow 2.16 to 2.21.
    """
    try:
        from tensorflow.python.eager import context
    except ImportError:
        return None
    seed: Any = context.global_seed()
    return None if seed is None else int(seed)


def set(seed: int) -> None:
    """Set the global seed."""
    import tensorflow as tf

    tf.random.set_seed(seed)
