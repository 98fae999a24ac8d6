"""Upload a local file, and give up when the server takes no more bytes."""

import asyncio
import concurrent.futures
import os
import time
from typing import Any

_PART = 8 << 20  # bytes of a part of an S3 upload
_IN_FLIGHT = 4  # parts in memory and on their way
_MOST_PARTS = 9000  # S3 takes 10,000
STALLED = 300.0  # seconds without a finished part; a connection of 100 kB/s is faster


def upload(fs: Any, local: str, name: str) -> None:
    """Upload a local file, in parts if the file system can.

    Args:
        fs: fsspec's file system.
        local: Path of the local file.
        name: fsspec's name for the target.

    Raises:
        TimeoutError: If nothing arrives for `STALLED` seconds.
    """
    more = {}
    if hasattr(fs, "call_s3"):
        part = max(_PART, -(-os.path.getsize(local) // _MOST_PARTS))
        more = {"chunksize": part, "max_concurrency": _IN_FLIGHT}
    if getattr(fs, "async_impl", False):
        _watched(fs, local, name, more)
    else:
        fs.put_file(local, name, **more)


def _watched(fs: Any, local: str, name: str, more: dict[str, Any]) -> None:
    """Upload with a client that would wait without a limit until the server takes all bytes."""
    from fsspec.callbacks import Callback

    latest = [time.monotonic()]  # when something arrived

    class Progress(Callback):  # type: ignore[misc]
        def call(self, *_: Any, **__: Any) -> None:
            latest[0] = time.monotonic()

    upload = fs._put_file(local, name, callback=Progress(), **more)
    future = asyncio.run_coroutine_threadsafe(upload, fs.loop)
    try:
        while not future.done():
            concurrent.futures.wait([future], latest[0] + STALLED - time.monotonic())
            if not future.done() and time.monotonic() - latest[0] >= STALLED:
                raise TimeoutError(None, f"nothing arrived for {STALLED:g} seconds")
        future.result()
    finally:
        future.cancel()
