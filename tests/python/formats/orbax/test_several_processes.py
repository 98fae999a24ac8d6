"""Weights that are spread over two real processes with two devices each, in every layout."""

import hashlib
import json
import re
import shutil
import signal

import keras
import numpy as np
import pytest

import kerascheckpoint as kc
from kerascheckpoint.formats.forms import open_checkpoint
from support import processes, training
from support.spread import MODEL, SAVE

pytest.importorskip("orbax.checkpoint")
pytestmark = pytest.mark.skipif(keras.config.backend() != "jax", reason="only JAX spreads weights")

TRAIN = """
import warnings
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    model = spread_model()
    orbax = kc.ModelCheckpoint(arguments[0] + "/{epoch}.orbax", "loss", save_on_background=True)
    one_file = kc.ModelCheckpoint(arguments[0] + "/{epoch}.keras", "loss", save_on_background=True)
    weights = kc.ModelCheckpoint(arguments[0] + "/w.weights.h5", "loss", save_weights_only=True)
    first = fit(model, orbax, one_file, weights, epochs=2)
    sums = sums_of(model)
    whole = fit(model, epochs=3, initial_epoch=2)
texts = [str(each.message) for each in caught if "are spread over several" in str(each.message)]
print(json.dumps([sums, whole["loss"], orbax.last_filepath, orbax.best, len(texts)]))
"""

MOVE = f"""
{MODEL}
{SAVE}
keras.Sequential([keras.Input((2,)), keras.layers.Dense(2), keras.layers.Dense(2)])  # other names
model = spread_model(seed=5)

# An error in the middle says what is lost; arrays are replaced one by one, so none is there twice.
import weakref
from kerascheckpoint.formats.orbax.checkpoint import OrbaxDirectory
spread = [v for v in model.variables if not v.value.is_fully_replicated]
old, alive, reader = [weakref.ref(v.value) for v in spread], [], OrbaxDirectory.part_reader
def failing(self, array):
    if array.name == "optimizer/vars/5":
        raise OSError("the disk is gone")
    return reader(self, array)
def counting(self, array):
    alive.append(sum(each() is not None for each in old))
    return reader(self, array)
if spread:
    OrbaxDirectory.part_reader = failing
    try:
        kc.restore_checkpoint(model, arguments[0])
    except kc.CheckpointMismatchError as error:
        lost = "except for 'layers/dense/vars', 'layers/dense_1/vars', 'optimizer/vars': the disk"
        assert lost in str(error), error
    old[:] = [weakref.ref(v.value) for v in spread]
OrbaxDirectory.part_reader = counting
kc.restore_checkpoint(model, arguments[0])
assert not spread or (alive[0], len(old), alive[-1]) == (4, 4, 0), alive

save_now(model, arguments[1])
print(json.dumps(sums_of(model)))
"""

GO_ON = """
model = spread_model(seed=6)
saving = kc.ModelCheckpoint(arguments[0] + "/{epoch}.orbax", "loss", resume=True)
history = fit(model, saving, epochs=3)
print(json.dumps([history["loss"][-1:], saving.last_filepath]))
"""


