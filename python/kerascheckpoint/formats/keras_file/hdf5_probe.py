"""Let another process find out whether the HDF5 library survives a file.

Only for files that are known to have changed since they were written: it costs the start of a
Python.
"""

import os
import subprocess
import sys

_PATIENCE = 10.0  # seconds after which the library hangs

_LOOK = """
import sys
import h5py
with h5py.File(sys.argv[1], "r") as file:
    dict(file.attrs)
    file.visititems(lambda name, item: None)
"""


def can_open(path: str) -> bool:
    """Tell whether HDF5 reads the structure of the file at `path` without an error or a crash."""
    if "python" not in os.path.basename(sys.executable or ""):
        return True  # inside of another program that says nothing of its Python
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    quiet = subprocess.DEVNULL
    try:
        done = subprocess.run(
            [sys.executable, "-c", _LOOK, path],
            stdin=quiet,
            stdout=quiet,
            stderr=quiet,
            env=environment,
            timeout=_PATIENCE,
        )
    except subprocess.TimeoutExpired:
        return False
    return done.returncode == 0
