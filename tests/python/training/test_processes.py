"""Several processes that train one model: only the first one writes its files."""

import os
import socket
import subprocess
import sys

import keras
import pytest

from support import training

START = {
    "torch": """
import torch
torch.distributed.init_process_group(
    "gloo", init_method=f"tcp://127.0.0.1:{port}", rank=rank, world_size=2
)
""",
    "jax": """
import jax
jax.distributed.initialize(f"127.0.0.1:{port}", num_processes=2, process_id=rank)
""",
    "tensorflow": """
import json, os
import tensorflow as tf
cluster = {"worker": [f"127.0.0.1:{port}", f"127.0.0.1:{port + 1}"]}
os.environ["TF_CONFIG"] = json.dumps(
    {"cluster": cluster, "task": {"type": "worker", "index": rank}}
)
class Strategy(tf.distribute.OneDeviceStrategy):
    cluster_resolver = tf.distribute.cluster_resolver.TFConfigClusterResolver()
tf.distribute.experimental_set_strategy(Strategy("cpu:0"))
""",
}

TRAIN = """
from support import training
from kerascheckpoint import ModelCheckpoint, list_checkpoints

checkpoint = ModelCheckpoint(f"{directory}/{rank}/m.keras", "loss", resume=True)
training.train(training.tiny_model(), checkpoint, epochs=2)
print(len(list_checkpoints(f"{directory}/{rank}")))
"""


def free_ports():
    """Return a port that is free, as the one after it is."""
    while True:
        with socket.socket() as first, socket.socket() as second:
            first.bind(("127.0.0.1", 0))
            port = first.getsockname()[1]
            try:
                second.bind(("127.0.0.1", port + 1))
            except OSError:
                continue
            return port


@pytest.mark.skipif(not hasattr(socket, "AF_INET"), reason="needs a network of its own")
def test_only_the_first_process_writes(tmp_path):
    """Each process is given a directory of its own, so that a file says who wrote it."""
    head = "import sys\nport, rank, directory = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]\n"
    code, port = head + START[keras.config.backend()] + TRAIN, free_ports()
    search = os.pathsep.join([os.path.dirname(training.__file__), os.environ["PYTHONPATH"]])
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(port), str(rank), str(tmp_path)],
            env=os.environ | {"PYTHONPATH": search},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    try:
        ended = [process.communicate(timeout=240) for process in processes]
    finally:
        for process in processes:
            process.kill()
    assert [process.returncode for process in processes] == [0, 0], ended
    assert [out for out, _ in ended] == ["1\n", "0\n"]
