"""A `tf.data` pipeline whose options ask for it continues from the state of its iterator.

Each sample is a file, and the files of the batches that are done are deleted before the resume: a
pipeline that read them again would fail.
"""

import contextlib
import functools
import itertools
import pathlib

import keras
import numpy as np
import pytest

from kerascheckpoint import CheckpointMismatchError, ModelCheckpoint
from kerascheckpoint.keras_seam import pipeline_data
from support.small_files import read_record
from support.training import arrays_of, assert_same, noisy_model

tf = pytest.importorskip("tensorflow")
pytestmark = [
    pytest.mark.skipif(
        keras.config.backend() != "tensorflow", reason="only TensorFlow trains on the iterator"
    ),
    # Keras says so at the end of each pipeline of unknown length.
    pytest.mark.filterwarnings("ignore:Your input ran out of data"),
]
BATCH, STEPS = 2, 6


class Stop(Exception):
    """Ends a training as a crash does."""


def write_files(directory):
    """Write a file for each sample; return their paths."""
    numbers = np.random.default_rng(0).normal(size=(STEPS * BATCH, 3)).astype("float32")
    directory.mkdir(exist_ok=True)
    for index, sample in enumerate(numbers):
        (directory / f"{index:02d}").write_bytes(sample.tobytes())
    return sorted(map(str, directory.iterdir()))


def load(path):
    """Return the sample in a file, its target, and as its weight 1."""
    x = tf.reshape(tf.io.decode_raw(tf.io.read_file(path), tf.float32), (3,))
    return x, tf.reduce_sum(x, keepdims=True)


def with_state(dataset, asked=True):
    options = tf.data.Options()
    options.experimental_symbolic_checkpoint = asked
    return dataset.with_options(options)


def pipeline(paths, *, shuffles=True, repeat=False, length_is_known=True, asked=True, seed=3):
    data = tf.data.Dataset.from_tensor_slices(paths)
    if shuffles:
        data = data.shuffle(len(paths), seed=seed)
    if not length_is_known:
        data = data.filter(lambda path: tf.strings.length(path) > 0)
    data = data.map(load, num_parallel_calls=tf.data.AUTOTUNE).batch(BATCH)
    data = data.repeat() if repeat else data
    return with_state(data.prefetch(1), asked)


def fit(run, make, stop=None, *, model=None, **settings):
    """Train a model made anew on data made anew; return it and its history.

    `stop` is the number of the batch that ends it.
    """
    model, batches = model or noisy_model(), itertools.count(1)
    if not model.compiled:
        model.compile("sgd", "mse")

    def end(batch, logs=None):
        if next(batches) == stop:
            raise Stop

    freq = settings.pop("save_freq", 1)
    ours = ModelCheckpoint(run / "{step:03d}.keras", "loss", resume=True, save_freq=freq)
    callbacks = [ours, keras.callbacks.LambdaCallback(on_train_batch_end=end)]
    arguments = {"epochs": 3, "verbose": 0, "shuffle": False} | settings
    return model, model.fit(make(), callbacks=callbacks, **arguments).history


KINDS = {
    "shuffled": ({}, {}),
    "of unknown length": ({"length_is_known": False}, {}),
    "endless": ({"repeat": True}, {"steps_per_epoch": 4}),
    "over epochs": ({"shuffles": False}, {"steps_per_epoch": 2}),
}
PLACES = {"an epoch's end": "epoch", "the middle": 3, "an epoch's last batch": 1}


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_as_if_never_stopped(tmp_path, kind):
    made, settings = KINDS[kind]
    make = functools.partial(pipeline, write_files(tmp_path / "data"), **made)
    whole, history = fit(tmp_path / "whole", make, **settings)
    steps = settings.get("steps_per_epoch", STEPS)
    for place, freq in PLACES.items():
        stop = steps + {"an epoch's end": 1, "the middle": 3, "an epoch's last batch": 0}[place]
        run = functools.partial(fit, tmp_path / place, save_freq=freq, **settings)
        with pytest.raises(Stop):
            run(make, stop=stop)
        resumed, resumed_history = run(make)
        assert resumed_history == history, place
        assert_same(arrays_of(resumed), arrays_of(whole))


