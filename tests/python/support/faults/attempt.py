"""All faults by name, and how one of them is tried in a process of its own."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from typing import Any

from support.faults import cleaner, killed, neighbours, power_failure, refused
from support.faults.outcome import Outcome
from support.faults.sample import Sample

FAULTS: dict[str, Callable[[Sample, str, int, int], Outcome]] = {
    fault.__name__: fault
    for fault in (
        killed.killed_at_random,
        killed.killed_at_each_line,
        killed.killed_within_a_write,
        killed.interrupted_at_each_line,
        refused.file_size_limited,
        refused.disk_full,
        refused.read_only,
        refused.no_permission,
        refused.directory_removed,
        neighbours.two_writers,
        neighbours.another_run_begins,
        neighbours.another_thread_begins,
        cleaner.cleaners_race,
        power_failure.power_failure,
    )
}
MOUNTING = ("disk_full", "read_only")


def attempt(fault: str, sample: Any, directory: Any, tries: int, seed: int = 1) -> Outcome:
    """Try a fault so many times, in a process of its own.

    Args:
        fault: A name out of `FAULTS`.
        sample: A checkpoint; its content is what is saved.
        directory: An empty directory.
        tries: How often at most.
        seed: What chooses the moments.
    """
    values = [fault, str(sample), str(directory), str(tries), str(seed)]
    command = [sys.executable, "-m", "support.faults", *values]
    if fault in MOUNTING:
        command = ["unshare", "--mount", "--map-root-user", *command]
        if refusal := _mounting_refused(directory):
            return Outcome(skipped=refusal)
    done = subprocess.run(command, capture_output=True, text=True, timeout=3600)
    if done.returncode != 0:
        return Outcome(1, [f"{fault}: ended with {done.returncode}: {done.stderr[-2000:]}"])
    return Outcome(**json.loads(done.stdout.splitlines()[-1]))


def _mounting_refused(directory: Any) -> str:
    """Return why no file system can be mounted here, an empty text if one can."""
    if shutil.which("unshare") is None:
        return "there is no command unshare"
    mount = ["mount", "-t", "tmpfs", "tmpfs", str(directory)]
    done = subprocess.run(
        ["unshare", "--mount", "--map-root-user", *mount], capture_output=True, text=True
    )
    return "" if done.returncode == 0 else f"mounting is not allowed: {done.stderr.strip()}"
