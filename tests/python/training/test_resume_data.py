"""A resumed run sees the batches that it would have seen, whatever data are passed to `fit`.

The script makes its data anew. Each cell trains once without a stop, and once in two parts: the
weights and the history have to be the same.
"""

import functools
import importlib.util
import itertools
import pathlib
import random
import tempfile

import keras
import numpy as np
import pytest

from kerascheckpoint import ModelCheckpoint
from kerascheckpoint.keras_seam.private import VERSION
from support.training import arrays_of, assert_same, noisy_model

BACKEND = keras.backend.backend()
IS_OLD = VERSION < (3, 6)
pytestmark = pytest.mark.filterwarnings("ignore:.*update Keras to 3.6")
STEPS, BATCH = 5, 2
X = np.random.default_rng(0).normal(size=(STEPS * BATCH, 3)).astype("float32")
Y = X.sum(axis=1, keepdims=True)


def generator():
    """Yield batches that never repeat."""
    numbers = np.random.default_rng(5)
    while True:
        x = numbers.normal(size=(BATCH, 3)).astype("float32")
        yield x, x.sum(axis=1, keepdims=True)


def global_generator():
    """Yield batches of the global random numbers of Python, NumPy and the backend."""
    while True:
        x = np.random.normal(size=(BATCH, 3)).astype("float32") + random.random()
        if BACKEND == "tensorflow":
            import tensorflow as tf

            x += tf.random.uniform((1, 1)).numpy()
        yield x, x.sum(axis=1, keepdims=True)


class Shuffled(keras.utils.PyDataset):
    """Shuffles its samples at each epoch's end by random numbers of its own."""

    def __init__(self, **settings):
        super().__init__(**settings)
        self.numbers = np.random.default_rng(3)
        self.order = np.arange(len(X))
        self.asked = []

    def __len__(self):
        return STEPS

    def __getitem__(self, index):
        self.asked.append(index)
        chosen = self.order[index * BATCH : (index + 1) * BATCH]
        return X[chosen], Y[chosen]

    def on_epoch_end(self):
        self.numbers.shuffle(self.order)


def pipeline(*, repeat=False, length_is_known=True):
    tf = pytest.importorskip("tensorflow")
    data = tf.data.Dataset.from_tensor_slices((X, Y))
    data = data.shuffle(len(X), seed=3, reshuffle_each_iteration=True)
    if not length_is_known:
        data = data.filter(lambda x, y: True)
    data = data.batch(BATCH)
    return data.repeat() if repeat else data


def loader(kind="DataLoader", data=None, **settings):
    torch = pytest.importorskip("torch")
    module = torch.utils.data
    if kind == "StatefulDataLoader":
        module = pytest.importorskip("torchdata.stateful_dataloader")
    data = data or torch.utils.data.TensorDataset(torch.tensor(X), torch.tensor(Y))
    return getattr(module, kind)(data, batch_size=BATCH, shuffle=True, **settings)


class Noisy:
    """Samples whose noise the workers of a loader draw."""

    def __len__(self):
        return len(X)

    def __getitem__(self, index):
        import torch

        return X[index] + torch.rand(1).item() + np.random.random(), Y[index]


def grain_data(kind):
    grain = pytest.importorskip("grain")

    data = grain.MapDataset.source([(x, y) for x, y in zip(X, Y, strict=True)]).shuffle(seed=3)
    if kind == "DataLoader":
        sampler = grain.samplers.IndexSampler(len(X), shuffle=True, seed=3, num_epochs=1)
        source = [(x, y) for x, y in zip(X, Y, strict=True)]
        operations = [grain.transforms.Batch(BATCH, drop_remainder=True)]
        return grain.DataLoader(data_source=source, sampler=sampler, operations=operations)
    data = data.batch(BATCH, drop_remainder=True)
    return data if kind == "MapDataset" else data.to_iter_dataset()


def endless_grain_data():
    grain = pytest.importorskip("grain")

    data = grain.MapDataset.source([(x, y) for x, y in zip(X, Y, strict=True)]).shuffle(seed=3)
    return data.repeat().batch(BATCH, drop_remainder=True).to_iter_dataset()


