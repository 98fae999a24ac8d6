"""Measure saves to an S3 server on this machine, and a list over a slow wire (`make bench`).

The server is the one of the tests (SeaweedFS). Usage: python benchmarks/remote.py [--megabytes N]
"""

import argparse
import os
import pathlib
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from typing import Any

os.environ.setdefault("KERAS_BACKEND", "jax")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "python"), str(ROOT / "tests" / "python")]

import keras  # noqa: E402
import numpy as np  # noqa: E402
import s3fs  # noqa: E402
from rich.console import Console  # noqa: E402
from rich.table import Table  # noqa: E402

from kerascheckpoint import list_checkpoints  # noqa: E402
from kerascheckpoint.saving import Saver  # noqa: E402
from kerascheckpoint.storage.base import Storage  # noqa: E402
from kerascheckpoint.storage.places import storage_for  # noqa: E402
from kerascheckpoint.training.preflight import state_size  # noqa: E402
from support import servers, small_files  # noqa: E402

FILES, DELAY = 100, 0.02  # checkpoints of the list; seconds of a round trip
SETTLING = 0.5  # seconds; the server shares the processors, and works on after a request


def main() -> None:
    """Print one row for each measurement."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--megabytes", type=int, default=100, help="size of the model's state")
    parser.add_argument("--rounds", type=int, default=6)
    options = parser.parse_args()
    table = Table(title="S3 on this machine", title_justify="left")
    for heading in ("", "median", "against", "ratio or target"):
        table.add_column(heading, justify="left" if not heading else "right")
    with tempfile.TemporaryDirectory() as directory:
        (pathlib.Path(directory) / "s3").mkdir()
        with servers.running(servers.S3Server(pathlib.Path(directory) / "s3")) as server:
            for row in [*saves(server, directory, options), listing(server, directory)]:
                table.add_row(*row)
    Console(highlight=False).print(table)


def saves(server: Any, directory: str, options: argparse.Namespace) -> list[tuple[str, ...]]:
    """Return the rows of saves: whole ones against a plain put, and the stall of those behind."""
    model = model_of(options.megabytes)
    size = state_size(model)
    source = os.path.join(directory, "plain")
    with open(source, "wb") as file:
        file.write(os.urandom(size))
    fs = s3fs.S3FileSystem(skip_instance_cache=True, **server.options())
    url = "s3://bucket/bench.keras"
    place, local = storage_for(url, server.options()), os.path.join(directory, "bench.keras")
    whole = Saver(on_background=False, storage=place)
    behind = {url: Saver(on_background=True, storage=place), local: Saver(on_background=True)}
    actions: dict[str, Callable[[], Any]] = {
        "plain put": lambda: fs.put_file(source, "bucket/plain"),
        "whole": lambda: whole.save(model, url, small_files.FIELDS, check),
        "stall, S3": lambda: behind[url].save(model, url, small_files.FIELDS, check),
        "stall, local": lambda: behind[local].save(model, local, small_files.FIELDS, check),
    }
    seconds: dict[str, list[float]] = {name: [] for name in actions}
    for number in range(options.rounds + 1):  # the first of each lays out and connects
        names = list(actions) if number % 2 else list(actions)[::-1]
        for name in names:
            time.sleep(SETTLING)
            seconds[name].append(timed(actions[name]))
            for saver in behind.values():
                saver.report_finished(wait_for_all=True)
    put, save, far, near = (statistics.median(times[1:]) for times in seconds.values())
    title = f"{size / 1e6:.0f} MB"
    return [
        (f"a whole save, {title}", _ms(save), f"plain put {_ms(put)}", f"{save / put:.2f}"),
        ("stall, in the background", _ms(far), f"local {_ms(near)}", f"{far / near:.2f}"),
    ]


def listing(server: Any, directory: str) -> tuple[str, ...]:
    """Return the row of a list of many checkpoints, whose requests each wait for a round trip."""
    sample = os.path.join(directory, "sample.keras")
    small_files.write(sample, {"layers/dense/vars/0": np.ones((300, 512))})
    place: Storage = storage_for("s3://bucket/many", server.options())
    for number in range(FILES):
        with place.atomic_write(f"s3://bucket/many/{number}.keras") as staged:
            os.write(staged.fd, pathlib.Path(sample).read_bytes())
    proxy = servers.Proxy(server.port, delay=DELAY)
    begin = time.perf_counter()
    found = list_checkpoints("s3://bucket/many", server.options(proxy.port))
    seconds = time.perf_counter() - begin
    proxy.close()
    if len(found) != FILES:
        raise RuntimeError(f"{len(found)} checkpoints were found and not {FILES}")
    name = f"list of {FILES} at {DELAY * 1e3:.0f} ms a round trip"
    counted = f"{proxy.requests} requests, {proxy.received / FILES / 1024:.0f} KB of each"
    return name, _ms(seconds), counted, "< 3,000 ms"


def model_of(megabytes: int) -> keras.Model:
    """Return a model that takes so many MB with Adam's state, and that has trained one step."""
    width = int((megabytes * 1e6 / 3 / 4 / 4) ** 0.5)
    layers = [keras.layers.Dense(width) for _ in range(4)]
    model = keras.Sequential([keras.Input((width,)), *layers, keras.layers.Dense(1)])
    model.compile("adam", "mse")
    model.fit(np.ones((2, width), "float32"), np.ones((2, 1), "float32"), verbose=0)
    return model


def check(error: BaseException | None) -> None:
    """Raise what went wrong in a save."""
    if error is not None:
        raise error


def timed(action: Callable[[], Any]) -> float:
    """Return the seconds that an action takes."""
    begin = time.perf_counter()
    action()
    return time.perf_counter() - begin


def _ms(seconds: float) -> str:
    return f"{seconds * 1e3:,.3g} ms" if seconds < 1 else f"{seconds * 1e3:,.0f} ms"


if __name__ == "__main__":
    main()