@pytest.mark.parametrize("settings", [{"epochs": 1}, {"epochs": 3, "steps_per_epoch": 2}])
def test_batches_that_are_done_are_not_read_again(tmp_path, settings):
    """Reading them may take hours."""
    paths = write_files(tmp_path / "data")
    make = functools.partial(pipeline, paths, shuffles=False)
    whole, _ = fit(tmp_path / "whole", make, **settings)
    with pytest.raises(Stop):
        fit(tmp_path / "run", make, stop=3, **settings)
    for path in paths[: 3 * BATCH]:
        pathlib.Path(path).unlink()
    resumed, _ = fit(tmp_path / "run", make, **settings)
    assert_same(arrays_of(resumed), arrays_of(whole))


@pytest.mark.filterwarnings("ignore:a resume of this training will not be bit-exact")
def test_an_epoch_without_a_seed_continues_with_the_samples_that_are_left(tmp_path):
    """Drawn again, its first batches would be others, and samples would be trained twice."""
    paths = write_files(tmp_path / "data")
    trained = []

    def data():
        tf.random.set_seed(None)
        return pipeline(paths, seed=None)

    class Notes(keras.Sequential):
        def train_step(self, batch):
            tf.numpy_function(lambda x: trained.extend(x[:, 0]), [batch[0]], [])
            return super().train_step(batch)

    for stop in (4, None):
        model = Notes([keras.Input((3,)), keras.layers.Dense(1)])
        with contextlib.suppress(Stop):
            fit(tmp_path / "run", data, stop, model=model, epochs=1)
    assert len(set(trained)) == len(trained) == STEPS * BATCH


@pytest.mark.parametrize("why", ["not asked for", "random numbers", "a large buffer", "a cache"])
def test_other_pipelines_are_drawn_again(tmp_path, why):
    paths = write_files(tmp_path / "data")

    def data():
        made = pipeline(paths, asked=why != "not asked for")
        if why == "random numbers":
            made = made.map(lambda x, y: (x + tf.random.uniform((), seed=1), y))
        if why == "a large buffer":
            made = made.unbatch().shuffle(2000, seed=1).batch(BATCH)
        return with_state(made.cache()) if why == "a cache" else made

    whole, history = fit(tmp_path / "whole", data, epochs=1)
    with pytest.raises(Stop):
        fit(tmp_path / "run", data, stop=3, epochs=1)
    newest = max((tmp_path / "run").iterdir())
    assert "iterator" not in read_record(newest)["states"]["data"]
    resumed, resumed_history = fit(tmp_path / "run", data, epochs=1)
    assert resumed_history == history
    assert_same(arrays_of(resumed), arrays_of(whole))


@pytest.mark.parametrize("change", ["a smaller buffer", "another function"])
def test_a_pipeline_that_has_changed_is_drawn_again(tmp_path, change):
    """TensorFlow would crash or train on nothing if it read a state of another pipeline."""
    paths = write_files(tmp_path / "data")

    def data(buffer=8, *, more=False):
        def files(path):
            each = tf.data.Dataset.from_tensors(path)
            return each.map(lambda path: path) if more else each

        shuffled = tf.data.Dataset.from_tensor_slices(paths).shuffle(buffer, seed=1)
        return with_state(shuffled.interleave(files, cycle_length=2).map(load).batch(BATCH))

    with pytest.raises(Stop):
        fit(tmp_path / "run", data, stop=3, epochs=1)
    changed = {"buffer": 2} if change == "a smaller buffer" else {"more": True}
    _, history = fit(tmp_path / "run", functools.partial(data, **changed), epochs=1)
    assert len(history["loss"]) == 1


def test_a_state_that_tensorflow_cannot_read_is_an_error(tmp_path):
    data = pipeline(write_files(tmp_path / "data"))
    with pytest.raises(CheckpointMismatchError, match="without experimental_symbolic_checkpoint"):
        pipeline_data._read(iter(data), np.zeros(9, np.uint8))


def test_drawing_again_names_the_option(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("kerascheckpoint.keras_seam.past_data._SILENT", 0.0)
    make = functools.partial(pipeline, write_files(tmp_path / "data"), asked=False)
    with pytest.raises(Stop):
        fit(tmp_path / "run", make, stop=3, epochs=1)
    fit(tmp_path / "run", make, epochs=1)
    assert capsys.readouterr().out.count("experimental_symbolic_checkpoint=True") == 1