ARRAYS = {"x": X, "y": Y, "batch_size": BATCH, "shuffle": True}
KINDS = {
    "arrays over epochs": lambda: ARRAYS | {"steps_per_epoch": 2},
    "arrays that end with an epoch": lambda: ARRAYS | {"steps_per_epoch": 3},
    "a generator": lambda: {"x": generator(), "steps_per_epoch": STEPS},
    "a generator of global random numbers": lambda: {
        "x": global_generator(),
        "steps_per_epoch": STEPS,
    },
    "a finite generator": lambda: {
        "x": (batch for batch in itertools.islice(generator(), 4 * STEPS)),
        "steps_per_epoch": STEPS,
    },
    "a PyDataset": lambda: {"x": Shuffled()},
    "a shuffled PyDataset": lambda: {"x": Shuffled(), "shuffle": True},
    "a PyDataset with workers": lambda: {"x": Shuffled(workers=2)},
    "a shuffled PyDataset with workers": lambda: {"x": Shuffled(workers=2), "shuffle": True},
    "a pipeline": lambda: {"x": pipeline()},
    "a pipeline of unknown length": lambda: {"x": pipeline(length_is_known=False)},
    "an endless pipeline": lambda: {"x": pipeline(repeat=True), "steps_per_epoch": 3},
    "a DataLoader": lambda: {"x": loader()},
    "a DataLoader with workers": lambda: {"x": loader(data=Noisy(), num_workers=2)},
    "a StatefulDataLoader": lambda: {"x": loader("StatefulDataLoader")},
    "a StatefulDataLoader over epochs": lambda: {
        "x": loader("StatefulDataLoader"),
        "steps_per_epoch": 2,
    },
    "a StatefulDataLoader with workers": lambda: {"x": loader("StatefulDataLoader", num_workers=2)},
}
if importlib.util.find_spec("keras.src.trainers.data_adapters.grain_dataset_adapter"):
    KINDS |= {
        "a Grain MapDataset": lambda: {"x": grain_data("MapDataset")},
        "a Grain IterDataset": lambda: {"x": grain_data("IterDataset")},
        "a Grain DataLoader": lambda: {"x": grain_data("DataLoader")},
        "an endless Grain IterDataset": lambda: {"x": endless_grain_data(), "steps_per_epoch": 3},
    }
# Their order follows from random numbers that a resume restores, whatever the script has set.
ANY_SEED = ("arrays", "a generator of global", "a shuffled PyDataset", "a DataLoader")
SAID_TO_BE_INEXACT = ("arrays", "a generator of global", "a PyDataset w", "a shuffled PyDataset w")
PLACES = {
    "an epoch's end": {"save_freq": "epoch"},
    "the middle of an epoch": {"save_freq": 2},
    "an epoch's last batch": {"save_freq": 1},
}
# A `PyDataset` and workers have much that can go wrong when nothing of an epoch is left.
CELLS = [
    (kind, place)
    for kind, place in itertools.product(KINDS, PLACES)
    if place != "an epoch's last batch" or not kind.startswith(("arrays", "a Grain", "an endless"))
]


class Stop(Exception):
    """Ends a training as a crash does."""


def crash_after(count):
    """Return a callback that raises at the end of the batch with this number."""
    batches = itertools.count(1)

    def end(batch, logs=None):
        if next(batches) == count:
            raise Stop

    return keras.callbacks.LambdaCallback(on_train_batch_end=end)


def fit(run, make, *others, seed=1, **settings):
    """Train a model made anew on data made anew; return it and its history."""
    model = noisy_model()
    keras.utils.set_random_seed(seed)
    if importlib.util.find_spec("torch"):  # which Keras seeds only as its own backend
        importlib.import_module("torch").manual_seed(seed)
    data = make()
    ours = ModelCheckpoint(run / "{step:03d}.keras", "loss", resume=True, **settings)
    arguments = {"shuffle": False, "epochs": 4, "verbose": 0} | data
    return model, model.fit(callbacks=[ours, *others], **arguments).history


@functools.cache
def never_stopped(kind):
    """Return the weights and the history of a run of this kind without a stop."""
    with tempfile.TemporaryDirectory() as directory:
        model, history = fit(pathlib.Path(directory), KINDS[kind])
    return arrays_of(model), history


