"""How far a save raises the memory of the process and of its GPU."""

from collections.abc import Callable
from typing import Any


class Peak:
    """Remembers the memory in use when it was made, and tells how far the peak has risen since."""

    def __init__(self) -> None:
        self._host = _restart_peak()
        self._device = _device_peak(restart=True)

    def host(self) -> int:
        """Return bytes of resident memory; 0 where the system does not tell (Linux does)."""
        return max(0, _status("VmHWM") - self._host) if self._host else 0

    def device(self) -> int:
        """Return bytes on the first GPU; 0 without one.

        JAX cannot restart its peak: what training needed before counts as free.
        """
        return max(0, _device_peak() - self._device)


def peak_of(action: Callable[[], Any]) -> int:
    """Return how far the process's resident memory rises while `action` runs."""
    peak = Peak()
    action()
    return peak.host()


def _restart_peak() -> int:
    """Forget the peak so far and return the bytes in use."""
    try:
        with open("/proc/self/clear_refs", "w") as file:
            file.write("5")
    except OSError:
        return 0
    return _status("VmRSS")


def _status(field: str) -> int:
    """Return a field of /proc/self/status, in bytes."""
    with open("/proc/self/status") as file:
        line = next(line for line in file if line.startswith(field))
    return int(line.split()[1]) * 1024


def _device_peak(*, restart: bool = False) -> int:
    import keras

    if keras.config.backend() == "jax":
        import jax

        stats = jax.local_devices()[0].memory_stats() or {}
        return int(stats.get("peak_bytes_in_use", 0))
    if keras.config.backend() == "torch":
        import torch

        if torch.cuda.is_available():
            if restart:
                torch.cuda.reset_peak_memory_stats()
            return int(torch.cuda.max_memory_allocated())
    return 0
