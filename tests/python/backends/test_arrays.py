"""Views of variables must be exact, or a file would hold the values of another moment."""

import keras
import ml_dtypes
import numpy as np
import pytest

from kerascheckpoint.backends.arrays import numpy_views
from support import training


def variables():
    """Return variables of several shapes and dtypes, by name."""
    values = {
        "matrix": (np.arange(6).reshape(2, 3), "float32"),
        "scalar": (3, "float32"),
        "empty": (np.zeros((0, 2)), "float32"),
        "count": (7, "int32"),
        "flag": (True, "bool"),
        "short": ([1.5, 2.5], "bfloat16"),
    }
    return {
        # PyTorch knows no gradients of whole numbers.
        name: keras.Variable(value, dtype=kind, trainable="float" in kind)
        for name, (value, kind) in values.items()
    }


def assert_exact(arrays):
    assert arrays["matrix"].tolist() == [[0, 1, 2], [3, 4, 5]]
    assert arrays["scalar"].shape == () and arrays["scalar"] == 3
    assert arrays["empty"].shape == (0, 2)
    assert arrays["count"].dtype == np.int32 and arrays["count"] == 7
    assert arrays["flag"].dtype == np.bool_ and arrays["flag"]
    assert arrays["short"].dtype == ml_dtypes.bfloat16
    assert arrays["short"].astype("float32").tolist() == [1.5, 2.5]


def test_variables_tensors_and_arrays_are_seen_under_their_names_in_their_order():
    others = {"array": np.ones(2), "tensor": keras.ops.ones(3)}
    found = numpy_views(variables() | others)
    assert list(found) == [*variables(), *others]
    assert all(isinstance(array, np.ndarray) for array in found.values())
    assert_exact(found)
    assert found["array"].tolist() == [1, 1] and found["tensor"].tolist() == [1, 1, 1]


def test_nothing_is_seen_where_there_is_nothing():
    assert numpy_views({}) == {}


def test_a_view_of_tensorflow_outlives_every_change_of_its_variable(backend):
    if backend != "tensorflow":
        pytest.skip("other backends' views hold until the next batch")
    own = variables()
    found = numpy_views(own)
    for variable in own.values():
        variable.assign(np.zeros(variable.shape))
    assert_exact(found)


def test_variables_of_several_devices_are_seen_as_well(backend):
    if backend != "tensorflow":
        pytest.skip("TensorFlow alone reads variables of one device at once")
    done = training.in_python("""
import tensorflow as tf
cpus = tf.config.list_physical_devices("CPU")
tf.config.set_logical_device_configuration(cpus[0], [tf.config.LogicalDeviceConfiguration()] * 2)
from kerascheckpoint.backends.arrays import numpy_views
found = {}
for number in range(2):
    with tf.device(f"CPU:{number}"):
        found[f"single {number}"] = tf.Variable(float(number))
with tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]).scope():
    found["mirrored"] = tf.Variable(5.0)
print([float(array) for array in numpy_views(found).values()])
print([float(array) for array in numpy_views({"single 1": found["single 1"]}).values()])
del found["mirrored"]
print([float(array) for array in numpy_views(found).values()])
""")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-3:] == ["[0.0, 1.0, 5.0]", "[1.0]", "[0.0, 1.0]"]
