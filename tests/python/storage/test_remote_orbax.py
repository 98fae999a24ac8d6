"""`.orbax` checkpoints in an object store that Orbax itself serves: Google's, by its emulator."""

import re
import uuid

import keras
import pytest

import kerascheckpoint as kc
from kerascheckpoint import CheckpointWriteError, ModelCheckpoint
from kerascheckpoint.formats.orbax import access, items
from support import training

for package in ("orbax.checkpoint", "gcsfs", "gcp_storage_emulator"):
    pytest.importorskip(package)
pytestmark = pytest.mark.any_backend

KILLED = """
import os, signal, sys
from kerascheckpoint import ModelCheckpoint
from kerascheckpoint.formats.orbax import items
from support import training
items.finish = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
training.train(training.tiny_model(), ModelCheckpoint(sys.argv[1], "loss"))
"""


@pytest.fixture
def run(gs, monkeypatch):
    """The URL of a directory in a bucket, which all clients find by the environment."""
    where = f"http://127.0.0.1:{gs.port}"
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", where)  # Google's Python clients
    monkeypatch.setenv("TENSORSTORE_GCS_HTTP_URL", where)
    monkeypatch.setenv("GOOGLE_AUTH_TOKEN_FOR_TESTING", "any")
    monkeypatch.setenv("GOOGLE_CLOUD_PROJECT", "p")
    return f"gs://bucket/{uuid.uuid4().hex}"


def names_below(url):
    """Return the names of all objects below a URL, temporary ones too."""
    import gcsfs

    found = gcsfs.GCSFileSystem(token="anon", skip_instance_cache=True).find(url)
    return [name.removeprefix(f"{url.removeprefix('gs://')}/") for name in found]


@pytest.mark.filterwarnings("ignore:saves come faster:kerascheckpoint.CheckpointWarning")
def test_a_run_is_saved_resumed_kept_verified_and_restored(run):
    path, whole = f"{run}/{{epoch}}.orbax", training.noisy_model()
    training.train(whole, epochs=4)
    settings = {"monitor": "loss", "resume": True, "save_on_background": True, "keep_last": 2}
    training.train(training.noisy_model(), ModelCheckpoint(path, **settings), epochs=2)
    assert [info.epoch for info in kc.list_checkpoints(run)] == [1, 2]
    model, saving = training.noisy_model(), ModelCheckpoint(path, **settings)
    assert training.train(model, saving, epochs=4).epoch == [0, 1, 2, 3]
    training.assert_same(training.arrays_of(model), training.arrays_of(whole))
    latest = kc.latest_checkpoint(run)
    assert latest.path == saving.last_filepath == f"{run}/4.orbax"
    assert kc.verify_checkpoint(latest.path) == latest
    kept = {info.path.removeprefix(f"{run}/") for info in kc.list_checkpoints(path)}
    assert {"3.orbax", "4.orbax"} <= kept
    assert {name.partition("/")[0] for name in names_below(run)} == kept
    other = training.noisy_model()
    assert kc.restore_checkpoint(other, latest.path) == latest
    training.assert_same(training.arrays_of(other), training.arrays_of(model))


def test_orbax_itself_finds_the_step_and_restores_it(run):
    import orbax.checkpoint as ocp

    model = training.tiny_model()
    training.train(model, ModelCheckpoint(f"{run}/m.orbax", "loss"))
    found = ocp.CheckpointManager(f"{run}/m.orbax")
    assert found.all_steps() == [int(model.optimizer.iterations.numpy())]
    restored = found.restore(
        found.latest_step(), args=ocp.args.Composite(pytree=ocp.args.PyTreeRestore())
    )
    stored = keras.tree.flatten(restored["pytree"]["trainable_variables"])
    assert sorted(map(bytes, stored)) == sorted(map(bytes, model.get_weights()))


def test_a_copy_of_a_local_directory_is_a_checkpoint(run, tmp_path):
    import gcsfs

    path, model = tmp_path / "m.orbax", training.tiny_model()
    training.train(model, ModelCheckpoint(path, "loss"))
    gcsfs.GCSFileSystem(token="anon").put(f"{path}/", f"{run}/copy.orbax/", recursive=True)
    copied, other = kc.verify_checkpoint(f"{run}/copy.orbax"), training.tiny_model()
    assert copied.size == kc.verify_checkpoint(path).size
    kc.restore_checkpoint(other, copied.path)
    training.assert_same(training.arrays_of(other), training.arrays_of(model))


def test_a_checkpoint_is_replaced_whole_or_not_at_all(run, monkeypatch):
    """Also one of the same step, and one of a later step than the new one."""
    path, model = f"{run}/m.orbax", training.tiny_model()
    training.train(model, ModelCheckpoint(path, "loss"), epochs=2)
    old = kc.list_checkpoints(path)

    def fail(*_):
        raise RuntimeError("the store is full")

    with monkeypatch.context() as patch:
        patch.setattr(items, "finish", fail)
        with pytest.raises(CheckpointWriteError, match=rf"{path}.*the store is full"):
            training.train(training.tiny_model(), ModelCheckpoint(path, "loss"))
    assert kc.list_checkpoints(path) == old
    for epochs in (1, 1, 2):
        model = training.tiny_model()
        training.train(model, ModelCheckpoint(path, "loss", save_freq="epoch"), epochs=epochs)
        (info,) = kc.list_checkpoints(path)
        assert (info.epoch, info) == (epochs, kc.verify_checkpoint(path))
        assert len({name.split("/")[1] for name in names_below(run)}) == 1


def test_a_killed_save_leaves_the_old_checkpoint_and_is_cleaned(run):
    """A list does not show its half; the next training beside it removes that."""
    path = f"{run}/1.orbax"
    training.train(training.tiny_model(), ModelCheckpoint(path, "loss"))
    old = names_below(run)
    ended = training.in_python(KILLED, path)
    assert ended.returncode == -9, ended.stderr
    assert len(names_below(run)) > len(old) + 1
    assert [info.path for info in kc.list_checkpoints(run)] == [path]
    kc.verify_checkpoint(path)
    training.train(training.tiny_model(), ModelCheckpoint(f"{run}/2.orbax", "loss"))
    assert [name for name in names_below(run) if not name.startswith("2.orbax/")] == old


def test_places_that_orbax_cannot_use_are_refused_before_the_first_batch(run, monkeypatch):
    files = "s3://bucket/{epoch}.orbax"
    with pytest.raises(ValueError, match=re.escape("gs:// URLs, and no others. End filepath in")):
        ModelCheckpoint(files)
    with pytest.raises(ValueError, match="Received: storage_options for token"):
        ModelCheckpoint(f"{run}/m.orbax", storage_options={"token": "anon"})
    model = training.tiny_model()
    with pytest.raises(CheckpointWriteError, match="no bucket 'absent'"):
        training.train(model, ModelCheckpoint("gs://absent/run/m.orbax", "loss"))
    monkeypatch.setattr(access, "kvstore", lambda _: {"driver": "memory"})
    with pytest.raises(CheckpointWriteError, match="TensorStore does not find what"):
        training.train(model, ModelCheckpoint(f"{run}/m.orbax", "loss"))
    assert int(model.optimizer.iterations.numpy()) == 0
