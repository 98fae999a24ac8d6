"""Several processes that train one model into one directory: one of them writes, none waits.

Each framework's own means to start such a training is used, with two processes on this machine.
"""

import json

import keras
import pytest

from kerascheckpoint import list_checkpoints, verify_checkpoint
from support import processes, training

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

template, epochs, signaled, settings = arguments
with scope:
    model = training.tiny_model()
saving = ModelCheckpoint(template, monitor="loss", mode="min", keep_last=2, **settings)
training.train(model, Signal(), saving, epochs=epochs)
print(json.dumps({"last": saving.last_filepath, "interrupted": saving.interrupted}))
"""


def train_in_two(template, *, epochs=3, signaled=None, **settings):
    """Train in two processes; return what each says, the first one first."""
    ended = processes.finish(processes.start(TRAIN, str(template), epochs, signaled, settings))
    skip_where_it_cannot_run([error for *_, error in ended])
    assert [code for code, *_ in ended] == [0, 0], ended
    return [json.loads(output.splitlines()[-1]) for _, output, _ in ended]


def skip_where_it_cannot_run(errors):
    """Skip where two processes cannot train whatever callbacks there are.

    Keras 3 hands TensorFlow's `PerReplica` values to functions that do not know them, as soon as a
    MultiWorkerMirroredStrategy has more than one worker.
    """
    for reason in ("PerReplica", "Operation not permitted"):
        lines = [line for error in errors for line in error.splitlines() if reason in line]
        if lines:
            pytest.skip(f"two processes cannot train here: {lines[-1].strip()[:120]}")


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
    """Only the second one gets it, in the first epoch; the first one saves at that batch."""
    template = tmp_path / "{epoch}.weights.keras"
    said = train_in_two(template, signaled=1, save_on_interrupt=True)
    assert [each["interrupted"] for each in said] == [True, True]
    assert training.places(tmp_path) == [("interrupt", 0, 2, 2)]
    first, second = train_in_two(template, epochs=2, resume=True)
    assert first["last"] == str(tmp_path / "2.weights.keras")
    assert second["last"] is None
    assert [info.epoch for info in list_checkpoints(tmp_path)] == [1, 2]
