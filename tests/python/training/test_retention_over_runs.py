"""Retention over runs: what is deleted is ours, and never the best or the newest."""

import pytest

from kerascheckpoint import (
    CheckpointWarning,
    list_checkpoints,
)
from support import training
from support.resuming import checkpoint_at
from support.training import At, Script, train


def epochs_kept(directory):
    return [info.epoch for info in list_checkpoints(directory)]


@pytest.mark.parametrize(
    ("settings", "kept"),
    [
        ({"keep_last": 2}, [2, 5, 6]),
        ({"keep_best": 2}, [2, 4, 6]),
        ({"keep_best": 1, "keep_last": 1}, [2, 6]),
        ({"keep_best": 1, "keep_last": 1, "save_best_only": True}, [2]),
        ({"keep_best": 2, "save_on_background": True}, [2, 4, 6]),
    ],
    ids=str,
)
@pytest.mark.parametrize("runs", [1, 2, 3])
@pytest.mark.filterwarnings("ignore:saves come faster than they can be written")
def test_the_best_and_the_newest_are_kept_over_all_runs(
    tmp_path, shared_model, settings, kept, runs
):
    losses = [0.5, 0.1, 0.4, 0.2, 0.9, 0.8]
    for run in range(1, runs + 1):
        checkpoint = checkpoint_at(tmp_path / "{epoch}.keras", resume=True, **settings)
        train(shared_model, Script(val_loss=losses), checkpoint, epochs=6 * run // runs)
    assert epochs_kept(tmp_path) == kept


def test_files_of_others_are_never_deleted(tmp_path, shared_model):
    path = tmp_path / "{epoch}.keras"
    train(shared_model, checkpoint_at(path), epochs=2)
    shared_model.save(tmp_path / "77.keras")
    (tmp_path / "88.keras").write_bytes(b"not ours")
    train(shared_model, checkpoint_at(tmp_path / "x{epoch}.keras", keep_last=1), epochs=3)
    assert training.names_in(tmp_path) == ["1.keras", "2.keras", "77.keras", "88.keras", "x3.keras"]


def test_files_of_another_template_are_not_deleted(tmp_path, shared_model):
    train(shared_model, checkpoint_at(tmp_path / "a-{epoch:02d}.keras"), epochs=2)
    other = checkpoint_at(tmp_path / "a-{epoch}.keras", resume=True, keep_last=1)
    train(shared_model, other, epochs=4)
    assert training.names_in(tmp_path) == ["a-01.keras", "a-02.keras", "a-4.keras"]


def test_a_fresh_run_deletes_nothing_of_an_earlier_one(tmp_path, shared_model):
    path = tmp_path / "{step}.keras"
    train(shared_model, checkpoint_at(path), epochs=2)
    train(shared_model, checkpoint_at(path, keep_last=1), epochs=3, steps=3)
    assert training.names_in(tmp_path) == ["4.keras", "8.keras", "9.keras"]


@pytest.mark.filterwarnings("ignore:val_loss is nan")
def test_not_a_number_takes_no_place_among_the_best(tmp_path, shared_model):
    script = Script(val_loss=[float("nan"), 0.3, 0.2, 0.25, 0.9])
    train(shared_model, script, checkpoint_at(tmp_path / "{epoch}.keras", keep_best=2), epochs=5)
    assert epochs_kept(tmp_path) == [3, 4, 5]


def test_a_failed_deletion_is_a_warning_and_training_continues(tmp_path, shared_model):
    first = tmp_path / "1.keras"

    def put_a_directory_there():
        first.unlink()
        first.mkdir()

    checkpoint = checkpoint_at(tmp_path / "{epoch}.keras", keep_last=1, monitor="none")
    with pytest.warns(CheckpointWarning, match=r"could not be deleted.*1\.keras"):
        train(shared_model, checkpoint, At(0, put_a_directory_there), epochs=3)
    assert training.names_in(tmp_path) == ["1.keras", "3.keras"]


def test_a_file_that_somebody_else_deleted_is_nothing_to_speak_of(tmp_path, shared_model):
    checkpoint = checkpoint_at(tmp_path / "{epoch}.keras", keep_last=1)
    train(shared_model, checkpoint, At(0, (tmp_path / "1.keras").unlink), epochs=3)
    assert training.names_in(tmp_path) == ["3.keras"]
