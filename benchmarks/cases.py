"""Runs one case of a benchmark in a process of its own, which reports what it has so far.

A process that ends too early, or that is ended as its time is over, loses nothing of what it
reported.
"""

import importlib.util
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import threading
import time
from typing import Any

from timing import Clock  # type: ignore[import-not-found]

_HERE = pathlib.Path(__file__).parent
_MARK = "RESULT "
_GRACE = 30.0  # seconds: what a process may take longer than planned
_reported: dict[str, Any] = {}


def run(script: str, backend: str, case: dict[str, Any], seconds: float) -> dict[str, Any]:
    """Run a script on one backend, and return what it reported.

    Args:
        script: The name of a script of this folder.
        backend: Keras' backend.
        case: What the script measures; `directory` is where its own directory will lie.
        seconds: What it may take.

    Returns:
        All that it reported, and `failure`: what went wrong, empty if nothing.
    """
    failure, output = "", b""
    # Made here, so that it goes even when the process is ended.
    with tempfile.TemporaryDirectory(
        dir=case["directory"], ignore_cleanup_errors=True
    ) as directory:
        case = case | {"end": time.time() + seconds, "directory": directory}
        try:
            done = subprocess.run(
                [sys.executable, os.fspath(_HERE / script), json.dumps(case)],
                stdout=subprocess.PIPE,
                env=environment() | {"KERAS_BACKEND": backend},
                timeout=seconds + _GRACE,
            )
        except subprocess.TimeoutExpired as error:
            output, failure = error.stdout or b"", "the process was ended, for its time was over"
        else:
            output = done.stdout
            if done.returncode:
                failure = f"the process ended with {done.returncode}; what it said is above"
    lines = [line for line in output.decode(errors="replace").splitlines() if _MARK in line]
    result: dict[str, Any] = json.loads(lines[-1].partition(_MARK)[2]) if lines else {}
    return result | {"failure": failure}


def environment() -> dict[str, str]:
    """Return the environment of a process that finds this package, installed or not."""
    package = os.fspath(_HERE.parent / "python")
    path = os.pathsep.join(filter(None, (package, os.environ.get("PYTHONPATH"))))
    return {"TF_CPP_MIN_LOG_LEVEL": "3"} | os.environ | {"PYTHONPATH": path}


def is_installed(backend: str) -> bool:
    """Tell whether a backend can be imported."""
    return importlib.util.find_spec(backend) is not None


def begin() -> tuple[dict[str, Any], Clock]:
    """Return, in the process, the case and the clock that says when to end."""
    import logging
    import warnings

    warnings.simplefilter("ignore")
    logging.getLogger("absl").setLevel(logging.ERROR)
    case = json.loads(sys.argv[1])
    return case, Clock(case["end"])


def report(result: dict[str, Any]) -> None:
    """Hand over what was measured so far; lists of notes grow, all else is replaced."""
    notes = [*_reported.get("notes", ()), *result.get("notes", ())]
    _reported.update(result, notes=notes)
    print(_MARK + json.dumps(_reported), flush=True)


def join_preparing() -> None:
    """Wait for the threads that get memory ready, as the epoch before a first save does."""
    for thread in threading.enumerate():
        if thread.name.startswith("kerascheckpoint memory"):
            thread.join()


def whole_time(minutes: float) -> Clock:
    """Return the clock of a whole run: it ends early enough for a last process that takes long."""
    return Clock(time.time() + max(60.0, minutes * 60 - _GRACE))


def went_wrong(result: dict[str, Any]) -> bool:
    """Tell whether something of ours failed in a case, and not only of others."""
    problems = [*result.get("problems", ()), *result.get("fit_problems", ())]
    is_ours = any(name.startswith(("ours", "stall")) for name in problems)
    return bool(result["failure"]) or is_ours or result.get("exact") is False
