"""Copies of arrays on devices: started by the save, finished by the writing thread.

The processor stands for a device here, so that the same code runs without a GPU. JAX' newer
versions have pinned memory on it as well.
"""

import importlib
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
    is_jax = keras.config.backend() == "jax"  # which donates nothing without compiling
    model.compile(keras.optimizers.Adam(0.05), "mse", jit_compile=is_jax)
    return model


def test_the_file_holds_the_state_of_its_save_however_long_training_continued(
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
def test_the_file_is_the_same_as_without_a_device(
    suffix, background, backend, tmp_path, monkeypatch
):
    """In the foreground arrays come in batches while those before them are written."""
    monkeypatch.setattr(device_copy, "_BATCH", 1 << 20)
    if backend != "tensorflow":
        copies = importlib.import_module(f"kerascheckpoint.backends.{backend}_copies")
        monkeypatch.setattr(copies, "PIECE", 1000)  # bytes; large arrays are cut, small ones joined
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


def test_many_small_arrays_are_moved_as_few(on_device, backend):
    """JAX takes some 50 microseconds for each array, whatever its size."""
    if backend != "jax":
        pytest.skip("PyTorch and TensorFlow move each array in little time")
    shapes = [(3, 5), (7,), (), (0, 4), (600, 600)]
    own = {
        f"{number} {shape} {dtype}": keras.ops.cast(keras.ops.full(shape, number % 100), dtype)
        for number in range(70)
        for shape in shapes
        for dtype in ("float32", "bfloat16")
    }
    held = hold(own)
    copies = DeviceSnapshots()
    pending: Any = copies.start(held, {})
    # 70 of a kind are 2 stacks; the large ones stay alone in float32 and bfloat16.
    assert len(pending._copies._copies) == 2 * (4 * 2 + 70)
    arrays = pending.wait()
    for name, array in arrays.items():
        assert array.shape == own[name].shape, name
        assert array.tobytes() == np.asarray(own[name]).tobytes(), name
    pending.release()


def test_a_copy_is_aligned_in_memory_as_in_the_file(on_device, backend):
    """So that direct I/O can write it without another copy."""
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
    before = ready(copier, backend)
    staged = memory.stage(Snapshotter().capture(model, weights_only=True), {})
    staged.content()
    memory.release(staged)
    assert len(before) == 1
    assert ready(copier, backend) == before


def ready(copier, backend):
    """Return what a copier has compiled, or the memory that it has pinned."""
    if backend == "jax":
        return [id(each) for layout in copier._layouts.values() for each in layout._compiled]
    return [id(block) for block in copier._free]


def test_a_fit_from_the_start_compiles_and_pins_before_its_first_save(
    on_device, backend, tmp_path, monkeypatch
):
    """The optimizer has its variables when training begins, so that the thread knows them."""
    if backend == "tensorflow":
        pytest.skip("TensorFlow needs neither")
    saving = ModelCheckpoint(tmp_path / "{epoch}.keras", "loss", save_on_background=True)
    blocks, found = [], []
    if backend == "torch":
        from kerascheckpoint.backends import torch_copies

        block = torch_copies.Block
        monkeypatch.setattr(torch_copies, "Block", lambda size: blocks.append(size) or block(size))

    def look(epoch, logs):
        memory = saving._saver._memory
        memory._finish_preparing()
        copier: Any = memory._devices._copier
        found.append(len(ready(copier, backend)) if backend == "jax" else len(blocks))

    looking = keras.callbacks.LambdaCallback(on_epoch_begin=look, on_epoch_end=look)
    training.train(wide_model(), saving, looking)
    assert found == [1, 1]


def test_memory_on_the_device_is_free_as_soon_as_the_host_has_the_arrays(on_device, backend):
    """The write takes seconds more, and training may need the memory."""
    if backend != "jax":
        pytest.skip("PyTorch keeps its buffers between saves, TensorFlow lets each array go")
    import jax

    held = hold({"a": keras.ops.ones((3, 5)), "b": keras.ops.zeros((4,))})
    before = len(jax.live_arrays())
    pending = DeviceSnapshots().start(held, {})
    arrays = pending.wait()
    on_host = len([kind for kind in kinds_of_memory() if kind]) * len(held)
    assert len(jax.live_arrays()) - before == on_host
    assert arrays["a"].sum() == 15
    pending.release()


def kinds_of_memory():
    """Return pinned memory's kind, if this JAX knows it here."""
    import jax

    kinds = {memory.kind for memory in jax.devices()[0].addressable_memories()}
    return kinds & {"pinned_host"}


def test_the_next_arrays_are_on_their_way_while_those_before_are_written(on_device, monkeypatch):
    """A save in the foreground takes as long as the slower of the two, and not as both."""
    monkeypatch.setattr(device_copy, "_BATCH", 80)
    held = hold({str(number): keras.ops.full((10,), number) for number in range(6)})
    copies, started = DeviceSnapshots(), []
    copier: Any = copies._get_copier()
    send = copier.to_host

    def to_host(values, *where):
        started.append(len(values))
        return send(values, *where)

    monkeypatch.setattr(copier, "to_host", to_host)
    arrays = copies.stream(held)
    seen = []
    for number, array in enumerate(arrays.values()):
        assert array.tolist() == [number] * 10
        seen.append(sum(started))
    arrays.close()
    assert seen == [4, 4, 6, 6, 6, 6]


@pytest.mark.parametrize("layout", ["transposed", "every second", "expanded", "shared"])
def test_tensors_of_any_layout_are_copied_as_they_are_seen(route, layout, backend):
    """Layers may make a tensor of theirs a view of another one."""
    if backend != "torch":
        pytest.skip("arrays of JAX and TensorFlow have one layout")
    whole = keras.ops.reshape(keras.ops.arange(24, dtype="float32"), (4, 6))
    seen = {
        "transposed": lambda: whole.T,
        "every second": lambda: whole[:, ::2],
        "expanded": lambda: whole[:, :1].expand(4, 5),
        "shared": lambda: whole,
    }[layout]()
    held = hold({"a": seen, "b": whole, "c": float8(), "d": seen})
    pending = DeviceSnapshots().start(held, {})
    expected = {name: array.copy() for name, array in numpy_views(held).items()}
    arrays = pending.wait()
    for name, array in arrays.items():
        assert array.tobytes() == expected[name].tobytes(), name
    pending.release()


def test_an_abandoned_save_does_not_block_the_next_one(on_device, backend, monkeypatch):
    """An interrupt may end a save between any two lines of it."""
    if backend == "torch":
        from kerascheckpoint.backends import torch_copies

        monkeypatch.setattr(torch_copies, "_TIMEOUT", 0.0)
    copies = DeviceSnapshots()
    given_up = copies.start(hold({"a": keras.ops.ones((3,))}), {})
    pending = copies.start(hold({"a": keras.ops.zeros((3,))}), {})
    assert pending.wait()["a"].tolist() == [0, 0, 0]
    assert given_up.wait()["a"].tolist() == [1, 1, 1]
    for each in (given_up, pending):
        each.release()


def test_a_failed_staging_frees_the_memory_of_the_device(on_device, backend, monkeypatch):
    if backend != "torch":
        pytest.skip("PyTorch alone has buffers that a later copy waits for")
    model = training.tiny_model()
    memory = StagingBuffers()
    monkeypatch.setattr(memory, "_take", lambda size: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        memory.stage(Snapshotter().capture(model, weights_only=True), {})
    copier: Any = memory._devices._copier
    assert copier._idle.is_set()


def test_missing_pinned_memory_is_warned_of_once(on_device, backend, tmp_path):
    model = training.tiny_model()
    saving = ModelCheckpoint(tmp_path / "{epoch}.keras", "loss", save_on_background=True)
    if backend == "torch" and "cuda" not in str(model.weights[0].value.device):
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
