"""Find, when training begins, what a resume could not reproduce exactly."""

import os
import sys
from collections.abc import Iterator
from typing import Any

from ..keras_seam.fit_control import callbacks_of_fit, data_of_fit, epoch_iterator
from ..keras_seam.generator_data import DRAWS_AHEAD, trains_on_generator
from ..keras_seam.private import BACKEND, VERSION
from ..keras_seam.r_generator import r_generator
from ..notify import Once
from ..state import callbacks as callback_states
from ..state import host, tensorflow_random


def warn_of_inexact(model: Any, once: Once) -> None:
    """Warn once of everything that a resume of this `fit` could not reproduce, with the remedies.

    Args:
        model: The model in training.
        once: Gives each warning once.
    """
    adapter = data_of_fit(model)
    found = [
        *_pipelines(adapter),
        *_workers(adapter),
        *_generators(model),
        *_in_older_keras(model, adapter),
        *_logs(model),
        *_kernels(),
    ]
    if found:
        text = "; ".join(found)
        once.warn("inexact", f"a resume of this training will not be bit-exact: {text}")


def _generators(model: Any) -> Iterator[str]:
    """Describe a generator, drawn ahead of training, that may call R in a way that is unknown."""
    is_ahead = host.is_there() and DRAWS_AHEAD and trains_on_generator(model)
    if is_ahead and r_generator(model) is None:
        yield (
            "R's random numbers, if the Python generator uses them, start again (pass the R "
            "function itself to fit(), or train on JAX or PyTorch)"
        )


def _in_older_keras(model: Any, adapter: Any) -> Iterator[str]:
    """Describe data whose order cannot be saved in Keras before 3.6."""
    if VERSION >= (3, 6):
        return
    kind, dataset = type(adapter).__name__, getattr(adapter, "py_dataset", None)
    has_steps = getattr(epoch_iterator(model), "steps_per_epoch", None)
    if has_steps and kind == "ArrayDataAdapter" and adapter._shuffle:
        yield "shuffled arrays with steps_per_epoch get another order (update Keras to 3.6)"
    if kind == "GeneratorDataAdapter":
        yield (
            "a generator that draws from the random numbers of Python or NumPy gets others (give "
            "it random numbers of its own, or update Keras to 3.6)"
        )
    if dataset is not None and (dataset.workers > 1 or dataset.use_multiprocessing):
        yield (
            "the order in which workers compute a PyDataset depends on time (pass workers=1, or "
            "update Keras to 3.6)"
        )


def _workers(adapter: Any) -> Iterator[str]:
    """Describe a PyTorch loader whose workers have random numbers that are lost with them.

    Other workers start again in each epoch, with a seed that a resume restores.
    """
    loader: Any = getattr(adapter, "_dataloader", None)
    if not getattr(loader, "num_workers", 0):
        return
    lasting, has_state = loader.persistent_workers, hasattr(loader, "state_dict")
    if lasting or has_state:
        change = "persistent_workers=False" if lasting and not has_state else "num_workers=0"
        yield (
            f"the random numbers of the workers of the {type(loader).__name__} start again (pass "
            f"{change}, or give each sample its own seed)"
        )


def _pipelines(adapter: Any) -> Iterator[str]:
    """Describe a `tf.data` pipeline whose `shuffle` has no seed, neither local nor global."""
    pending = [getattr(adapter, "_dataset", None)]
    while pending:
        dataset = pending.pop()
        if type(dataset).__name__ == "_ShuffleDataset" and not _has_seed(dataset):
            yield (
                "the tf.data pipeline shuffles without a seed (pass seed= to shuffle(), or call "
                "keras.utils.set_random_seed() first)"
            )
            return
        inputs = getattr(dataset, "_inputs", None)
        pending += inputs() if callable(inputs) else []


def _has_seed(dataset: Any) -> bool:
    """Tell whether a shuffle has a seed; TensorFlow stores two zeros if not."""
    if tensorflow_random.has_global_seed():
        return True
    seeds = [getattr(dataset, name, None) for name in ("_seed", "_seed2")]
    return None in seeds or any(int(seed) for seed in seeds if seed is not None)


def _logs(model: Any) -> Iterator[str]:
    for callback in callbacks_of_fit(model):
        if callback_states.keras_class(callback) == "CSVLogger" and not callback.append:
            yield (
                f"CSVLogger overwrites {callback.filename!r} in each run (pass append=True to "
                "keep the rows of earlier epochs)"
            )


def _kernels() -> Iterator[str]:
    """Describe GPU kernels that may sum in varying order."""
    if BACKEND == "torch":
        torch: Any = sys.modules["torch"]
        is_free = torch.cuda.is_available() and not torch.are_deterministic_algorithms_enabled()
        how = "torch.use_deterministic_algorithms(True)"
    elif BACKEND == "tensorflow":
        import tensorflow as tf

        has_gpu = bool(tf.config.list_logical_devices("GPU"))
        is_free = has_gpu and not tensorflow_random.is_deterministic()
        how = "tf.config.experimental.enable_op_determinism()"
    elif BACKEND == "jax":
        import jax

        flags = os.environ.get("XLA_FLAGS", "")
        is_free = jax.default_backend() == "gpu" and "xla_gpu_deterministic_ops=true" not in flags
        how = "the environment variable XLA_FLAGS=--xla_gpu_deterministic_ops=true"
    else:
        return
    if is_free:
        yield f"GPU kernels may sum in a different order each time (to prevent that: {how})"
