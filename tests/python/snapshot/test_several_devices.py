"""A model on several devices of one host is saved in the same file as on one.

JAX and TensorFlow count parts of the processor as devices of their own. PyTorch trains one model in
two processes, of which the first one writes.
"""

import keras
import pytest

from kerascheckpoint import verify_checkpoint
from support import processes, small_files, training

SETTINGS = """
import contextlib, os, sys
os.environ["XLA_FLAGS"] = "--xla_force_host_platform_device_count=4"
os.environ["JAX_PLATFORMS"] = "cpu"
import keras
from support import devices, training
from kerascheckpoint import ModelCheckpoint

def new_model():
    layers = [keras.layers.Dense(8, name="wide"), keras.layers.Dense(1, name="out")]
    model = keras.Sequential([keras.Input((3,)), *layers])
    model.compile("adam", "mse")
    return model

def save(model, name, background):
    saving = ModelCheckpoint(name, "loss", save_on_background=background)
    saving.set_model(model)
    saving.on_train_begin()
    saving.on_epoch_begin(0)
    saving.on_epoch_end(0, {"loss": 1.0})
    saving.on_train_end()

def save_in_every_way(model, path, routes):
    for route in routes:
        for background in (False, True):
            with devices.processor_as_device(route) if route else contextlib.nullcontext():
                save(model, path.format(f"{route}-{background}"), background)

def save_on_one_device(arrays, path):
    model = new_model()
    model.optimizer.build(model.trainable_variables)
    own = [*model.variables, *model.optimizer.variables]
    assert len(own) == len(arrays)
    for variable, value in zip(own, arrays.values()):
        variable.assign(value)
    save(model, path.format("one"), False)
"""

JAX = """
import jax, numpy as np
from kerascheckpoint.backends.arrays import hold_shards
from kerascheckpoint.backends.jax_layout import Layout
from kerascheckpoint.snapshot.capture import Snapshotter
from kerascheckpoint.snapshot.shards import split
from kerascheckpoint.snapshot.staging import StagingBuffers

def stage(memory, model):
    content = Snapshotter().capture(model, weights_only=True, hold=hold_shards)
    values = {name: np.array(each) for name, each in split(content.arrays).items()}
    return memory.stage(content, {}), values

def stage_two_in_a_row(model):
    # Nothing is copied, and nothing that training does then reaches what was staged.
    memory, staged = StagingBuffers(), []
    for _ in range(2):
        staged.append(stage(memory, model))
        views = split(staged[-1][0].content().arrays).values()
        own = [shard.data for shard in model.layers[0].kernel.value.addressable_shards[:2]]
        own_memory = {part.unsafe_buffer_pointer() for part in own}
        assert own_memory <= {view.ctypes.data for view in views}
        training.train(model, batch_size=8)
    for one, values in staged:
        training.assert_same(split(one.content().arrays), values)

def data():
    return keras.distribution.DataParallel()

def model():
    mesh = keras.distribution.DeviceMesh((2, 2), ("batch", "model"))
    layout = keras.distribution.LayoutMap(mesh)
    layout[".*wide/kernel"], layout[".*wide/bias"] = (None, "model"), ("model",)
    return keras.distribution.ModelParallel(layout_map=layout, batch_dim_name="batch")

for way in (data, model):
    keras.distribution.set_distribution(way())
    spread = new_model()
    training.train(spread, batch_size=8)
    kernel = spread.layers[0].kernel.value
    assert len(kernel.sharding.device_set) == 4
    shards = [shard.shape for shard in Layout([kernel]).shards([kernel])]
    assert shards == ([(3, 8)] if way is data else [(3, 4), (3, 4)]), shards
    if way is model:
        stage_two_in_a_row(spread)
    path = os.path.join(sys.argv[1], way.__name__ + "-{}.keras")
    save_in_every_way(spread, path, [None, *devices.ROUTES])
    keras.distribution.set_distribution(None)
    keras.backend.clear_session()
    save_on_one_device(training.arrays_of(spread), path)
"""

TENSORFLOW = """
import tensorflow as tf
cpus = tf.config.list_physical_devices("CPU")
tf.config.set_logical_device_configuration(cpus[0], [tf.config.LogicalDeviceConfiguration()] * 2)
strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
with strategy.scope():
    mirrored = new_model()
training.train(mirrored)
path = os.path.join(sys.argv[1], "mirrored-{}.keras")
assert strategy.num_replicas_in_sync == len(mirrored.layers[0].kernel.value.values) == 2
save_in_every_way(mirrored, path, [None])
keras.backend.clear_session()
save_on_one_device(training.arrays_of(mirrored), path)
"""

TORCH = """
model = new_model()
model.optimizer.build(model.trainable_variables)
replica = torch.nn.parallel.DistributedDataParallel(model)
for step in range(3):
    x, y = map(torch.from_numpy, training.samples(seed=2 * step + rank))  # each process its own
    model.zero_grad()
    ((replica(x) - y) ** 2).mean().backward()
    with torch.no_grad():
        model.optimizer.apply([v.value.grad for v in model.trainable_variables])
[directory] = arguments
path = os.path.join(directory, "replicas-{}.keras")
save_in_every_way(model, path, [None, *devices.ROUTES])
torch.distributed.barrier()
torch.distributed.destroy_process_group()
if rank == 0:
    save_on_one_device(training.arrays_of(model), path)
"""


@pytest.mark.filterwarnings("ignore:saves of this model take longer")
def test_a_model_on_several_devices_is_saved_as_on_one(backend, tmp_path):
    """Also where processors count as devices, whose arrays are copied and sent in shards."""
    if backend == "torch":
        processes.run_two(SETTINGS + TORCH, str(tmp_path))
    else:
        code = SETTINGS + {"jax": JAX, "tensorflow": TENSORFLOW}[backend]
        done = training.in_python(code, str(tmp_path))
        assert done.returncode == 0, done.stderr
    files = training.names_in(tmp_path)
    assert len(files) == {"jax": 14, "tensorflow": 3, "torch": 7}[backend]
    for name in files:
        verify_checkpoint(tmp_path / name)
        reference = small_files.read(tmp_path / f"{name.partition('-')[0]}-one.keras")
        assert len(reference) == 14
        training.assert_same(small_files.read(tmp_path / name), reference)
    keras.saving.load_model(tmp_path / files[0])
