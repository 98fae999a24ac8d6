"""Saves behind training: each file is the state of its instant, whatever training did since.

A job that waits for an event is put into the writing thread first: it stands for a slow disk.
"""

import copy
import gc
import os
import pickle
import threading
import time
import weakref

import keras
import numpy as np
import pytest
from keras import layers

from kerascheckpoint import (
    CheckpointWarning,
    CheckpointWriteError,
    ModelCheckpoint,
    list_checkpoints,
    notify,
    verify_checkpoint,
)
from kerascheckpoint.formats.keras_file.writer import KerasFileWriter
from kerascheckpoint.saving import Saver
from kerascheckpoint.snapshot import staging
from support import small_files, training

# Epochs of a millisecond are no use for the hint that a slow disk holds training up.
pytestmark = pytest.mark.filterwarnings("ignore:saves come faster")

KINDS = pytest.mark.parametrize("kind", small_files.SUFFIXES)


def saver(path, **settings):
    """Return a callback that saves each epoch behind training."""
    settings = {"monitor": "loss", "save_on_background": True} | settings
    return ModelCheckpoint(path, save_weights_only=str(path).endswith(".weights.h5"), **settings)


class Hold(keras.callbacks.Callback):
    """Stops the writing thread at the begin of training, until `release` is called."""

    def __init__(self, saving):
        super().__init__()
        self.saving, self.event = saving, threading.Event()
        self.release = self.event.set

    def on_epoch_begin(self, epoch, logs=None):
        if epoch == 0:
            self.saving._saver._writer.submit(self.event.wait, lambda error: None)


@pytest.fixture
def hold():
    """Make callbacks that hold a writing thread; they let go at the latest when the test ends."""
    made = []

    def make(saving):
        made.append(Hold(saving))
        return made[-1]

    yield make
    for holding in made:
        holding.release()


@pytest.fixture
def reference():
    """Return a callback that takes copies of all state at the end of each epoch."""

    class Reference(keras.callbacks.Callback):
        def __init__(self):
            super().__init__()
            self.states = []

        def on_epoch_end(self, epoch, logs=None):
            self.states.append(training.arrays_of(self.model))

    return Reference()


def kinds_of_state():
    """Return a model with every kind of state: sparse updates, moving averages, half precision."""
    words = keras.Input((4,), dtype="int32")
    x = layers.Embedding(20, 5)(words)
    x = layers.Flatten()(x)
    x = layers.Dense(300, activation="relu", dtype="mixed_bfloat16")(x)
    x = layers.Dense(900)(x)  # more than 1 MB
    x = layers.BatchNormalization()(x)
    x = layers.Dropout(0.3)(x)
    return keras.Model(words, layers.Dense(1, dtype="float32")(x))


OPTIMIZERS = {
    "adam": lambda: keras.optimizers.Adam(0.05),
    "moving averages": lambda: keras.optimizers.SGD(0.05, momentum=0.9, use_ema=True),
}


@KINDS
@pytest.mark.parametrize("compiled", [True, False, "eager"], ids=["jit", "graph", "eager"])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_the_file_holds_exactly_the_state_of_its_instant(
    optimizer, compiled, kind, hold, reference, tmp_path
):
    """Training goes on for many steps before a byte is written, and changes nothing in it."""
    if compiled is True and keras.config.backend() == "torch":
        pytest.skip("PyTorch compiles by other programs, for minutes")
    model = kinds_of_state()
    eager = compiled == "eager"
    how = {"run_eagerly": True} if eager else {"jit_compile": compiled}
    model.compile(OPTIMIZERS[optimizer](), "mse", **how)
    saving = saver(tmp_path / f"{{epoch}}{kind}", save_freq="epoch")
    holding = hold(saving)
    random = np.random.default_rng(0)
    x, y = random.integers(0, 20, (64, 4)), random.normal(size=(64, 1))

    class TrainOn(keras.callbacks.Callback):
        """Holds the write of the first epoch back until the second has been trained."""

        def on_epoch_end(self, epoch, logs=None):
            if epoch == 1:
                assert training.names_in(tmp_path) == []
                holding.release()

    order = [reference, holding, TrainOn(), saving]
    model.fit(x, y, batch_size=4, epochs=3, verbose=0, callbacks=order)
    assert training.names_in(tmp_path) == [f"{epoch}{kind}" for epoch in (1, 2, 3)]
    for epoch, state in enumerate(reference.states, start=1):
        path = tmp_path / f"{epoch}{kind}"
        assert verify_checkpoint(path).epoch == epoch
        assert_holds(path, model, state)


