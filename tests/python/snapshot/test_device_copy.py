"""Copies of what lies on devices: started by the save, finished by the writing thread.

The processor stands for a device here, so that the same code runs without a GPU. JAX' newer
versions have pinned memory on it as well.
"""

from typing import Any

import keras
import numpy as np
import pytest
from keras import layers

from kerascheckpoint import CheckpointWarning, ModelCheckpoint, verify_checkpoint
from kerascheckpoint.backends.arrays import hold, numpy_views, shape_and_dtype
from kerascheckpoint.saving import Saver
from kerascheckpoint.snapshot import device_copy
from kerascheckpoint.snapshot.capture import Snapshotter, state_variables
from kerascheckpoint.snapshot.device_copy import DeviceSnapshots, fits
from kerascheckpoint.snapshot.staging import StagingBuffers
from support import devices, small_files, training
from support.background import Reference, assert_saves_stay_apart, without_seeds

# Without a GPU PyTorch pins no memory, and JAX only in its newer versions.
pytestmark = pytest.mark.filterwarnings(
    "ignore:saves come faster", "ignore:saves of this model take longer"
)


@pytest.fixture(params=devices.ROUTES)
def route(request):
    with devices.processor_as_device(request.param):
        yield request.param


@pytest.fixture
def on_device():
    with devices.processor_as_device():
        yield


def wide_model():
    """Return a model with large and small arrays, half precision, seeds and moving averages."""
    stack = [
        layers.Dense(700, activation="relu"),
        layers.Dense(700, dtype="mixed_bfloat16"),
        layers.BatchNormalization(),
        layers.Dropout(0.3),
        layers.Dense(1, dtype="float32"),
    ]
    model = keras.Sequential([keras.Input((3,)), *stack])
    model.compile(keras.optimizers.Adam(0.05), "mse", jit_compile=False)
    return model


def test_the_file_holds_every_byte_of_its_instant_however_long_training_went_on(
    route, hold, tmp_path
):
    """Donated buffers and updates in place: what follows must not reach a copy on its way."""
    model = wide_model()
    reference = Reference()
    saving = ModelCheckpoint(tmp_path / "{epoch}.keras", "loss", save_on_background=True)
    holding = hold(saving)
    go_on = training.At(1, holding.release, batch=25)  # of the second epoch, before its save
    training.train(model, reference, holding, saving, go_on, epochs=4, steps=30)
    assert len(reference.states) == 4
    for epoch, state in enumerate(reference.states, start=1):
        path = tmp_path / f"{epoch}.keras"
        verify_checkpoint(path)
        loaded = training.arrays_of(keras.saving.load_model(path))
        training.assert_same(without_seeds(loaded), without_seeds(state))


def test_several_saves_in_a_row_stay_apart(route, tmp_path):
    """One being written and one waiting: no memory is used again too early."""
    assert_saves_stay_apart(tmp_path)


@pytest.mark.parametrize("suffix", small_files.SUFFIXES)
@pytest.mark.parametrize("background", [False, True])
def test_the_file_is_the_same_as_without_a_device(suffix, background, tmp_path, monkeypatch):
    """In the foreground arrays come in batches while those before them are written."""
    monkeypatch.setattr(device_copy, "_BATCH", 1 << 20)
    model = wide_model()
    training.train(model)
    contents = []
    for name in ("processor", "device"):
        saver, outcome = Saver(on_background=background), []
        path = str(tmp_path / f"{name}{suffix}")
        if name == "device":
            with devices.processor_as_device():
                save_twice(saver, model, path, outcome)
        else:
            save_twice(saver, model, path, outcome)
        assert outcome == [None, None]
        verify_checkpoint(path)
        contents.append(small_files.read(path))
    training.assert_same(*contents)


def save_twice(saver, model, path, outcome):
    for _ in range(2):
        saver.save(model, path, small_files.FIELDS, outcome.append)
    saver.report_finished(wait_for_all=True)


def test_what_is_held_on_a_device_tells_its_shape_and_dtype_without_a_transfer(on_device):
    values = {"empty": np.zeros((0, 2)), "scalar": 3.0, "matrix": np.ones((2, 3))}
    own = {
        f"{name} {dtype}": keras.ops.cast(keras.ops.convert_to_tensor(value, "float32"), dtype)
        for name, value in values.items()
        for dtype in ("float32", "bfloat16", "float16", "int32", "bool", "uint8")
    }
    own |= {"float8": float8()}
    held = hold(own)
    assert not any(isinstance(value, np.ndarray) for value in held.values())
    kinds = {name: shape_and_dtype(value) for name, value in held.items()}
    copies = DeviceSnapshots()
    pending = copies.start(held, {})
    arrays = pending.wait()
    assert list(arrays) == list(own)
    expected = numpy_views(own)
    for name, array in arrays.items():
        assert (array.shape, array.dtype) == kinds[name], name
        assert array.tobytes() == expected[name].tobytes(), name
    pending.release()


def float8():
    """Return an array of one of the dtypes that NumPy itself does not know."""
    return keras.ops.cast(keras.ops.convert_to_tensor([1.5, -2.0], "float32"), "float8_e4m3fn")


def test_a_copy_lies_in_memory_as_it_will_lie_in_the_file(on_device, backend):
    """Only then direct I/O writes it from where it lies."""
    if backend != "torch":
        pytest.skip("JAX and TensorFlow choose the memory of a transfer themselves")
    pending = DeviceSnapshots().start({"a": keras.ops.ones((600, 600))}, {"a": 7 * 4096 + 48})
    assert pending.wait()["a"].ctypes.data % 4096 == 48


def test_what_the_first_copy_needs_is_there_before_it(on_device, backend):
    """Compiling and pinning memory take seconds: a thread does both when training begins."""
    if backend == "tensorflow":
        pytest.skip("TensorFlow needs neither")
    model = wide_model()
    training.train(model)
    memory = StagingBuffers()
    memory.prepare(state_variables(model))
    memory._finish_preparing()
    copier: Any = memory._devices._copier
    before = list(copier._compiled) if backend == "jax" else [id(block) for block in copier._free]
    staged = memory.stage(Snapshotter().capture(model, weights_only=True), {})
    staged.content()
    memory.release(staged)
    after = list(copier._compiled) if backend == "jax" else [id(block) for block in copier._free]
    assert len(before) == 1
    assert after == before


def test_no_pinned_memory_is_said_once(on_device, backend, tmp_path):
    model = training.tiny_model()
    saving = ModelCheckpoint(tmp_path / "{epoch}.keras", "loss", save_on_background=True)
    if backend == "torch":
        with pytest.warns(CheckpointWarning, match="no pinned memory") as caught:
            training.train(model, saving, epochs=3)
        assert sum("pinned" in text for text in training.texts(caught)) == 1
    else:
        training.train(model, saving, epochs=3)
    assert training.names_in(tmp_path) == ["1.keras", "2.keras", "3.keras"]


@pytest.mark.parametrize(
    ("room", "fit"),
    [
        ([], True),
        ([(10, 100, 100)], True),
        ([(10, 15, 100)], True),
        ([(10, 14, 100)], False),
        ([(10, 100, 100), (10, 9, 100)], False),
        ([(10, -5, 100)], False),
    ],
)
def test_a_copy_is_made_where_it_leaves_room_on_every_device(room, fit):
    assert fits(room) is fit
