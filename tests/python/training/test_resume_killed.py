"""A training that is killed at any moment and resumed until done is the one without a kill."""

import json
import os
import subprocess
import sys

import pytest


@pytest.mark.slow
def test_killed_at_random_moments(tmp_path):
    """`KERASCHECKPOINT_KILLS` sets how often; see `support.killed_runs`."""
    kills = os.environ.get("KERASCHECKPOINT_KILLS", "3")
    command = [sys.executable, "-m", "support.killed_runs", str(tmp_path / "runs"), kills, "1"]
    done = subprocess.run(command, capture_output=True, text=True, cwd="tests/python")
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["kills"] == int(kills)
    assert found["trainings"] >= 1
