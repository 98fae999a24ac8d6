"""The random numbers of TensorFlow, PyTorch and a host language are restored too."""

import json
import random

import keras
import numpy as np
import pytest

from kerascheckpoint import CheckpointCorruptError, ModelCheckpoint, restore_checkpoint
from kerascheckpoint.state import host
from kerascheckpoint.state import random as random_state
from kerascheckpoint.state.base import stored_state
from kerascheckpoint.state.packing import pack
from support.training import noisy_model, train

on_tensorflow = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="the random numbers of TensorFlow"
)
on_torch = pytest.mark.skipif(keras.backend.backend() != "torch", reason="those of PyTorch")


@pytest.fixture
def host_language():
    """A host that draws its random numbers from a generator of its own."""
    numbers = random.Random(7)

    def capture():
        version, words, gauss = numbers.getstate()
        return json.dumps([version, list(words), gauss])

    def restore(text):
        version, words, gauss = json.loads(text)
        numbers.setstate((version, tuple(words), gauss))

    host.set_host_state(capture, restore)
    yield numbers
    host.set_host_state(None, None)


def saved(directory):
    path = directory / "m.keras"
    train(noisy_model(), ModelCheckpoint(path))
    return path


def test_the_numbers_of_a_host_language_go_on_where_they_were(tmp_path, host_language):
    path = saved(tmp_path)
    expected = [host_language.random() for _ in range(3)]
    host_language.seed(1)
    restore_checkpoint(noisy_model(), path)
    assert [host_language.random() for _ in range(3)] == expected


def test_a_file_of_a_host_restores_without_one(tmp_path, host_language):
    path = saved(tmp_path)
    expected = np.random.rand()
    host.set_host_state(None, None)
    restore_checkpoint(noisy_model(), path)
    assert np.random.rand() == expected


def test_one_function_of_a_host_alone_is_refused():
    with pytest.raises(ValueError, match="set_host_state"):
        host.set_host_state(lambda: None, None)


@on_tensorflow
def test_tensorflows_generator_and_the_seeds_of_its_operations_go_on(tmp_path):
    import tensorflow as tf

    def draw():
        generator = tf.random.get_global_generator()
        return [float(generator.normal(())), float(tf.random.uniform(()))]

    tf.random.set_seed(3)
    tf.random.get_global_generator().reset_from_seed(5)
    draw()
    state = random_state.capture_process()
    expected = [draw() for _ in range(3)]
    tf.random.set_seed(3)
    tf.random.set_global_generator(tf.random.Generator.from_seed(1, alg="threefry"))
    random_state.restore_process(state)
    assert [draw() for _ in range(3)] == expected


@on_tensorflow
def test_without_a_seed_and_a_generator_nothing_of_tensorflow_is_made(tmp_path):
    import tensorflow as tf

    model = noisy_model()
    tf.random.set_seed(None)
    tf.random.set_global_generator(None)
    assert not [
        name for name in random_state.RandomState(model).capture() if name.startswith("tensorflow")
    ]


@on_torch
def test_pytorchs_numbers_go_on():
    import torch

    state = random_state.RandomState(noisy_model()).capture()
    expected = torch.rand(3)
    torch.manual_seed(1)
    random_state.restore_process(state)
    assert torch.equal(torch.rand(3), expected)


UNUSABLE = {
    "a host's that is no text": {"host": 3},
    "a host's that is no JSON": {"host": "{"},
    "no bytes of PyTorch's": {"torch": pack(np.zeros(4, np.float32))},
    "a GPU's that is no row": {"torch_cuda": [pack(np.zeros((2, 2), np.uint8))]},
    "a short generator of TensorFlow": {
        "tensorflow_generator": {"algorithm": 1, "state": pack(np.zeros(1, np.int64))}
    },
    "seeds of operations that are none": {
        "tensorflow_operations": {"seed": 1, "state": [3, pack(np.zeros(2, np.uint64)), None]}
    },
}


@pytest.mark.parametrize("name", UNUSABLE)
def test_an_unusable_state_is_found_by_the_check(name):
    model = noisy_model()
    numbers = random_state.RandomState(model)
    state = {"version": 1} | numbers.capture() | UNUSABLE[name]
    with pytest.raises(CheckpointCorruptError, match="its state 'random' is not usable"):
        stored_state(numbers, {"states": {"random": state}})
