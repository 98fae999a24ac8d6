"""Train one model in several processes, on one host or on many, with JAX.

Every process has a copy of the weights and trains on its own part of each batch. All of them run
this same script with the same callback: the first process writes, the others do not wait for it,
and with `resume=True` all of them go on from the same file.

On each host, with the address of the first one:
    python several_hosts.py DIRECTORY --coordinator HOST:PORT --processes 2 --process 0
    python several_hosts.py DIRECTORY --coordinator HOST:PORT --processes 2 --process 1
Without these options, the script starts two processes on this machine:
    python several_hosts.py [DIRECTORY]
DIRECTORY is on a disk that all hosts share, or a URL.
"""

import argparse
import os
import socket
import subprocess
import sys
import tempfile

os.environ["KERAS_BACKEND"] = "jax"


def train(directory: str, coordinator: str, processes: int, process: int) -> None:
    """Take part in the training as one of its processes."""
    import jax

    jax.config.update("jax_cpu_collectives_implementation", "gloo")  # GPUs need no such line
    jax.distributed.initialize(coordinator, num_processes=processes, process_id=process)

    import keras
    import numpy as np

    from kerascheckpoint import ModelCheckpoint

    keras.distribution.set_distribution(keras.distribution.DataParallel(auto_shard_dataset=False))
    keras.utils.set_random_seed(1)
    x = np.random.normal(size=(256, 8)).astype("float32")
    y = x.sum(axis=1, keepdims=True)
    mine = slice(process, None, processes)  # this process's part of the data

    model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(16), keras.layers.Dense(1)])
    model.compile("adam", "mse")
    checkpoint = ModelCheckpoint(
        os.path.join(directory, "{epoch:02d}.keras"), monitor="loss", keep_last=2, resume=True
    )
    model.fit(x[mine], y[mine], batch_size=16, epochs=3, verbose=0, callbacks=[checkpoint])
    print(f"process {process} wrote {checkpoint.last_filepath}", flush=True)


def start_two(directory: str) -> int:
    """Start two processes on this machine and wait for both; return 0 if both succeed."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        coordinator = f"127.0.0.1:{free.getsockname()[1]}"
    command = [sys.executable, __file__, directory, "--coordinator", coordinator]
    started = [
        subprocess.Popen([*command, "--processes", "2", "--process", str(process)])
        for process in range(2)
    ]
    return max(process.wait() for process in started)


def main() -> int:
    """Take part in a training, or start one."""
    parser = argparse.ArgumentParser()
    parser.add_argument("directory", nargs="?", default=tempfile.mkdtemp(prefix="run-"))
    parser.add_argument("--coordinator")
    parser.add_argument("--processes", type=int)
    parser.add_argument("--process", type=int)
    given = parser.parse_args()
    if given.coordinator is None:
        return start_two(given.directory)
    train(given.directory, given.coordinator, given.processes, given.process)
    return 0


if __name__ == "__main__":
    sys.exit(main())
