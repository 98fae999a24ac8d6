"""Several processes that train one model into one directory: one of them writes, none waits.

Each framework's own means to start such a training is used, with two processes on this machine.
"""

import json
import os
import socket
import subprocess
import sys

import keras
import pytest

from kerascheckpoint import list_checkpoints, verify_checkpoint
from support import training

START = {
    "jax": """
import jax
address = f"127.0.0.1:{ports[0]}"
jax.config.update("jax_cpu_collectives_implementation", "gloo")
jax.distributed.initialize(address, num_processes=2, process_id=rank)
assert jax.process_count() == 2
import inspect
import keras
parallel = keras.distribution.DataParallel  # an older Keras never splits the data itself
names = inspect.signature(parallel.__init__).parameters
settings = {"auto_shard_dataset": False} if "auto_shard_dataset" in names else {}
keras.distribution.set_distribution(parallel(**settings))
keras.utils.set_random_seed(1)
""",
    "torch": """
import torch
address = f"tcp://127.0.0.1:{ports[0]}"
torch.distributed.init_process_group("gloo", init_method=address, rank=rank, world_size=2)
""",
    "tensorflow": """
import os
cluster = {"worker": [f"127.0.0.1:{port}" for port in ports]}
task = {"type": "worker", "index": rank}
os.environ["TF_CONFIG"] = json.dumps({"cluster": cluster, "task": task})
import tensorflow as tf
scope = tf.distribute.MultiWorkerMirroredStrategy().scope()
""",
}

TRAIN = """
from support import training
from kerascheckpoint import ModelCheckpoint

with scope:
    model = training.tiny_model()
saving = ModelCheckpoint(
    template, monitor="loss", mode="min", save_best_only=True, keep_last=2,
    save_freq=freq, save_on_background=background, resume=resume,
)
training.train(model, saving, epochs=epochs)
print(json.dumps({"rank": rank, "last": saving.last_filepath, "best": saving.best}))
"""

HEAD = """
import contextlib, json, sys
scope = contextlib.nullcontext()
rank, ports, template, epochs, freq, background, resume = json.loads(sys.argv[1])
"""


def free_ports(count):
    """Return ports that nobody uses at this moment."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]
    finally:
        for one in sockets:
            one.close()


def train_in_two(template, *, epochs=3, freq="epoch", background=False, resume=False):
    """Train in two processes; return what each says, the first one first."""
    code, ports = HEAD + START[keras.config.backend()] + TRAIN, free_ports(2)
    processes = []
    for rank in range(2):
        settings = json.dumps([rank, ports, str(template), epochs, freq, background, resume])
        processes.append(
            subprocess.Popen(
                [sys.executable, "-c", code, settings],
                cwd=os.path.dirname(__file__),
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
        )
    try:
        ended = [process.communicate(timeout=240) for process in processes]
    finally:
        for process in processes:
            process.kill()
    skip_where_it_cannot_run([error for _, error in ended])
    assert [process.returncode for process in processes] == [0, 0], ended
    return [json.loads(output.splitlines()[-1]) for output, _ in ended]


def skip_where_it_cannot_run(errors):
    """Skip where two processes cannot train whatever callbacks there are.

    Keras 3 hands TensorFlow's `PerReplica` values to functions that do not know them, as soon as a
    MultiWorkerMirroredStrategy has more than one worker.
    """
    for reason in ("PerReplica", "Operation not permitted"):
        lines = [line for error in errors for line in error.splitlines() if reason in line]
        if lines:
            pytest.skip(f"two processes cannot train here: {lines[-1].strip()[:120]}")


@pytest.mark.parametrize("background", [False, True], ids=["foreground", "background"])
def test_only_the_first_process_writes_and_deletes(background, tmp_path):
    """Two that wrote would wear out the disk, and delete each other's files."""
    first, second = train_in_two(tmp_path / "{epoch}.keras", background=background)
    assert first["last"] == str(tmp_path / "3.keras")
    assert second["last"] is None
    names = training.names_in(tmp_path)
    assert names == ["2.keras", "3.keras"]
    for name in names:
        verify_checkpoint(tmp_path / name)
        keras.saving.load_model(tmp_path / name)


def test_both_processes_go_on_from_what_the_first_one_wrote(tmp_path):
    """A resumed training has all of its processes at the same epoch."""
    template = tmp_path / "{epoch}.weights.keras"
    train_in_two(template, epochs=2)
    first, second = train_in_two(template, epochs=3, resume=True)
    assert first["last"] == str(tmp_path / "3.weights.keras")
    assert second["last"] is None
    assert [info.epoch for info in list_checkpoints(tmp_path)] == [2, 3]