def assert_holds(path, model, state):
    """Assert that stock Keras reads exactly this state from a file."""
    if path.suffix == ".keras":
        loaded = keras.saving.load_model(path)
    else:
        loaded = keras.models.clone_model(model)
        loaded.compile(type(model.optimizer).from_config(model.optimizer.get_config()), "mse")
        loaded.optimizer.build(loaded.trainable_variables)
        loaded.load_weights(path)
    found = training.arrays_of(loaded)
    kept = {name: array for name, array in state.items() if "seed_generator" not in name}
    found = {name: array for name, array in found.items() if "seed_generator" not in name}
    training.assert_same(found, kept)


@KINDS
def test_saves_of_the_foreground_and_the_background_are_the_same_file(kind, tmp_path):
    """What is saved does not depend on how."""
    contents = []
    for background in (False, True):
        model = training.noisy_model()
        path = tmp_path / f"{background}{kind}"
        training.train(model, saver(path, save_on_background=background), epochs=2)
        contents.append(small_files.read(path))
    training.assert_same(*contents)


def test_several_saves_in_a_row_stay_apart(tmp_path):
    """One being written and one waiting are two states: no memory is used again too early."""
    model = training.tiny_model()
    saver = Saver(on_background=True)
    outcomes = []
    event = threading.Event()
    saver._writer.submit(event.wait, lambda error: None)
    saver._writer._said_full = True
    for number in range(8):
        for variable in model.variables:
            variable.assign(np.full(variable.shape, number))
        if number == 1:
            event.set()
        path = str(tmp_path / f"{number}.weights.h5")
        saver.save(model, path, small_files.FIELDS, outcomes.append)
    for variable in model.variables:
        variable.assign(np.full(variable.shape, -1))
    saver.report_finished(wait_for_all=True)
    assert outcomes == [None] * 8
    for number in range(8):
        found = small_files.read(tmp_path / f"{number}.weights.h5")
        found.pop("optimizer/vars/0", None)
        values = {float(v) for name, a in found.items() if "layers" in name for v in a.flat}
        assert values == {number}


@pytest.fixture
def memories(monkeypatch):
    """Return weak references to all memory that copies were given."""
    given = []
    make = staging.aligned_memory

    def note(size):
        memory = make(size)
        given.append(weakref.ref(memory))
        return memory

    monkeypatch.setattr(staging, "aligned_memory", note)
    return given


def test_one_memory_serves_all_saves_of_a_fit_and_is_free_after_it(memories, tmp_path):
    """Fresh memory costs several times the copy; the next program may need what is kept."""
    wide = layers.Dense(100_000)  # more than 1 MB
    model = keras.Sequential([keras.Input((3,)), wide, layers.Dense(1)])
    model.compile("sgd", "mse")
    saving = saver(tmp_path / "{epoch}.keras")
    alive = []

    def look(epoch, logs):
        saving.wait()
        alive.append([memory() is not None for memory in memories])

    looking = keras.callbacks.LambdaCallback(on_epoch_end=look)
    training.train(model, saving, looking, epochs=3)
    assert alive == [[True]] * 3
    gc.collect()
    assert [memory() for memory in memories] == [None]


@keras.saving.register_keras_serializable("saving")
class Odd(layers.Dense):
    """From some time on, stores in a way that only Keras' own saving serves."""

    is_odd = False

    def save_own_variables(self, store):
        super().save_own_variables(store)
        if self.is_odd:
            store.h5_file.attrs["note"] = "kept"


