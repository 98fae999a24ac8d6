"""Without any seed, a resumed epoch trains each sample once, and the later ones are shuffled anew.

The model counts: the gradient of sample i, a unit vector, moves weight i alone.
"""

import importlib
import itertools
import random

import keras
import numpy as np
import pytest

from kerascheckpoint import ModelCheckpoint
from support import small_files
from support.training import At, Stop, stop

SAMPLES, BATCH, EPOCHS = 11, 2, 4
STEPS = -(-SAMPLES // BATCH)


def prediction_alone(y, prediction):
    """Return a loss whose gradient is the input."""
    return prediction


def forget_seeds():
    """Let all random numbers begin anywhere, as in a script that sets no seed."""
    random.seed()
    np.random.seed()
    backend = keras.config.backend()
    if backend == "tensorflow":
        import tensorflow as tf

        tf.random.set_seed(None)
    elif backend == "torch":
        import torch

        torch.seed()


def fit(run, *others, is_seeded=False, **settings):
    if not is_seeded:
        forget_seeds()
    model = keras.Sequential(
        [keras.Input((SAMPLES,)), keras.layers.Dense(1, use_bias=False, kernel_initializer="zeros")]
    )
    model.compile("sgd", loss=prediction_alone)
    ours = ModelCheckpoint(
        run / "{step:03d}.weights.h5", "loss", save_weights_only=True, save_freq=1, resume=True
    )
    x = np.eye(SAMPLES, dtype="float32")
    model.fit(
        x,
        x[:, :1],
        batch_size=BATCH,
        epochs=EPOCHS,
        verbose=0,
        callbacks=[*others, ours],
        **settings,
    )


def trained(run):
    """Return the samples that each batch trained, in the order of the batches."""
    weights = [np.zeros(SAMPLES)]
    for path in sorted(run.glob("*.weights.h5")):
        arrays = small_files.read(path)
        weights.append(next(a.ravel() for a in arrays.values() if a.shape == (SAMPLES, 1)))
    return [tuple(np.flatnonzero(a != b)) for a, b in itertools.pairwise(weights)]


@pytest.mark.parametrize("shuffle", [True, "batch"])
def test_every_sample_of_the_resumed_epoch_is_trained_once(tmp_path, shuffle):
    with pytest.raises(Stop):
        fit(tmp_path, At(1, stop, batch=2), shuffle=shuffle)
    fit(tmp_path, shuffle=shuffle)
    batches = trained(tmp_path)
    epochs = [batches[start : start + STEPS] for start in range(0, len(batches), STEPS)]
    assert len(epochs) == EPOCHS
    for epoch in epochs:
        assert sorted(sample for batch in epoch for sample in batch) == list(range(SAMPLES))
    if shuffle is True:
        assert len({tuple(epoch) for epoch in epochs}) == EPOCHS


@pytest.mark.skipif(keras.config.backend() != "tensorflow", reason="TensorFlow builds a dataset")
@pytest.mark.parametrize("is_seeded", [True, False])
@pytest.mark.parametrize("shuffle", [True, "batch", False])
def test_the_dataset_is_built_once_and_done_batches_are_not_made(
    tmp_path, monkeypatch, shuffle, is_seeded
):
    """Thousands of batches would take seconds, and large arrays would be copied again."""
    import tensorflow as tf

    adapters = importlib.import_module("keras.src.trainers.data_adapters.array_data_adapter")
    build, gather = adapters.ArrayDataAdapter.get_tf_dataset, tf.gather
    built, made = [], []

    def count_built(adapter):
        built.append(adapter)
        return build(adapter)

    def count_made(*arguments, **settings):
        tf.numpy_function(lambda: made.append(1) or np.int64(0), [], tf.int64)
        return gather(*arguments, **settings)

    with pytest.raises(Stop):
        fit(tmp_path, At(EPOCHS - 1, stop, batch=3), shuffle=shuffle, is_seeded=is_seeded)
    monkeypatch.setattr(adapters.ArrayDataAdapter, "get_tf_dataset", count_built)
    monkeypatch.setattr(tf, "gather", count_made)
    fit(tmp_path, shuffle=shuffle, is_seeded=is_seeded)
    assert len(built) == 2  # once by Keras
    assert len(made) == 2 * (STEPS - 3)  # inputs and targets