def last_lines(outputs):
    """Return what each process printed last, parsed."""
    return [json.loads(output.splitlines()[-1]) for output in outputs]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A training of two epochs by 2 processes with 2 devices each, and what they say of it."""
    directory = tmp_path_factory.mktemp("spread")
    said = last_lines(processes.run(MODEL + TRAIN, str(directory), count=2, devices=2))
    return directory, said


def sums_of(model):
    """Return the SHA-256 of every variable of a model, in its order."""
    return [hashlib.sha256(a.tobytes()).hexdigest() for a in training.arrays_of(model).values()]


def sums_in(path):
    """Return the SHA-256 of every array of a checkpoint, by its name."""
    with open_checkpoint(path) as checkpoint:
        return {
            name: hashlib.sha256(np.ascontiguousarray(checkpoint.read(array)).tobytes()).hexdigest()
            for name, array in checkpoint.arrays().items()
        }


def test_each_process_writes_its_part_and_both_know_of_it(trained):
    """In the background; the checkpoint is whole, and both processes decided the same."""
    directory, (first, second) = trained
    assert first[:4] == second[:4]
    assert first[2] == str(directory / "2.orbax")
    assert [info.epoch for info in kc.list_checkpoints(directory / "{epoch}.orbax")] == [1, 2]
    kc.verify_checkpoint(directory / "2.orbax")
    parts = sorted(p.name for p in (directory / "2.orbax").glob("*/pytree/ocdbt.process_*"))
    assert parts == ["ocdbt.process_0", "ocdbt.process_1"]


def test_a_standard_file_is_gathered_with_one_warning(trained):
    """It holds what the directory holds; only the first process says so, and once a callback."""
    directory, (first, second) = trained
    assert (first[4], second[4]) == (2, 0)
    for name in ("1", "2"):  # training went on while the first was copied and written
        assert sums_in(directory / f"{name}.keras") == sums_in(directory / f"{name}.orbax")
    assert sums_in(directory / "w.weights.h5") == sums_in(directory / "2.orbax")
    kc.verify_checkpoint(directory / "2.keras")
    model = keras.saving.load_model(directory / "2.keras")  # all but the state of a seed generator
    found = [one == other for one, other in zip(sums_of(model), first[0], strict=True)]
    assert found.count(False) == 1


def test_every_array_survives_every_layout(trained, tmp_path):
    """2 processes x 2 devices, 1 x 8, 1 device, and back; other automatic names each time."""
    directory, (first, _) = trained
    two, eight, one, back = [str(directory / "2.orbax")] + [
        str(tmp_path / f"{name}.orbax") for name in ("eight", "one", "back")
    ]
    said = last_lines(processes.run(MOVE, two, eight, count=1, devices=8))
    assert said == [first[0]]

    layers = keras.layers
    model = keras.Sequential(
        [keras.Input((8,)), layers.Dense(512, "relu"), layers.Dropout(0.2), layers.Dense(8)]
    )
    model.compile("adam", "mse")
    kc.restore_checkpoint(model, eight)
    assert sums_of(model) == first[0]
    scope = {"kc": kc}
    exec(SAVE, scope)
    scope["save_now"](model, one)

    said = last_lines(processes.run(MOVE, one, back, count=2, devices=2))
    assert said == [first[0]] * 2
    assert sums_in(two) == sums_in(eight) == sums_in(one) == sums_in(back)


def test_both_continue_as_if_never_stopped(trained, tmp_path):
    """From the file that the first process finds."""
    directory, (first, _) = trained
    shutil.copytree(directory / "2.orbax", tmp_path / "2.orbax")
    said = last_lines(processes.run(MODEL + GO_ON, str(tmp_path), count=2, devices=2))
    assert said == [[first[1], str(tmp_path / "3.orbax")]] * 2


def test_a_lost_or_changed_part_is_found_and_named(trained, tmp_path):
    """The part of a host, one of its files, one bit of an array."""
    directory, _ = trained
    copy = tmp_path / "copy.orbax"

    def damaged(change):
        shutil.copytree(directory / "2.orbax", copy)
        change(next(copy.glob("*/pytree")))
        with pytest.raises(kc.CheckpointCorruptError) as caught:
            kc.verify_checkpoint(copy)
        shutil.rmtree(copy)
        return str(caught.value)

    def flip(item):
        path = largest(item)
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 1
        path.write_bytes(content)

    def largest(item):
        return max((item / "ocdbt.process_1" / "d").iterdir(), key=lambda p: p.stat().st_size)

    lost = damaged(lambda item: shutil.rmtree(item / "ocdbt.process_1"))
    assert "the part of process 1 (pytree) is missing" in lost
    assert re.search("array '.*' cannot be read", damaged(lambda item: largest(item).unlink()))
    assert re.search("array '.*' is damaged", damaged(flip))


FAULTY = """
from kerascheckpoint.formats.orbax import items
write, saves = items.write_shards, []
def failing(*args):
    saves.append(1)
    if rank == 1 and len(saves) == 2:
        raise OSError(28, "No space left on device")
    return write(*args)
items.write_shards = failing

