"""Let the processor count as a device, so that the code for GPUs runs without one."""

import contextlib
import importlib
from collections.abc import Iterator
from typing import Any

import keras

from kerascheckpoint.snapshot import device_copy

ROUTES = ("copied", "straight")  # a copy on the device first, or to the host at once


@contextlib.contextmanager
def processor_as_device(route: str = "copied") -> Iterator[None]:
    """Treat all arrays of the backend as if they lay on a device, with room for copies or none."""
    backend = importlib.import_module(f"kerascheckpoint.backends.{keras.config.backend()}")
    before = backend.is_on_device, device_copy.fits
    backend.is_on_device = is_tensor  # type: ignore[attr-defined]
    device_copy.fits = lambda room: route == "copied"
    try:
        yield
    finally:
        backend.is_on_device, device_copy.fits = before  # type: ignore[attr-defined]


def is_tensor(value: Any) -> bool:
    """Tell whether a value is the backend's own."""
    return bool(keras.ops.is_tensor(value))
