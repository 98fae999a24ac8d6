"""What a device can do at best: a copy of the state on it, and one to pinned memory of the host."""

from collections.abc import Callable
from typing import Any


def copy_actions(model: Any) -> tuple[Callable[[], Any], Callable[[], Any]]:
    """Return a copy of a model's state on its device and one to the host, both waited for."""
    import keras

    from kerascheckpoint.backends.arrays import backend, is_on_device
    from kerascheckpoint.snapshot.capture import state_variables
    from kerascheckpoint.snapshot.device_copy import size_of
    from kerascheckpoint.snapshot.memory_layout import memory_for, place_arrays

    variables = state_variables(model)
    on_gpu = {name: each for name, each in variables.items() if is_on_device(each)}
    variables = on_gpu or variables  # a framework may keep counters in the host's memory
    sizes = {name: size_of(variable) for name, variable in variables.items()}
    places, size = list(place_arrays(sizes, {}).values()), memory_for(sizes.values())
    copier = backend().new_copier()
    is_torch = keras.config.backend() == "torch"

    def values() -> list[Any]:
        return [v.value.detach() if is_torch else v.value for v in variables.values()]

    def on_device() -> None:
        copies = copier.copy(values())
        wait_for_device(copies)
        copies.release()

    def to_host() -> None:
        transfer = copier.to_host(values(), places, size)
        transfer.wait()
        transfer.release()

    return on_device, to_host


def wait_for_device(copies: Any) -> None:
    """Wait until the device has done what it was told."""
    import keras

    if keras.config.backend() == "jax":
        import jax

        jax.block_until_ready(copies._copies)
    else:
        import torch

        if torch.cuda.is_available():
            torch.cuda.synchronize()
