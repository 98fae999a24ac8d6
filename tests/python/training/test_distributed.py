"""Several processes that train one model into one directory: one of them writes, none waits.

Each framework's own means to start such a training is used, with two processes on this machine.
Keras' `fit()` cannot train with several workers of TensorFlow: it builds the model from a batch of
`PerReplica` values, which are no tensors (Keras 3.15.1). So a loop of the user's own trains there.
"""

import json

import keras
import pytest

from kerascheckpoint import list_checkpoints, verify_checkpoint
from kerascheckpoint.keras_seam.private import VERSION
from support import processes, training

IS_TENSORFLOW = keras.config.backend() == "tensorflow"
pytestmark = pytest.mark.skipif(
    keras.config.backend() == "jax" and VERSION < (3, 6),
    reason="this Keras finds no processor of a second process on JAX",
)

FIT = """
def fit(model, *callbacks, epochs, done):
    return training.train(model, *callbacks, epochs=epochs)
"""

LOOP = """
def fit(model, *callbacks, epochs, done):
    x, y = training.samples()
    data = tf.data.Dataset.from_tensor_slices((x, y)).batch(training.BATCH)
    data = strategy.experimental_distribute_dataset(data)

    @tf.function
    def step(batch):
        def on_replica(x, y):
            with tf.GradientTape() as tape:
                loss = tf.reduce_mean((model(x, training=True) - y) ** 2)
            weights = model.trainable_variables
            model.optimizer.apply_gradients(zip(tape.gradient(loss, weights), weights))
            return loss
        return strategy.reduce("MEAN", strategy.run(on_replica, batch), axis=None)

    events = keras.callbacks.CallbackList(
        list(callbacks), model=model, epochs=epochs, steps=training.STEPS)
    model.stop_training, logs = False, {}
    events.on_train_begin()
    for epoch in range(done[0], epochs):
        events.on_epoch_begin(epoch)
        for batch, values in enumerate(data):
            if (epoch, batch) < tuple(done):
                continue
            events.on_train_batch_begin(batch)
            logs = {"loss": float(step(values))}
            events.on_train_batch_end(batch, logs)
            if model.stop_training:
                break
        events.on_epoch_end(epoch, logs)
        if model.stop_training:
            break
    events.on_train_end(logs)
"""

TRAIN = """
import keras
if keras.config.backend() == "jax":
    import inspect
    parallel = keras.distribution.DataParallel  # an older Keras never splits the data itself
    names = inspect.signature(parallel.__init__).parameters
    plain = {"auto_shard_dataset": False} if "auto_shard_dataset" in names else {}
    keras.distribution.set_distribution(parallel(**plain))
keras.utils.set_random_seed(1)
from support import training
from kerascheckpoint import ModelCheckpoint

class Signal(keras.callbacks.Callback):
    def on_train_batch_end(self, batch, logs=None):
        if rank == signaled and batch == 1:
            import signal
            os.kill(os.getpid(), signal.SIGTERM)

template, epochs, signaled, done, settings = arguments
template = template.replace("RANK", str(rank))
with scope:
    model = training.tiny_model()
saving = ModelCheckpoint(template, monitor="loss", mode="min", keep_last=2, **settings)
fit(model, Signal(), saving, epochs=epochs, done=done)
weights = [float(keras.ops.sum(w)) for w in model.get_weights()]
said = {"last": saving.last_filepath, "interrupted": saving.interrupted, "weights": weights}
print(json.dumps(said))
"""


def train_in_two(template, *, epochs=3, signaled=None, done=(0, 0), **settings):
    """Train in two processes; return what each says, the first one first.

    Args:
        template: Where to save.
        epochs: How many epochs.
        signaled: Number of the process that gets a signal.
        done: Epochs and batches that a loop of the user's own passes over.
        settings: For the callback.
    """
    code = (LOOP if IS_TENSORFLOW else FIT) + TRAIN
    said = processes.run_two(code, str(template), epochs, signaled, done, settings)
    return [json.loads(output.splitlines()[-1]) for output in said]


@pytest.mark.parametrize("background", [False, True], ids=["foreground", "background"])
def test_only_the_first_process_writes_and_deletes(background, tmp_path):
    """Two writers would write twice as much, and delete each other's files."""
    first, second = train_in_two(
        tmp_path / "{epoch}.keras", save_best_only=True, save_on_background=background
    )
    assert first["last"] == str(tmp_path / "3.keras")
    assert second["last"] is None
    names = training.names_in(tmp_path)
    assert names == ["2.keras", "3.keras"]
    for name in names:
        verify_checkpoint(tmp_path / name)
        keras.saving.load_model(tmp_path / name)


def test_a_signal_to_one_process_stops_both_and_both_resume_from_there(tmp_path):
    """Only the second one gets it, in the first epoch; the first one saves at that batch.

    Each has a disk of its own, so only the first one sees the file to go on from.
    """
    template = tmp_path / "RANK" / "{epoch}.weights.keras"
    said = train_in_two(template, signaled=1, save_on_interrupt=True)
    assert [each["interrupted"] for each in said] == [True, True]
    assert training.places(tmp_path / "0") == [("interrupt", 0, 2, 2)]
    first, second = train_in_two(template, epochs=2, done=(0, 2), resume=True)
    assert first["last"] == str(tmp_path / "0" / "2.weights.keras")
    assert second["last"] is None
    assert first["weights"] == second["weights"]
    assert [info.epoch for info in list_checkpoints(tmp_path / "0")] == [1, 2]
    assert not (tmp_path / "1").exists()
