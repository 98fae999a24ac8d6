"""The examples and the README's first use run as they are."""

import os
import pathlib
import re
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[2]


def run(directory, *command):
    done = subprocess.run(
        [sys.executable, *command], cwd=directory, capture_output=True, text=True, timeout=240
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_the_best_model_can_be_loaded(tmp_path):
    output = run(tmp_path, str(ROOT / "examples/best_model.py"), str(tmp_path / "run"))
    assert re.search(r"val_loss of the best model: \d", output)
    assert 3 <= len(os.listdir(tmp_path / "run")) <= 4


@pytest.mark.slow
def test_a_killed_script_resumes_exactly(tmp_path):
    output = run(tmp_path, str(ROOT / "examples/resume_after_a_kill.py"), str(tmp_path / "run"))
    assert "the first process ended with signal 9" in output
    assert output.rstrip().endswith("equals the one of an uninterrupted run: True")


@pytest.mark.slow
def test_the_first_use_of_the_readme(tmp_path):
    text = (ROOT / "README.md").read_text()
    code = re.search(r"## First use.*?```python\n(.*?)```", text, flags=re.DOTALL)
    assert code is not None
    assert run(tmp_path, "-c", code.group(1)).rstrip().endswith(".keras")
    assert 3 <= len(os.listdir(tmp_path / "run")) <= 4