def test_a_save_by_keras_keeps_its_place_behind_those_before_it(hold, tmp_path, capsys):
    """Else retention would take the older file for the newest, and delete the newer one."""
    layer = Odd(1)
    model = keras.Sequential([keras.Input((3,)), layer])
    model.compile("sgd", "mse")
    saving = saver(tmp_path / "{epoch}.keras", keep_last=1, verbose=1)
    holding = hold(saving)

    class BecomeOdd(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            if epoch == 1:
                layer.is_odd = True
                threading.Timer(0.1, holding.release).start()

    losses = training.Script(loss=[2.0, 1.0])  # the best file would be kept as well
    training.train(model, losses, holding, BecomeOdd(), saving, epochs=2)
    assert training.names_in(tmp_path) == ["2.keras"]
    assert saving.last_filepath == str(tmp_path / "2.keras")
    said = capsys.readouterr().out
    assert said.index("Epoch 1: finished") < said.index("Epoch 2: finished")


class Counting(layers.Dense):
    """Counts how often its state was taken."""

    taken = 0

    def save_own_variables(self, store):
        self.taken += 1
        super().save_own_variables(store)


def test_the_state_of_a_third_save_is_taken_when_there_is_room_for_it(tmp_path):
    """Two states on their way and one being trained: never a third copy."""
    layer = Counting(1)
    model = keras.Sequential([keras.Input((3,)), layer])
    saver, event = Saver(on_background=True), threading.Event()
    when_full = []

    def told(text):
        when_full.append(layer.taken)
        event.set()

    saver._writer.submit(event.wait, lambda error: None)
    saver._writer.submit(event.wait, lambda error: None)
    notify.set_warning_handler(told)
    try:
        path = str(tmp_path / "m.weights.h5")
        saver.save(model, path, small_files.FIELDS, lambda error: None)
    finally:
        notify.set_warning_handler(None)
        event.set()
        saver.report_finished(wait_for_all=True)
    assert when_full == [0]
    assert layer.taken == 1


def in_the_way(place):
    """Put a file where a directory was."""
    place.rmdir()
    place.write_text("in the way")


@pytest.mark.parametrize("last", [False, True], ids=["in the middle", "the last one"])
def test_a_failed_write_ends_training_at_the_next_event(last, shared_model, tmp_path):
    """The user hears of it while something can still be done, at the latest when `fit` ends."""
    place = tmp_path / "place"
    saving = saver(place / "{epoch}.keras")
    reached = []
    obstacle = keras.callbacks.LambdaCallback(
        on_epoch_begin=lambda epoch, logs: in_the_way(place) if epoch == 0 else saving.wait(),
        on_epoch_end=lambda epoch, logs: reached.append(epoch),
    )
    with pytest.raises(CheckpointWriteError, match=r"1\.keras"):
        training.train(shared_model, obstacle, saving, epochs=1 if last else 5)
    assert reached == [0]
    assert saving.last_filepath is None
    saving.wait()  # it was said: not once more


def test_with_warn_training_goes_on_and_the_last_failure_is_said(shared_model, tmp_path):
    place = tmp_path / "place"
    saving = saver(place / "{epoch}.keras", on_save_error="warn")
    obstacle = keras.callbacks.LambdaCallback(
        on_epoch_begin=lambda epoch, logs: in_the_way(place) if epoch == 0 else None
    )
    with pytest.warns(CheckpointWarning, match="training goes on without") as caught:
        training.train(shared_model, obstacle, saving, epochs=3)
    assert len(caught) == 3
    assert [f"{epoch}.keras" in str(w.message) for epoch, w in enumerate(caught, 1)] == [True] * 3


def test_best_follows_the_disk_and_not_the_intention(hold, shared_model, tmp_path):
    """As long as the file is not durable, its value is not the best that is on the disk."""
    saving = saver(tmp_path / "best.keras", monitor="score", mode="min", save_best_only=True)
    holding = hold(saving)
    seen = []

    class Look(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            seen.append((saving.best, saving.best_filepath))
            holding.release()
            saving.wait()
            seen.append((saving.best, saving.best_filepath))

    scores = training.Script(score=[0.5])
    training.train(shared_model, scores, holding, saving, Look())
    assert seen == [(None, None), (0.5, str(tmp_path / "best.keras"))]


def test_a_worse_model_does_not_pass_one_that_is_still_being_written(hold, shared_model, tmp_path):
    """The bar is the best save accepted, so the file at the end is the best."""
    saving = saver(tmp_path / "best.keras", monitor="score", mode="min", save_best_only=True)
    holding = hold(saving)
    scores = training.Script(score=[0.5, 0.7])
    release = training.At(1, holding.release)
    training.train(shared_model, scores, holding, saving, release, epochs=2)
    assert verify_checkpoint(tmp_path / "best.keras").value == 0.5
    assert saving.best == 0.5


def test_retention_deletes_only_when_the_newer_file_is_durable(hold, shared_model, tmp_path):
    """While a write is under way, the file before it is the only one there is."""
    saving = saver(tmp_path / "{epoch}.keras", keep_last=1)
    holding = hold(saving)
    seen = []

    class Look(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 1:
                holding.release()
                saving.wait()
                holding.event.clear()
                saving._saver._writer.submit(holding.event.wait, lambda error: None)

        def on_epoch_end(self, epoch, logs=None):
            seen.append(training.names_in(tmp_path))

    losses = training.Script(loss=[2.0, 1.0])  # the best file would be kept as well
    release = training.At(1, holding.release)
    training.train(shared_model, losses, holding, Look(), saving, release, epochs=2)
    assert seen == [[], ["1.keras"]]
    assert training.names_in(tmp_path) == ["2.keras"]


@pytest.mark.parametrize("save_freq", ["epoch", 1000], ids=["of an epoch", "of the end"])
def test_fit_returns_when_every_file_is_there(save_freq, shared_model, tmp_path, monkeypatch):
    """The next line of the script may load the file, however slow the disk is."""
    saving = saver(tmp_path / "{epoch}.keras", save_freq=save_freq)
    write = KerasFileWriter.write

    def write_slowly(*arguments):
        time.sleep(0.2)
        write(*arguments)

    monkeypatch.setattr(KerasFileWriter, "write", write_slowly)
    training.train(shared_model, saving, epochs=2)
    epochs = (1, 2) if save_freq == "epoch" else (2,)
    assert training.names_in(tmp_path) == [f"{epoch}.keras" for epoch in epochs]
    assert saving.last_filepath == str(tmp_path / "2.keras")


def test_what_was_accepted_before_fit_raised_is_finished_by_wait(hold, shared_model, tmp_path):
    """Keras calls no hook when training fails; the last good epoch is on its way all the same."""
    saving = saver(tmp_path / "{epoch}.keras")
    holding = hold(saving)
    with pytest.raises(training.Stop):
        training.train(shared_model, holding, saving, training.At(0, training.stop), epochs=3)
    assert training.names_in(tmp_path) == []
    holding.release()
    saving.wait()
    assert training.names_in(tmp_path) == ["1.keras"]
    assert saving.last_filepath == str(tmp_path / "1.keras")


def test_what_was_accepted_before_fit_raised_is_finished_by_the_next_fit(
    hold, shared_model, tmp_path
):
    saving = saver(tmp_path / "{epoch}.keras", save_freq="epoch")
    holding = hold(saving)
    with pytest.raises(training.Stop):
        training.train(shared_model, holding, saving, training.At(0, training.stop), epochs=3)
    holding.release()
    training.train(shared_model, saving, epochs=2)
    assert training.names_in(tmp_path) == ["1.keras", "2.keras"]


EXIT = """
import sys
from support import training
from kerascheckpoint import ModelCheckpoint

path = sys.argv[1]
saving = ModelCheckpoint(path, monitor="loss", save_on_background=True)
training.train(training.tiny_model(), saving, training.At(1, training.stop), epochs=3)
"""


def test_what_was_accepted_is_finished_when_the_script_ends_by_its_error(tmp_path):
    """An uncaught exception ends the script; the files of the epochs before it are whole."""
    template = str(tmp_path / "{epoch}.keras")
    done = training.in_python(EXIT, template, cwd=os.path.dirname(__file__))
    assert "Stop" in done.stderr
    assert [info.epoch for info in list_checkpoints(tmp_path)] == [1, 2]
    for info in list_checkpoints(tmp_path):
        verify_checkpoint(info.path)


@keras.saving.register_keras_serializable("saving")
class Watched(layers.Dense):
    """Notes the threads that its code runs on."""

    threads: tuple[threading.Thread, ...] = ()

    def get_config(self):
        Watched.threads = (*Watched.threads, threading.current_thread())
        return super().get_config()

    def save_own_variables(self, store):
        Watched.threads = (*Watched.threads, threading.current_thread())
        super().save_own_variables(store)

    def save_assets(self, path):
        Watched.threads = (*Watched.threads, threading.current_thread())
        with open(os.path.join(path, "asset"), "w") as file:
            file.write("mine")


def test_the_code_of_layers_runs_on_the_main_thread(tmp_path):
    """R functions and many libraries know no other thread."""
    model = keras.Sequential([keras.Input((3,)), Watched(1)])
    model.compile("sgd", "mse")
    Watched.threads = ()
    training.train(model, saver(tmp_path / "{epoch}.keras"), epochs=2)
    assert len(Watched.threads) >= 6
    assert set(Watched.threads) == {threading.main_thread()}
    assert training.names_in(tmp_path) == ["1.keras", "2.keras"]


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda c: pickle.loads(pickle.dumps(c))])
def test_a_copy_made_before_training_is_as_good_as_the_original(copied, shared_model, tmp_path):
    """Tuners copy callbacks for each trial, and send them to other processes."""
    original = saver(tmp_path / "{epoch}.keras", keep_last=2, monitor="loss", mode="min")
    losses = training.Script(loss=[0.3, 0.2, 0.1])
    training.train(shared_model, losses, copied(original), epochs=3)
    assert training.names_in(tmp_path) == ["2.keras", "3.keras"]
    assert original.last_filepath is None
    training.train(shared_model, original)
    assert training.names_in(tmp_path) == ["1.keras", "2.keras", "3.keras"]


FORK = """
import os, sys, warnings
warnings.simplefilter("ignore")
from support import training
import kerascheckpoint as kc

path = sys.argv[1]
saving = kc.ModelCheckpoint(path, monitor="loss", save_on_background=True)
codes = []


def fork():
    pid = os.fork()
    if pid == 0:
        saving.wait()
        kc.list_checkpoints(os.path.dirname(path))
        os._exit(7)
    codes.append(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))


training.train(training.tiny_model(), saving, training.At(1, fork), epochs=3)
sys.exit(0 if codes == [7] else 1)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_fork_in_the_middle_of_training_does_not_hang(tmp_path):
    """Data loaders fork when they like; neither process waits for the other's thread."""
    template = str(tmp_path / "{epoch}.keras")
    done = training.in_python(FORK, template, cwd=os.path.dirname(__file__), timeout=120)
    assert done.returncode == 0, done.stderr
    assert [info.epoch for info in list_checkpoints(tmp_path)] == [1, 2, 3]


def test_a_model_that_is_no_longer_used_is_not_kept_alive(tmp_path):
    """The callback may live on; gigabytes of weights may not, once somebody else is trained."""
    saving = saver(tmp_path / "{epoch}.weights.h5")
    first = training.tiny_model()
    training.train(first, saving)
    gone = weakref.ref(first)
    second = training.tiny_model()
    training.train(second, saving)
    del first
    keras.backend.clear_session()
    gc.collect()
    assert gone() is None
