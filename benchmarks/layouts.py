"""Move a spread model between layouts: SHA-256 of every array, and the memory that it takes.

Two processes with two devices each train and save a `.orbax` checkpoint. One process with eight
devices restores and saves it, then one with a single device, then two with two devices each. The
devices are the processor's. The peak is what a process held beyond its own part of the model while
it restored.
"""

import argparse
import hashlib
import json
import os
import re
import socket
import subprocess
import sys
import tempfile
from typing import Any

HERE = os.path.abspath(__file__)
LAYOUTS = ((2, 2), (1, 8), (1, 1), (2, 2))  # processes, and devices of each


def main() -> None:
    """Run each layout in processes of its own, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--megabytes", type=int, default=256, help="size of weights and optimizer")
    parser.add_argument("--child", nargs=6, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        process, count, port, devices, source, target = options.child
        begin(int(process), int(count), port, int(devices))
        json.dump(move(options.megabytes, source, target), sys.stdout)
        return
    with tempfile.TemporaryDirectory() as directory:
        rows, source = [], ""
        for number, (count, devices) in enumerate(LAYOUTS):
            target = os.path.join(directory, f"{number}.orbax")
            rows.append((count, devices, _run(count, devices, options.megabytes, source, target)))
            source = target
    show(rows)


def _run(count: int, devices: int, megabytes: int, source: str, target: str) -> list[Any]:
    """Return what each process of a layout says."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    flags = f"--xla_force_host_platform_device_count={devices}"
    settings = {"KERAS_BACKEND": "jax", "XLA_FLAGS": flags, "TF_CPP_MIN_LOG_LEVEL": "3"}
    settings["MALLOC_MMAP_THRESHOLD_"] = str(1 << 18)  # else freed arrays may go on counting
    rest = [str(count), port, str(devices), source, target]
    command = [sys.executable, HERE, "--megabytes", str(megabytes), "--child"]
    started = [
        subprocess.Popen(
            [*command, str(process), *rest], env=os.environ | settings, stdout=subprocess.PIPE
        )
        for process in range(count)
    ]
    outputs = [process.communicate(timeout=600)[0] for process in started]
    if any(process.returncode for process in started):
        raise SystemExit(f"{count} processes with {devices} devices failed")
    return [json.loads(output.splitlines()[-1]) for output in outputs]


def show(rows: list[Any]) -> None:
    """Print a row for each process."""
    from rich.console import Console
    from rich.table import Table

    table = Table()
    for heading in ("processes x devices", "process", "own part, MB", "peak beyond it, MB"):
        table.add_column(heading, justify="right")
    table.add_column("SHA-256 of all arrays", no_wrap=True)
    first = rows[0][2][0]["sums"]
    for count, devices, said in rows:
        for process, each in enumerate(said):
            peak = "-" if each["peak"] is None else f"{each['peak'] / 1e6:.0f}"
            whole = hashlib.sha256("".join(each["sums"].values()).encode()).hexdigest()
            same = sum(each["sums"][name] == first[name] for name in first)
            equal = f"{whole[:16]}: {same} of {len(first)} arrays equal"
            own = f"{each['own'] / 1e6:.0f}"
            table.add_row(f"{count} x {devices}", str(process), own, peak, equal)
    Console(highlight=False, width=120).print(table)


def begin(process: int, count: int, port: str, devices: int) -> None:
    """Join the other processes and let Keras spread the weights over all devices."""
    import jax

    jax.config.update("jax_cpu_collectives_implementation", "gloo")
    if count > 1:
        jax.distributed.initialize(f"127.0.0.1:{port}", num_processes=count, process_id=process)
    import keras

    keras.utils.set_random_seed(1)  # the same weights in all processes
    if count * devices == 1:
        return
    mesh = keras.distribution.DeviceMesh((1, count * devices), ["batch", "model"])
    layout = keras.distribution.LayoutMap(mesh)
    layout[".*kernel"], layout[".*bias"] = (None, "model"), ("model",)
    keras.distribution.set_distribution(
        keras.distribution.ModelParallel(
            layout_map=layout, batch_dim_name="batch", auto_shard_dataset=False
        )
    )


def move(megabytes: int, source: str, target: str) -> dict[str, Any]:
    """Train, or restore `source`; save to `target`; return sums, own bytes and the peak."""
    import keras
    import numpy as np

    import kerascheckpoint as kc
    from kerascheckpoint.formats.forms import open_checkpoint

    width = int((megabytes * 1e6 / 3 / 4 / 8) ** 0.5) // 8 * 8
    layers = [keras.layers.Dense(width, activation="relu") for _ in range(8)]
    model = keras.Sequential([keras.Input((width,)), *layers])
    model.compile("adam", "mse")
    peak = None
    x = np.random.default_rng(0).normal(size=(16, width)).astype("float32")
    if not source:
        model.fit(x, x, batch_size=len(x), verbose=0)
    else:
        model.optimizer.build(model.trainable_variables)
        with open_checkpoint(source) as checkpoint:  # imports what reads, which takes memory too
            checkpoint.read(next(iter(checkpoint.arrays().values())))
        before = _reset_peak()
        kc.restore_checkpoint(model, source)
        peak = _memory("VmHWM") - before
    saving = kc.ModelCheckpoint(target, "loss")
    saving.set_model(model)
    saving.on_train_begin()
    saving.on_epoch_begin(0)
    saving.on_epoch_end(0, {"loss": 1.0})
    saving.on_train_end()
    variables = [v.value for v in [*model.variables, *model.optimizer.variables]]
    own = sum(shard.data.nbytes for value in variables for shard in value.addressable_shards)
    with open_checkpoint(target) as checkpoint:
        sums = {
            name: hashlib.sha256(np.ascontiguousarray(checkpoint.read(array))).hexdigest()
            for name, array in checkpoint.arrays().items()
        }
    return {"sums": sums, "own": own, "peak": peak}


def _reset_peak() -> int:
    """Let Linux count the peak anew; return the memory in use, in bytes."""
    with open("/proc/self/clear_refs", "w") as file:
        file.write("5")
    return _memory("VmRSS")


def _memory(name: str) -> int:
    with open("/proc/self/status") as file:
        found = re.search(rf"{name}:\s+(\d+) kB", file.read())
    assert found is not None
    return int(found[1]) * 1024


if __name__ == "__main__":
    main()
