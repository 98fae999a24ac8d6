"""PyTorch's random state: of the CPU, each GPU in use, and Apple GPUs.

It matters on every Keras backend, because a PyTorch `DataLoader` draws its order from it.
"""

import sys
from collections.abc import Iterable, Mapping
from typing import Any

from .packing import pack, unpack


def capture() -> dict[str, Any]:
    """Return the states as a JSON object, which is empty if PyTorch is not imported."""
    torch = sys.modules.get("torch")
    if torch is None:
        return {}
    state: dict[str, Any] = {"torch": pack(torch.get_rng_state().numpy())}
    # Asking for a GPU's state would initialize CUDA, which a run on the CPU does not need.
    if torch.cuda.is_available() and torch.cuda.is_initialized():
        state["torch_cuda"] = [pack(one.cpu().numpy()) for one in torch.cuda.get_rng_state_all()]
    if torch.backends.mps.is_available():
        state["torch_mps"] = pack(torch.mps.get_rng_state().cpu().numpy())
    return state


def check(state: Mapping[str, Any]) -> None:
    """Raise an error if a state is unusable, without changing any generator."""
    torch: Any = sys.modules.get("torch")
    for packed in _stored_states(state):
        array = unpack(packed)
        if array.dtype.name != "uint8" or array.ndim != 1:
            raise ValueError("PyTorch's random state is not an array of bytes")
    if torch is None:
        return
    if "torch" in state:
        torch.Generator().set_state(torch.from_numpy(unpack(state["torch"])))
    for device, stored in _gpu_states(torch, state):
        torch.Generator(device=device).set_state(stored)


def restore(state: Mapping[str, Any]) -> None:
    """Restore the states of the CPU and of the GPUs that this machine has."""
    torch: Any = sys.modules.get("torch")
    if torch is None:
        return
    if "torch" in state:
        torch.set_rng_state(torch.from_numpy(unpack(state["torch"])))
    for device, stored in _gpu_states(torch, state):
        torch.cuda.set_rng_state(stored, device)
    if "torch_mps" in state and torch.backends.mps.is_available():
        torch.mps.set_rng_state(torch.from_numpy(unpack(state["torch_mps"])))


def _stored_states(state: Mapping[str, Any]) -> list[Any]:
    names = [name for name in ("torch", "torch_mps") if name in state]
    return [*(state[name] for name in names), *state.get("torch_cuda", [])]


def _gpu_states(torch: Any, state: Mapping[str, Any]) -> Iterable[tuple[str, Any]]:
    """Yield the name and the stored state of each GPU that this machine still has."""
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    for index, packed in enumerate(state.get("torch_cuda", [])[:count]):
        yield f"cuda:{index}", torch.from_numpy(unpack(packed))
