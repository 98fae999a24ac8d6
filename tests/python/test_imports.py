"""Imports: looking at files must not cost a framework's start, and parts must stay replaceable."""

import ast
import pathlib
import sys

import pytest

import kerascheckpoint
import training

pytestmark = pytest.mark.any_backend

PACKAGE = pathlib.Path(kerascheckpoint.__file__).parent
MODULES = sorted(path.stem for path in PACKAGE.glob("*.py"))

# A module imports only from layers above its own or from its own; never in a circle.
LAYERS = {
    "words everybody uses": ["errors", "checkpoint_info", "notify", "arguments"],
    "decisions: pure, no Keras, no disk": [
        *("monitor", "save_policy", "progress", "file_template"),
        *("ranking", "decision", "retention"),
    ],
    "files: no Keras": [
        *("checksum", "record", "commit", "stream", "h5_layout", "archive", "weights"),
        *("plain_record", "hdf5_probe", "reader"),
        *("verify", "catalog", "deletion", "preflight", "adopt", "background", "run"),
    ],
    "Keras": [
        *("store_entry", "keras_compat", "random_state", "training_state", "fingerprint", "views"),
        *("walk", "building", "stored_state", "assets", "warm_memory", "snapshot", "exchange"),
        *("saving", "restore", "resume"),
    ],
    "the callback": ["interrupt", "callback"],
    "the package and its command line": ["__init__", "__main__"],
}
PLACES = {module: place for place, modules in enumerate(LAYERS.values()) for module in modules}
FRAMEWORKS = {"keras", "tensorflow", "jax", "torch"}
PURE = LAYERS["words everybody uses"] + LAYERS["decisions: pure, no Keras, no disk"]

# Longer than a module should be: the callback wires seventeen parts and documents every argument;
# the seam to Keras does not come apart.
LONG = {"callback": 490, "keras_compat": 440}


def tree_of(module):
    return ast.parse((PACKAGE / f"{module}.py").read_text())


def imports_of(tree):
    """Yield (module of ours or None, top-level package) of each import outside type checking."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((None, alias.name.split(".")[0]) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level:
            names = [node.module] if node.module else [alias.name for alias in node.names]
            yield from ((name, "kerascheckpoint") for name in names)
        elif isinstance(node, ast.ImportFrom):
            yield None, str(node.module).split(".")[0]


def own_imports(module):
    return {own for own, _ in imports_of(tree_of(module)) if own}


def test_every_module_has_its_place():
    assert sorted(PLACES) == MODULES


@pytest.mark.parametrize("module", MODULES)
def test_imports_point_upward_only(module):
    downward = {name for name in own_imports(module) if PLACES[name] > PLACES[module]}
    if module == "__main__":
        downward.discard("__init__")
    assert not downward


def test_nothing_imports_in_a_circle():
    done: set[str] = set()

    def visit(module, above):
        assert module not in above, f"circle: {above} {module}"
        if module not in done:
            for name in own_imports(module):
                visit(name, [*above, module])
            done.add(module)

    for module in MODULES:
        visit(module, [])


@pytest.mark.parametrize(
    "module", [name for name in PLACES if PLACES[name] < PLACES["keras_compat"]]
)
def test_decisions_and_files_know_no_framework(module):
    assert not {package for _, package in imports_of(tree_of(module))} & FRAMEWORKS


@pytest.mark.parametrize("module", PURE)
def test_decisions_touch_no_disk(module):
    used = {package for _, package in imports_of(tree_of(module))}
    assert not used & {"shutil", "tempfile", "h5py", "zipfile", "io", "subprocess"}
    calls = {
        node.func.id
        for node in ast.walk(tree_of(module))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    }
    assert "open" not in calls


@pytest.mark.parametrize("module", [name for name in MODULES if name != "keras_compat"])
def test_only_the_seam_knows_what_is_private_to_keras(module):
    assert "keras.src" not in (PACKAGE / f"{module}.py").read_text()


@pytest.mark.parametrize("module", MODULES)
def test_a_module_has_one_job_and_says_which(module):
    assert ast.get_docstring(tree_of(module))
    lines = len((PACKAGE / f"{module}.py").read_text().splitlines())
    assert lines <= LONG.get(module, 250)


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
