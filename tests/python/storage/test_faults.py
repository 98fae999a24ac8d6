"""What a user would lose if a save were not safe: the file that stood there before.

Real processes are killed and real file systems refuse. `benchmarks/faults.py` does the same more
often.
"""

import os
import pathlib
import signal
import subprocess
import sys
import threading
from typing import Any

import h5py
import keras
import numpy as np
import pytest

import kerascheckpoint as kc
from kerascheckpoint import ModelCheckpoint
from kerascheckpoint.storage import leftovers
from support import faults, small_files, training

# How many of each fault are tried here, where a try takes about 20 ms.
TRIES = {
    "killed_at_each_line": 400,
    "interrupted_at_each_line": 150,
    "cleaners_race": 300,
    "disk_full": 15,
    "read_only": 3,
    "no_permission": 3,
    "power_failure": 25,
}


def saver(path, **settings):
    """Return a callback that saves at each epoch what `path` asks for."""
    weights_only = str(path).endswith(".weights.h5")
    settings = {"monitor": "loss", "save_weights_only": weights_only} | settings
    return ModelCheckpoint(path, **settings)


@pytest.fixture(scope="module")
def samples(tmp_path_factory):
    """A file of a real model in each format."""
    directory = tmp_path_factory.mktemp("samples")
    layers = [keras.Input((3,)), keras.layers.Dense(2000), keras.layers.Dense(1)]
    model = keras.Sequential(layers)
    model.compile("adam", "mse")
    paths = {kind: directory / f"model{kind}" for kind in small_files.SUFFIXES}
    training.train(model, *(saver(path) for path in paths.values()))
    return model, paths


@pytest.mark.any_backend
@pytest.mark.parametrize("kind", small_files.SUFFIXES)
@pytest.mark.parametrize("fault", faults.FAULTS)
def test_a_fault_costs_nothing(fault, kind, samples, tmp_path):
    model, paths = samples
    place = tmp_path / "place"
    place.mkdir()
    outcome = faults.attempt(fault, paths[kind], place, TRIES.get(fault, 60))
    if outcome.skipped:
        pytest.skip(outcome.skipped)
    assert outcome.attempts > 0
    assert outcome.lost == []
    if fault not in (*faults.MOUNTING, "no_permission", "directory_removed"):
        (survivor,) = place.iterdir()
        assert is_loaded_by_keras(survivor, model)


def is_loaded_by_keras(path, model):
    """Tell whether stock Keras reads one and the same number in all variables of a file."""
    if path.suffix == ".keras":
        model = keras.saving.load_model(path)
    else:
        model.load_weights(path)
    values = [keras.ops.convert_to_numpy(variable) for variable in model.weights]
    return len({float(value) for array in values for value in np.unique(array)}) == 1


TRAINING = """
import sys
from support import training
from kerascheckpoint import ModelCheckpoint

path, background = sys.argv[1:]
model = training.noisy_model()
saving = ModelCheckpoint(path, save_freq=1, save_on_background=background == "background")
training.train(model, saving, steps=64)
print("saved", flush=True)
training.train(model, saving, steps=64, epochs=1_000_000)
"""


@pytest.mark.parametrize("manner", ["foreground", "background"])
def test_a_training_that_is_killed_leaves_its_newest_file_and_no_rubbish(manner, tmp_path):
    """The last good model survives a SIGKILL, and a resumed run cleans up and continues."""
    path = tmp_path / "model.keras"
    command = [sys.executable, "-c", TRAINING, str(path), manner]
    with subprocess.Popen(command, cwd=os.path.dirname(__file__), stdout=subprocess.PIPE) as child:
        assert child.stdout.readline() == b"saved\n"
        first = kc.verify_checkpoint(path).step
        while kc.verify_checkpoint(path).step == first:
            pass
        child.kill()
    assert child.returncode == -signal.SIGKILL
    assert [info.path for info in kc.list_checkpoints(tmp_path)] == [str(path)]
    assert kc.verify_checkpoint(path).schema is not None
    keras.saving.load_model(path)
    (tmp_path / f".model.keras.0{leftovers.MARK}").touch()
    with pytest.warns(kc.CheckpointWarning, match="number of batches per epoch was 64 and is 4"):
        training.train(training.noisy_model(), ModelCheckpoint(path, save_freq=1000, resume=True))
    assert training.names_in(tmp_path) == ["model.keras"]