class Score(keras.callbacks.Callback):
    def on_epoch_end(self, epoch, logs=None):
        logs["score"] = epoch + rank / 2  # the logs differ, and the first process's count

saving = kc.ModelCheckpoint(
    arguments[0] + "/{epoch}-{score:.1f}.orbax", "score", mode="max", save_best_only=True,
    keep_last=1, on_save_error="warn", save_on_background=True,
    save_freq=(lambda epoch, batch, logs: batch is None and rank == 0))
import warnings
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    fit(spread_model(), Score(), saving, epochs=3)
texts = [str(each.message) for each in caught if "without this checkpoint" in str(each.message)]
print(json.dumps([texts, saving.last_filepath, saving.best, saving.best_filepath]))
"""


def test_what_fails_in_one_process_fails_in_all_and_the_first_decides(tmp_path):
    """Clocks, functions and logs of the others do not count; the next save tries again."""
    said = last_lines(processes.run(MODEL + FAULTY, str(tmp_path), count=2, devices=2))
    last = str(tmp_path / "3-2.0.orbax")
    for texts, *rest in said:
        assert rest == [last, 2.0, last]
        assert len(texts) == 1
        assert "process 1 could not write its part" in texts[0]
        assert "No space left" in texts[0]
    assert training.names_in(tmp_path) == ["3-2.0.orbax"]


STOPPED = """
import signal

class Signal(keras.callbacks.Callback):
    def on_train_batch_end(self, batch, logs=None):
        if rank == 1 and batch == 1:
            os.kill(os.getpid(), signal.SIGTERM)

settings = {"save_on_interrupt": True}
saving = kc.ModelCheckpoint(arguments[0] + "/{epoch}.orbax", "loss", **settings)
fit(spread_model(), Signal(), saving, epochs=3)
print(json.dumps([saving.interrupted, saving.last_filepath]))
"""


def test_a_signal_to_one_process_stops_all_at_one_batch(tmp_path):
    """Only the second process gets it; both save there and return."""
    said = last_lines(processes.run(MODEL + STOPPED, str(tmp_path), count=2, devices=2))
    assert said == [[True, str(tmp_path / "1.orbax")]] * 2
    assert training.places(tmp_path) == [("interrupt", 0, 2, 2)]


KILLED = """
import pathlib, signal, time
from kerascheckpoint.formats.orbax import items, publish
write, move, saves = items.write_shards, publish._move, []

def die(at):
    if at in arguments[1]:
        os.kill(os.getpid(), signal.SIGKILL)

def writing(*args):
    saves.append(1)
    if len(saves) == 2 and rank == 1:
        die("in its part")
    return write(*args)

def moving(staged, target):
    if target.endswith("2.orbax"):
        die("before the name")
    return move(staged, target)

items.write_shards, publish._move = writing, moving
saving = kc.ModelCheckpoint(arguments[0] + "/{epoch}.orbax", "loss")
fit(spread_model(), saving, epochs=3)
"""


@pytest.mark.parametrize("instant", ["in its part", "before the name"])
def test_killed_processes_leave_no_half_checkpoint(instant, tmp_path):
    """One of two dies in a save, then the other; one process resumes from what is whole."""
    started = processes.start(MODEL + KILLED, str(tmp_path), [instant], count=2, devices=2)
    victim = 1 if instant == "in its part" else 0
    try:
        assert started[victim].wait(timeout=200) == -signal.SIGKILL
    finally:
        for process in started:
            process.kill()
        ended = processes.finish(started)
    left = training.names_in(tmp_path)
    assert "1.orbax" in left, ended
    assert "2.orbax" not in left
    assert len(left) == 3  # a lock and the directory beside it
    assert training.files(tmp_path) == ["1.orbax"]
    assert kc.latest_checkpoint(tmp_path).epoch == 1
    if victim == 0:
        return  # the rest is the same
    (said,) = last_lines(
        processes.run(MODEL + GO_ON.replace("seed=6", "seed=7"), str(tmp_path), count=1, devices=2)
    )
    assert said[1] == str(tmp_path / "3.orbax")
    assert training.names_in(tmp_path) == ["1.orbax", "2.orbax", "3.orbax"]
