"""What the benchmarks compare with, besides Keras' own callback."""

import atexit
import importlib.util
import shutil
import subprocess
from typing import Any


def why_not_orbax() -> str:
    """Return why Keras' callback of Orbax cannot run, or nothing."""
    import keras

    if not hasattr(keras.callbacks, "OrbaxCheckpoint"):
        return f"Keras {keras.__version__} has no OrbaxCheckpoint"
    if importlib.util.find_spec("orbax") is None:
        return "Orbax is not installed (pip install orbax-checkpoint)"
    return ""


class Orbax:
    """Saves by Keras' callback that writes in the background through Orbax."""

    def __init__(self, model: Any, path: str) -> None:
        self._callback = orbax_callback(path)
        self._callback.set_model(model)
        self._epoch = 0

    def save(self) -> None:
        """Begin a save."""
        self._callback.on_epoch_end(self._epoch)
        self._epoch += 1

    def finish(self) -> None:
        """Wait until it is on the disk."""
        self._callback.wait_until_finished()


def orbax_callback(path: str) -> Any:
    """Return Keras' callback."""
    import keras

    shutil.rmtree(path, ignore_errors=True)
    return keras.callbacks.OrbaxCheckpoint(path, save_on_background=True, max_to_keep=1)


class DistributedCheckpoint:
    """Saves through `torch.distributed.checkpoint.async_save`, as one process of one."""

    def __init__(self, model: Any, path: str, *, with_stager: bool = False) -> None:
        """Take the model and the path.

        With a stager, PyTorch copies to pinned memory in a thread. Training must not change a
        weight before that is done, so `save` waits for it.
        """
        import torch.distributed as distributed

        if not distributed.is_initialized():
            store = distributed.HashStore()
            distributed.init_process_group("gloo", store=store, rank=0, world_size=1)
        self._settings: dict[str, Any] = {}
        if with_stager:
            from torch.distributed.checkpoint.staging import DefaultStager

            stager = DefaultStager()
            atexit.register(stager.close)
            self._settings = {"async_stager": stager}
        self._model, self._path = model, path
        self._running: Any = None
        self._made = 0

    def save(self) -> None:
        """Begin a save; wait for the one before first, as the function itself demands."""
        import torch.distributed.checkpoint as dcp

        from kerascheckpoint.snapshot.capture import state_variables

        self.finish()
        shutil.rmtree(f"{self._path}{self._made - 1}", ignore_errors=True)
        variables = state_variables(self._model)
        state = {name: variable.value.detach() for name, variable in variables.items()}
        path = f"{self._path}{self._made}"
        answer = dcp.async_save(state, checkpoint_id=path, **self._settings)
        self._running = getattr(answer, "upload_completion", answer)
        if answer is not self._running:
            answer.staging_completion.result()
        self._made += 1

    def finish(self) -> None:
        """Wait until the last save is on the disk."""
        if self._running is not None:
            self._running.result()
            self._running = None

    def callback(self) -> Any:
        """Return a callback that saves at each epoch's end."""
        import keras

        return keras.callbacks.LambdaCallback(
            on_epoch_end=lambda epoch, logs: self.save(),
            on_train_end=lambda logs: self.finish(),
        )


def dd_callback(path: str, size: int) -> Any:
    """Return a callback that lets `dd` write so many bytes past the cache at each epoch's end.

    What this costs a `fit` is the disk's part, which no way to write behind the training avoids.
    """
    import keras

    # A file written over in place would find its blocks ready.
    how = "bs=8M iflag=count_bytes oflag=direct conv=fsync"
    script = f'rm -f "$0" && dd if=/dev/zero of="$0" count="$1" {how}'
    command = ["sh", "-c", script, path, str(size)]
    running: list[subprocess.Popen[bytes]] = []

    def finish() -> None:
        if running and running.pop().wait():
            raise OSError(f"{command} failed")

    class Disk(keras.callbacks.Callback):  # type: ignore[misc]
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            finish()
            running.append(subprocess.Popen(command, stderr=subprocess.DEVNULL))

        def on_train_end(self, logs: Any = None) -> None:
            finish()

    return Disk()
