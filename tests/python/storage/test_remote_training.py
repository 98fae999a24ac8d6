"""Training whose checkpoints lie on another machine: all that holds for local files holds there."""

import keras
import pytest

import kerascheckpoint as kc
from kerascheckpoint import ModelCheckpoint, location
from support import training


def epochs_in(place):
    infos = kc.list_checkpoints(place.directory, storage_options=place.options)
    return [info.epoch for info in infos]


@pytest.mark.filterwarnings("ignore:saves come faster:kerascheckpoint.CheckpointWarning")
@pytest.mark.parametrize("background", [False, True])
def test_files_are_saved_listed_verified_and_restored(background, remote):
    path, options = location.join(remote.directory, "{epoch:02d}.keras"), remote.options
    model = training.noisy_model()
    saving = ModelCheckpoint(
        path, monitor="loss", storage_options=options, save_on_background=background
    )
    training.train(model, saving, epochs=3)
    assert saving.last_filepath == path.format(epoch=3)
    assert epochs_in(remote) == [1, 2, 3]
    latest = kc.latest_checkpoint(path, storage_options=options)
    assert latest.path == path.format(epoch=3)
    assert kc.verify_checkpoint(latest.path, storage_options=options) == latest
    assert kc.best_checkpoint(path, "loss", storage_options=options).metrics["loss"] == min(
        info.metrics["loss"] for info in kc.list_checkpoints(path, storage_options=options)
    )
    other = training.noisy_model()
    assert kc.restore_checkpoint(other, latest.path, storage_options=options) == latest
    training.assert_same(training.arrays_of(other), training.arrays_of(model))


def test_weights_are_saved_and_restored_as_well(remote):
    path = location.join(remote.directory, "m.weights.h5")
    model = training.noisy_model()
    settings = {"monitor": "loss", "save_weights_only": True, "storage_options": remote.options}
    training.train(model, ModelCheckpoint(path, **settings))
    other = training.noisy_model()
    assert kc.restore_checkpoint(other, path, storage_options=remote.options).epoch == 1
    training.assert_same(training.arrays_of(other), training.arrays_of(model))


def test_a_run_is_resumed_bit_for_bit(remote):
    path = location.join(remote.directory, "{epoch:02d}.keras")
    settings = {"monitor": "loss", "storage_options": remote.options, "resume": True}
    whole = training.noisy_model()
    training.train(whole, epochs=4)
    training.train(training.noisy_model(), ModelCheckpoint(path, **settings), epochs=2)
    resumed = training.noisy_model()
    history = training.train(resumed, ModelCheckpoint(path, **settings), epochs=4)
    assert history.epoch == [0, 1, 2, 3]
    training.assert_same(training.arrays_of(resumed), training.arrays_of(whole))


def test_only_the_files_to_keep_stay(remote):
    path = location.join(remote.directory, "{epoch:02d}.keras")
    settings = {"monitor": "score", "mode": "min", "storage_options": remote.options}
    scores = training.Script(score=[0.5, 0.1, 0.4, 0.3])
    saving = ModelCheckpoint(path, keep_best=1, keep_last=1, **settings)
    training.train(training.tiny_model(), scores, saving, epochs=4)
    assert epochs_in(remote) == [2, 4]
    assert saving.best_filepath == path.format(epoch=2)


def test_a_damaged_newest_file_is_stepped_back_from(remote, tmp_path):
    path = location.join(remote.directory, "{epoch}.keras")
    saving = ModelCheckpoint(path, monitor="loss", storage_options=remote.options)
    training.train(training.tiny_model(), saving, epochs=2)
    storage, newest = remote.storage, path.format(epoch=2)
    copy = tmp_path / "copy.keras"
    with storage.open(newest) as file:
        copy.write_bytes(file.read())
    training.damage(copy)
    with storage.atomic_write(newest) as staged, open(staged.path, "r+b") as file:
        file.write(copy.read_bytes())
    with pytest.warns(kc.CheckpointWarning, match="passed over"):
        assert kc.latest_checkpoint(path, storage_options=remote.options).epoch == 1


def test_stock_keras_reads_what_was_uploaded(remote, tmp_path):
    path = location.join(remote.directory, "m.keras")
    model = training.tiny_model()
    saving = ModelCheckpoint(path, monitor="loss", storage_options=remote.options)
    training.train(model, saving)
    copy = tmp_path / "copy.keras"
    with remote.storage.open(path) as file:
        copy.write_bytes(file.read())
    loaded = keras.saving.load_model(copy)
    training.assert_same(training.arrays_of(loaded), training.arrays_of(model))