@pytest.mark.slow
@pytest.mark.filterwarnings(
    "ignore:Your input ran out of data",
    "ignore:'set_vital' is deprecated",
    "ignore:.*workers of the StatefulDataLoader",
)
@pytest.mark.parametrize(("kind", "place"), CELLS)
def test_as_if_never_stopped(tmp_path, kind, place):
    make, settings = KINDS[kind], PLACES[place]
    if IS_OLD and kind.startswith(SAID_TO_BE_INEXACT):
        with pytest.warns(UserWarning, match=r"bit-exact: .*update Keras to 3\.6"):
            fit(tmp_path, make)
        pytest.skip("with Keras before 3.6 it is not exact, and a warning says so")
    steps = make().get("steps_per_epoch", STEPS)
    whole, history = never_stopped(kind)
    stop = 2 * steps + {"an epoch's end": 1, "the middle of an epoch": 3}.get(place, 0)
    with pytest.raises(Stop):
        fit(tmp_path / "run", make, crash_after(stop), **settings)
    seed = 2 if kind.startswith(ANY_SEED) else 1
    resumed, resumed_history = fit(tmp_path / "run", make, seed=seed, **settings)
    assert resumed_history == history
    assert_same(arrays_of(resumed), whole)


@pytest.mark.skipif(IS_OLD, reason="a warning says that it is not exact")
def test_batches_that_keras_drew_beforehand_are_those_of_the_earlier_run(tmp_path):
    """Keras looks at two before any callback knows of the training."""
    kind = "a generator of global random numbers"
    whole, history = never_stopped(kind)
    with pytest.raises(Stop):
        fit(tmp_path, KINDS[kind], crash_after(1), save_freq=1)
    resumed, resumed_history = fit(tmp_path, KINDS[kind], seed=2, save_freq=1)
    assert resumed_history == history
    assert_same(arrays_of(resumed), whole)


@pytest.mark.any_backend
@pytest.mark.skipif(IS_OLD, reason="this Keras lets the order of the workers depend on time")
@pytest.mark.filterwarnings("ignore:os.fork")
def test_a_dataset_whose_workers_are_processes_goes_on_as_if_never_stopped(tmp_path):
    """Each epoch starts processes anew, with the order that `on_epoch_end` has left."""
    made = []

    class Counts(Shuffled):
        def __init__(self):
            super().__init__(workers=2, use_multiprocessing=True)
            self.ended = 0
            made.append(self)

        def on_epoch_end(self):
            self.ended += 1
            super().on_epoch_end()

    def data():
        return {"x": Counts(), "shuffle": True, "epochs": 3}

    whole, history = fit(tmp_path / "whole", data)
    with pytest.raises(Stop):
        fit(tmp_path / "run", data, crash_after(STEPS + 3), save_freq=2)
    resumed, resumed_history = fit(tmp_path / "run", data, save_freq=2)
    assert resumed_history == history
    assert_same(arrays_of(resumed), arrays_of(whole))
    assert made[2].ended == made[0].ended


@pytest.mark.skipif(IS_OLD, reason="with this Keras, they are drawn again")
@pytest.mark.parametrize("settings", [{}, {"workers": 2}])
def test_batches_that_are_done_are_not_computed_again(tmp_path, settings):
    """They may cost minutes each."""
    with pytest.raises(Stop):
        fit(tmp_path, lambda: {"x": Shuffled()}, crash_after(3), save_freq=3)
    data = Shuffled(**settings)
    fit(tmp_path, lambda: {"x": data, "epochs": 1}, save_freq=3)
    # Keras looks at the shapes of the first ones, and workers go on from there.
    beforehand = 2 if BACKEND == "tensorflow" else STEPS if settings else 1
    assert sorted(data.asked[beforehand:]) == [3, 4]


def test_an_epoch_whose_data_became_fewer_counts_as_done(tmp_path):
    def arrays(count):
        return lambda: {"x": X[:count], "y": Y[:count], "batch_size": BATCH}

    with pytest.raises(Stop):
        fit(tmp_path, arrays(10), crash_after(4), save_freq=4)
    with pytest.warns(UserWarning, match="batches"):
        _, history = fit(tmp_path, arrays(4), save_freq=4)
    assert len(history["loss"]) == 4


def test_slow_drawing_shows_its_progress(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("kerascheckpoint.keras_seam.past_data._SILENT", 0.0)
    with pytest.raises(Stop):
        fit(tmp_path, KINDS["a generator"], crash_after(2 * STEPS + 3), save_freq=2)
    fit(tmp_path, KINDS["a generator"], save_freq=2)
    shown = capsys.readouterr().out
    assert "drawing the data of the completed epochs again: batch 10 of 10" in shown
    assert "drawing the batches that are done again: batch 2 of 2" in shown
