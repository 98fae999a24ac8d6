"""The state of Keras' `CSVLogger`: the position in its file, so that no row is repeated."""

import os
from typing import Any


def capture(callback: Any) -> dict[str, Any]:
    """Return the columns of a `CSVLogger` and the size of its file, if the file is local."""
    file = getattr(callback, "csv_file", None)
    if file is None or file.closed or not os.path.isfile(callback.filename):
        return {}
    file.flush()
    return {"keys": callback.keys, "size": os.path.getsize(callback.filename)}


def restore(callback: Any, state: dict[str, Any], epoch: int) -> None:
    """Make an appending `CSVLogger` continue where it was, and remove the rows of later epochs.

    Args:
        callback: The callback, whose training has begun.
        state: What `capture` returned.
        epoch: Index of the next epoch to be logged.
    """
    if not callback.append or "size" not in state:
        return
    callback.csv_file.flush()
    with open(callback.filename, "rb+") as file:
        file.seek(state["size"])
        separator = str(callback.sep).encode()
        rows = [line.split(separator)[0] for line in file.read().splitlines()]
        if state["size"] == 0 and rows:
            rows = rows[1:]  # without the header
        if any(not row.isdigit() or int(row) < epoch for row in rows):
            return  # these rows are not from this run
        if state["size"] <= os.path.getsize(callback.filename):
            file.truncate(state["size"])
    callback.keys = state["keys"]
    callback.append_header = not os.path.getsize(callback.filename)
