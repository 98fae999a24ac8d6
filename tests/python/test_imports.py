"""Imports: looking at files must not cost a framework's start, and parts must stay replaceable."""

import ast
import pathlib
import sys

import pytest

import kerascheckpoint
from support import training

pytestmark = pytest.mark.any_backend

PACKAGE = pathlib.Path(kerascheckpoint.__file__).parent
MODULES = sorted(str(path.relative_to(PACKAGE)) for path in PACKAGE.rglob("*.py"))
FRAMEWORKS = {"keras", "tensorflow", "jax", "torch"}


@pytest.mark.parametrize("module", MODULES)
def test_only_the_seam_knows_what_is_private_to_keras(module):
    """Which room may import which is held by the contracts in pyproject.toml."""
    if not module.startswith("keras_seam/"):
        assert "keras.src" not in (PACKAGE / module).read_text()


@pytest.mark.parametrize("module", MODULES)
def test_a_module_has_one_job_and_says_which(module):
    text = (PACKAGE / module).read_text()
    assert ast.get_docstring(ast.parse(text))
    assert len(text.splitlines()) <= 300


def test_looking_at_files_imports_no_framework(tmp_path):
    training.checkpoint_file(tmp_path / "1.keras", metrics={"val_loss": 1.0})
    training.checkpoint_file(tmp_path / "2.weights.h5", metrics={"val_loss": 0.5})
    code = f"""
import sys
import kerascheckpoint
assert "h5py" in sys.modules
run = sys.argv[1]
listed = kerascheckpoint.list_checkpoints(run)
assert len(listed) == 2
assert kerascheckpoint.latest_checkpoint(run) in listed
assert kerascheckpoint.best_checkpoint(run) == listed[-1]
assert kerascheckpoint.verify_checkpoint(listed[0].path) == listed[0]
import kerascheckpoint.__main__
assert kerascheckpoint.__main__.main(["list", run]) == 0
assert set(dir(kerascheckpoint)) == set(kerascheckpoint.__all__)
print(sorted({FRAMEWORKS!r} & set(sys.modules)))
"""
    done = training.in_python(code, str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "[]"


def test_what_touches_a_model_is_found_when_it_is_asked_for():
    assert "keras" in sys.modules
    assert kerascheckpoint.ModelCheckpoint.__module__ == "kerascheckpoint.callback"
    with pytest.raises(AttributeError, match="no attribute 'Checkpoint'"):
        kerascheckpoint.Checkpoint  # noqa: B018
    for name in kerascheckpoint.__all__:
        assert getattr(kerascheckpoint, name) is not None