def test_leftovers_of_a_living_writer_are_not_removed(tmp_path):
    """A second run over the directory must not take away what the first is writing."""
    path = tmp_path / "model.keras"
    code = f"""
import os
from support import small_files as f
from kerascheckpoint.storage.local import LocalStorage
with LocalStorage().atomic_write({str(path)!r}) as staged:
    print(staged.path, flush=True)
    input()
    content = f.content_of({{"vars/0": f.np.ones(2)}}, model=True)
    f.KerasFileWriter().write(staged.fd, content, f.FIELDS)
"""
    settings: Any = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen(
        [sys.executable, "-c", code], cwd=os.path.dirname(__file__), **settings
    ) as writer:
        temporary = writer.stdout.readline().strip()
        assert leftovers.remove_leftovers(str(tmp_path)) == []
        training.train(training.tiny_model(), saver(tmp_path / "other.keras"))
        assert os.path.exists(temporary)
        writer.stdin.write("\n")
    assert writer.returncode == 0
    assert kc.verify_checkpoint(path).epoch == 1
    assert training.names_in(tmp_path) == ["model.keras", "other.keras"]


@pytest.mark.parametrize("kind", small_files.SUFFIXES)
def test_a_reader_keeps_the_old_content(kind, shared_model, tmp_path):
    """A file that another program has open is replaced all the same, and stays whole for it."""
    path = tmp_path / f"model{kind}"
    saving = saver(path)
    training.train(shared_model, saving)
    content = path.read_bytes()
    before = small_files.read(path)
    with open(path, "rb") as reader:
        if kind == ".keras":
            training.train(shared_model, saving)
        else:
            with h5py.File(path, "r") as h5_file:
                training.train(shared_model, saving)
                for name, array in before.items():
                    assert np.array_equal(h5_file[name][()], array)
        assert reader.read() == content
    assert path.read_bytes() != content
    assert kc.verify_checkpoint(path).epoch == 1


@keras.saving.register_keras_serializable("faults")
class Fragile(keras.layers.Dense):
    """A layer that raises `error` in the method of the name `place`, once it is asked to."""

    error = None
    place = ""

    def get_config(self):
        self._break("get_config")
        return super().get_config()

    def save_own_variables(self, store):
        super().save_own_variables(store)
        self._break("save_own_variables")

    def _break(self, place):
        if Fragile.error is not None and Fragile.place == place:
            raise Fragile.error


@keras.saving.register_keras_serializable("faults")
class Attributed(Fragile):
    """The same, and it uses the store in a way that only Keras' own store serves."""

    def save_own_variables(self, store):
        assert store.h5_file
        super().save_own_variables(store)


@pytest.fixture
def fragile(request):
    """Return a model with a fragile layer, whole at first."""
    kind = getattr(request, "param", Fragile)
    model = keras.Sequential([keras.Input((3,)), kind(1)])
    model.compile("sgd", "mse")
    yield model
    Fragile.error = None


@pytest.mark.parametrize("fragile", [Fragile, Attributed], indirect=True)
@pytest.mark.parametrize("background", [False, True])
@pytest.mark.parametrize("error", [ZeroDivisionError("mine"), KeyboardInterrupt()], ids=repr)
@pytest.mark.parametrize(
    ("place", "kind"),
    [
        ("get_config", ".keras"),
        ("save_own_variables", ".keras"),
        ("save_own_variables", ".weights.h5"),
    ],
)
def test_an_exception_of_a_layer_leaves_the_file_before(
    place, kind, error, background, fragile, tmp_path
):
    """A bug in a layer, or Ctrl-C, in the middle of a save ends training and harms no file."""
    path = tmp_path / f"model{kind}"
    saving = saver(path, save_on_background=background)
    training.train(fragile, saving)
    content = path.read_bytes()
    Fragile.error, Fragile.place = error, place
    with pytest.raises(type(error)):
        training.train(fragile, saving, epochs=2)
    assert path.read_bytes() == content
    assert training.names_in(tmp_path) == [path.name]
    Fragile.error = None
    training.train(fragile, saving)
    assert path.read_bytes() != content


@pytest.mark.parametrize("error", [ZeroDivisionError("mine"), KeyboardInterrupt()], ids=repr)
def test_a_failed_save_sets_no_threshold_for_the_next(error, fragile, tmp_path):
    """A model better than the best file is saved, even if a lost save was better still."""
    path = tmp_path / "model.keras"
    saving = saver(path, monitor="score", mode="min", save_best_only=True)
    training.train(fragile, training.Script(score=[0.9]), saving)
    Fragile.error, Fragile.place = error, "get_config"
    with pytest.raises(type(error)):
        training.train(fragile, training.Script(score=[0.5]), saving)
    assert saving.best == 0.9
    Fragile.error = None
    training.train(fragile, training.Script(score=[0.7]), saving)
    assert saving.best == 0.7
    assert kc.verify_checkpoint(path).value == 0.7


