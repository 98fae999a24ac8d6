"""Two real processes that train one model, started by each framework's own means."""

import json
import os
import socket
import subprocess
import sys
from typing import Any

import keras

HERE = os.path.dirname(os.path.dirname(__file__))

ON_PROCESSOR = {"JAX_PLATFORMS": "cpu", "KERAS_TORCH_DEVICE": "cpu"}  # two cannot share one GPU

HEAD = """
import contextlib, faulthandler, json, os, sys
faulthandler.dump_traceback_later(200, exit=True)
strategy, scope = None, contextlib.nullcontext()
rank, count, ports, devices, arguments = json.loads(sys.argv[1])
"""

START = {
    "jax": """
os.environ["XLA_FLAGS"] = f"--xla_force_host_platform_device_count={devices}"
import jax
jax.config.update("jax_cpu_collectives_implementation", "gloo")
if count > 1:
    jax.distributed.initialize(f"127.0.0.1:{ports[0]}", num_processes=count, process_id=rank)
assert jax.process_count() == count and jax.device_count() == count * devices
""",
    "torch": """
import torch
address = f"tcp://127.0.0.1:{ports[0]}"
torch.distributed.init_process_group("gloo", init_method=address, rank=rank, world_size=count)
""",
    "tensorflow": """
cluster = {"worker": [f"127.0.0.1:{port}" for port in ports]}
task = {"type": "worker", "index": rank}
os.environ["TF_CONFIG"] = json.dumps({"cluster": cluster, "task": task})
import tensorflow as tf
strategy = tf.distribute.MultiWorkerMirroredStrategy()
scope = strategy.scope()
""",
}


def free_ports(count: int) -> list[int]:
    """Return ports that nobody uses at this moment."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]
    finally:
        for one in sockets:
            one.close()


def start(
    code: str, *arguments: Any, count: int = 2, devices: int = 1
) -> "list[subprocess.Popen[str]]":
    """Start `count` processes that run `code` with `devices` devices each (JAX)."""
    text, ports = HEAD + START[keras.config.backend()] + code, free_ports(count)
    path = [HERE, os.environ["PYTHONPATH"]]
    return [
        subprocess.Popen(
            [sys.executable, "-c", text, json.dumps([rank, count, ports, devices, arguments])],
            env=os.environ | ON_PROCESSOR | {"PYTHONPATH": os.pathsep.join(path)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(count)
    ]


def finish(started: "list[subprocess.Popen[str]]") -> list[tuple[int, str, str]]:
    """Wait for processes; return the code, output and errors of each. None is left behind."""
    try:
        ended = [process.communicate(timeout=240) for process in started]
    finally:
        for process in started:
            process.kill()
    codes = [process.returncode for process in started]
    return [(code, *texts) for code, texts in zip(codes, ended, strict=True)]


def run(code: str, *arguments: Any, count: int = 2, devices: int = 1) -> list[str]:
    """Run `code` in processes that all have to succeed; return their outputs."""
    ended = finish(start(code, *arguments, count=count, devices=devices))
    assert [code for code, _, _ in ended] == [0] * count, "\n".join(text for *_, text in ended)
    return [output for _, output, _ in ended]


def run_two(code: str, *arguments: Any) -> list[str]:
    """Run `code` in two processes that both have to succeed; return their outputs."""
    return run(code, *arguments, count=2)
