"""Saves behind training: each file holds the state at its save, whatever training did since."""

import copy
import gc
import os
import pickle
import threading
import weakref

import keras
import numpy as np
import pytest
from keras import layers

from kerascheckpoint import notify, verify_checkpoint
from kerascheckpoint.saving import Saver
from kerascheckpoint.snapshot import staging
from support import small_files, training
from support.background import Reference, assert_saves_stay_apart, saver, without_seeds

# Epochs of a millisecond are no use for the hint that a slow disk holds training up.
pytestmark = pytest.mark.filterwarnings("ignore:saves come faster")

KINDS = pytest.mark.parametrize("kind", small_files.SUFFIXES)


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
def test_the_file_holds_exactly_the_state_of_its_save(optimizer, compiled, kind, hold, tmp_path):
    """Training goes on for many steps before a byte is written, and changes nothing in it."""
    if compiled is True and keras.config.backend() == "torch":
        pytest.skip("PyTorch compiles by other programs, for minutes")
    model = kinds_of_state()
    eager = compiled == "eager"
    how = {"run_eagerly": True} if eager else {"jit_compile": compiled}
    model.compile(OPTIMIZERS[optimizer](), "mse", **how)
    saving = saver(tmp_path / f"{{epoch}}{kind}", save_freq="epoch")
    holding, reference = hold(saving), Reference()
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
    training.assert_same(without_seeds(training.arrays_of(loaded)), without_seeds(state))


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
    """One being written and one waiting are two states."""
    assert_saves_stay_apart(tmp_path)


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


def test_a_model_that_is_no_longer_used_is_not_kept_alive(tmp_path):
    """The callback may outlive a model, but must not keep gigabytes of its weights alive."""
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