@pytest.mark.parametrize("background", [False, True])
@pytest.mark.parametrize("kind", small_files.SUFFIXES)
def test_with_warn_training_continues_and_the_next_save_tries_again(
    kind, background, shared_model, tmp_path
):
    """With `on_save_error="warn"` a disk that fails for a while costs one file, not the run."""
    place = tmp_path / "place"
    path = place / f"{{epoch}}{kind}"

    class Obstacle(keras.callbacks.Callback):
        """Puts a file where the directory was, from the end of epoch 1 to that of epoch 2."""

        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 1:
                saving.wait()
                place.rename(tmp_path / "aside")
                place.write_text("in the way")

    class Relief(keras.callbacks.Callback):
        """Stands behind the checkpoint callback."""

        def on_epoch_end(self, epoch, logs=None):
            if epoch == 1:
                saving.wait()
                assert saving.best == 0.9
                place.unlink()
                (tmp_path / "aside").rename(place)

    settings = {"mode": "min", "save_best_only": True, "on_save_error": "warn"}
    saving = saver(path, monitor="score", save_on_background=background, **settings)
    scores = training.Script(score=[0.9, 0.5, 0.7])
    with pytest.warns(kc.CheckpointWarning, match="goes on without this checkpoint") as caught:
        training.train(shared_model, Obstacle(), scores, saving, Relief(), epochs=3)
    (text,) = training.texts(caught)
    assert f"{place}{os.sep}2{kind}" in text
    assert "File exists" in text
    assert saving.best == 0.7
    assert training.names_in(place) == [f"1{kind}", f"3{kind}"]


def test_raise_ends_training_with_path_and_cause(shared_model, tmp_path):
    """The error says which file could not be written, and why."""
    place = tmp_path / "place"
    saving = saver(place / "model.keras")

    def replace_directory():
        place.rmdir()
        place.write_text("in the way")

    begin = keras.callbacks.LambdaCallback(on_epoch_begin=lambda epoch, logs: replace_directory())
    with pytest.raises(kc.CheckpointWriteError) as caught:
        training.train(shared_model, begin, saving)
    assert str(place / "model.keras") in str(caught.value)
    assert "File exists" in str(caught.value)
    assert isinstance(caught.value, OSError)
    assert training.names_in(tmp_path) == ["place"]


def test_a_symbolic_link_stays_and_its_target_is_replaced(shared_model, tmp_path):
    """A link to a bigger disk is followed, not replaced by a file on the small one."""
    store = tmp_path / "store"
    store.mkdir()
    link = tmp_path / "best.keras"
    link.symlink_to(store / "model.keras")
    training.train(shared_model, saver(link), epochs=2)
    assert link.is_symlink()
    assert kc.verify_checkpoint(link).epoch == 2
    assert training.names_in(store) == ["model.keras"]


def test_a_killed_save_through_a_link_is_cleared_by_the_next_run(shared_model, tmp_path):
    """The leftovers are at the link's target; the next run through the link finds them."""
    store = tmp_path / "store"
    store.mkdir()
    link = tmp_path / "best.keras"
    link.symlink_to(store / "model.keras")

    killed = training.in_python(
        "import os, sys\n"
        "from kerascheckpoint.storage.local import LocalStorage\n"
        "with LocalStorage().atomic_write(sys.argv[1]): os.kill(os.getpid(), 9)",
        str(link),
    )
    assert killed.returncode == -signal.SIGKILL
    assert len(training.names_in(store)) == 1
    training.train(shared_model, saver(link))
    assert training.names_in(store) == ["model.keras"]


@pytest.mark.parametrize(("mask", "mode"), [(0o022, 0o644), (0o077, 0o600), (0o002, 0o664)])
@pytest.mark.parametrize("kind", small_files.SUFFIXES)
def test_the_umask_decides_who_may_read(kind, mask, mode, shared_model, tmp_path):
    """Colleagues can read the file exactly if they could read any other file of this user."""
    path = tmp_path / f"model{kind}"
    before = os.umask(mask)
    try:
        training.train(shared_model, saver(path))
    finally:
        os.umask(before)
    assert path.stat().st_mode & 0o777 == mode


@pytest.fixture
def may_write():
    """An event that holds a writing thread; it comes at the latest when the test ends."""
    event = threading.Event()
    yield event
    event.set()


def test_ctrl_c_while_a_file_is_written_behind_training_loses_nothing(
    may_write, shared_model, tmp_path
):
    """The save that was accepted is finished, though training ended at once."""
    saving = saver(tmp_path / "{epoch}.keras", save_on_background=True)

    def hold(epoch, logs):
        if epoch == 0:
            saving._saver._writer.submit(may_write.wait, lambda error: None)

    holding = keras.callbacks.LambdaCallback(on_epoch_begin=hold)
    interrupt = training.At(1, lambda: signal.raise_signal(signal.SIGINT), batch=0)
    with pytest.raises(KeyboardInterrupt):
        training.train(shared_model, holding, saving, interrupt, epochs=3)
    assert training.names_in(tmp_path) == []
    may_write.set()
    saving.wait()
    assert [info.epoch for info in kc.list_checkpoints(tmp_path)] == [1]
    assert pathlib.Path(saving.last_filepath).name == "1.keras"
