"""Copies for the background: memory reused too early would mix the values of two saves."""

import threading
import time

import keras
import numpy as np
import pytest

from kerascheckpoint.backends.arrays import numpy_views
from kerascheckpoint.snapshot.capture import Snapshotter, state_variables
from kerascheckpoint.snapshot.staging import StagingBuffers
from kerascheckpoint.storage.direct_io import BLOCK, LARGE

WIDTH = 600
assert WIDTH * WIDTH * 4 > LARGE


@pytest.fixture(autouse=True)
def on_processor():
    """Keep the arrays in host memory, on a machine with a GPU as well."""
    with keras.device("cpu:0"):
        yield


@pytest.fixture
def model():
    return keras.Sequential([keras.Input((WIDTH,)), keras.layers.Dense(WIDTH)])


def capture(model):
    return Snapshotter().capture(model, weights_only=True)


def kernel_of(content):
    return next(array for array in content.arrays.values() if array.shape == (WIDTH, WIDTH))


def update(kernel):
    """Change a variable as training does: in place, where that is the backend's way."""
    if keras.config.backend() == "tensorflow":
        kernel.value.assign_add(np.ones(kernel.shape, "float32"))
    else:
        kernel.assign(np.zeros(kernel.shape))


def wait_for_copying():
    """Wait for the threads that copy: when they are gone, so is all that they held."""
    for thread in threading.enumerate():
        if thread.name.startswith("kerascheckpoint copy"):
            thread.join()


def test_staged_arrays_keep_their_values_and_their_memory_is_reused(model):
    memory, kernel = StagingBuffers(), model.layers[0].kernel
    places = set()
    for value in (1.0, 2.0, 3.0):
        kernel.assign(np.full(kernel.shape, value))
        detached = memory.stage(capture(model), {})
        update(kernel)
        copy = kernel_of(detached.content())
        assert np.all(copy == value)
        places.add(copy.ctypes.data)
        memory.release(detached)
    assert len(places) == 1


def test_memory_that_is_not_released_is_not_reused(model):
    memory = StagingBuffers()
    first, second = (kernel_of(memory.stage(capture(model), {}).content()) for _ in range(2))
    assert not np.shares_memory(first, second)


def test_the_memory_of_the_first_copy_is_in_use_before_it():
    """To find memory for a gigabyte takes the system seconds: a thread has it do so beforehand."""
    resource = pytest.importorskip("resource", reason="Windows does not count page faults")
    wide = keras.Sequential([keras.Input((2000,)), keras.layers.Dense(2000)])

    def page_faults_of_a_first_copy():
        memory = StagingBuffers()
        memory.prepare(state_variables(wide))
        memory._finish_preparing()
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        staged = memory.stage(capture(wide), {})
        staged.content()
        faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
        memory.release(staged)
        return faults

    # The least of some: threads of the framework cause page faults of their own.
    faults = min(page_faults_of_a_first_copy() for _ in range(5))
    assert faults < 2000 * 2000 * 4 / resource.getpagesize() / 2


def test_what_training_would_change_is_copied_before_it_continues(model, backend, monkeypatch):
    """However slow the copy is."""
    copy_to = np.copyto

    def copy_slowly(*arrays):
        time.sleep(0.1)
        copy_to(*arrays)

    monkeypatch.setattr(np, "copyto", copy_slowly)
    detached = StagingBuffers().stage(capture(model), {})
    is_copied = all(copied.done() for copied in detached._copying)
    assert is_copied is (backend != "tensorflow")
    detached.content()


def test_a_copy_is_aligned_in_memory_as_in_the_file(model):
    """So that direct I/O can write it without another copy."""
    content = capture(model)
    (name,) = (name for name, array in content.arrays.items() if array.nbytes >= LARGE)
    detached = StagingBuffers().stage(content, {name: 7 * BLOCK + 48})
    assert kernel_of(detached.content()).ctypes.data % BLOCK == 48


def test_tensorflow_updates_in_place_again_as_soon_as_its_arrays_are_copied(model, backend):
    """Fresh memory for each array, at every save, would cost the next step more than the copy."""
    if backend != "tensorflow":
        pytest.skip("other backends' views are copied before training goes on")
    kernel = model.layers[0].kernel

    def place():
        return numpy_views({"kernel": kernel})["kernel"].ctypes.data

    before = place()
    detached = StagingBuffers().stage(capture(model), {})
    copy = kernel_of(detached.content()).copy()
    wait_for_copying()
    update(kernel)
    assert place() == before
    assert np.array_equal(kernel_of(detached.content()), copy)
    held = capture(model)
    update(kernel)
    assert place() != before, "a view that is held does not need fresh memory on this TensorFlow"
    del held
