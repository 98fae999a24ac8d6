"""Resume: the best value and its file outlive the run; damaged files count for nothing."""

import h5py
import pytest

from kerascheckpoint import (
    CheckpointWarning,
    latest_checkpoint,
    list_checkpoints,
    restore_checkpoint,
)
from support import training
from support.resuming import assert_as_if_never_stopped, checkpoint_at, fitted
from support.training import At, Script, train


def test_the_best_survives_and_a_worse_model_never_replaces_it(tmp_path):
    path, settings = tmp_path / "m.keras", {"save_best_only": True, "resume": True}
    model = training.tiny_model()
    train(model, Script(val_loss=[0.5, 0.2]), checkpoint_at(path, **settings), epochs=2)
    resumed = checkpoint_at(path, **settings)
    bars = []
    look = At(2, lambda: bars.append((resumed.best, list_checkpoints(path)[0].epoch)))
    train(model, Script(val_loss=[None, None, 0.3, 0.1]), resumed, look, epochs=4)
    assert bars == [(0.2, 2)]
    assert (resumed.best, list_checkpoints(path)[0].epoch) == (0.1, 4)
    again = checkpoint_at(path, **settings)
    train(model, Script(val_loss=[0.0] * 4 + [0.15]), again, epochs=5)
    assert again.best == 0.1
    assert again.best_filepath == str(path)
    assert list_checkpoints(path)[0].epoch == 4


@pytest.mark.parametrize(
    ("mode", "threshold", "bar"), [("min", 0.3, 0.2), ("min", 0.1, 0.1), ("max", 0.3, 0.5)]
)
def test_the_bar_is_the_better_of_threshold_and_restored_best(tmp_path, mode, threshold, bar):
    path, model = tmp_path / "{epoch}.keras", training.tiny_model()
    train(model, Script(val_loss=[0.5, 0.2]), checkpoint_at(path, mode=mode), epochs=2)
    settings = {"mode": mode, "resume": True, "initial_value_threshold": threshold}
    resumed = checkpoint_at(path, save_best_only=True, **settings)
    train(model, Script(val_loss=[9, 9, bar]), resumed, epochs=3)
    assert resumed.best == bar
    assert len(list_checkpoints(tmp_path)) == 2


def test_the_best_is_known_from_the_record_when_its_file_is_gone(tmp_path):
    path, model = tmp_path / "{epoch}.keras", training.tiny_model()
    train(model, Script(val_loss=[0.2, 0.5]), checkpoint_at(path), epochs=2)
    (tmp_path / "1.keras").unlink()
    resumed = checkpoint_at(path, resume=True, save_best_only=True)
    train(model, Script(val_loss=[9, 9, 0.3]), resumed, epochs=3)
    assert resumed.best == 0.2
    assert [info.epoch for info in list_checkpoints(tmp_path)] == [2]


def test_a_damaged_newest_file_is_passed_over_with_a_warning(tmp_path, uninterrupted):
    path = tmp_path / "{epoch}.keras"
    fitted(checkpoint_at(path), epochs=3)
    training.damage(tmp_path / "3.keras")
    with pytest.warns(CheckpointWarning, match=r"passed over: .*3\.keras.*damaged") as caught:
        model, history = fitted(checkpoint_at(path, resume=True))
    assert len(training.texts(caught)) == 1
    assert_as_if_never_stopped(model, history, uninterrupted)


@pytest.mark.parametrize("content", [b"", b"junk"])
def test_an_unreadable_newest_file_is_stepped_back_from_with_a_warning(
    tmp_path, uninterrupted, content
):
    path = tmp_path / "{epoch}.keras"
    fitted(checkpoint_at(path), epochs=3)
    (tmp_path / "3.keras").write_bytes(content)
    with pytest.warns(CheckpointWarning, match=r"3\.keras"):
        model, history = fitted(checkpoint_at(path, resume=True))
    assert_as_if_never_stopped(model, history, uninterrupted)


@pytest.mark.parametrize("values", [[0.5, 0.3, 0.1], [0.5, 0.1, 0.3]])
def test_a_damaged_best_file_sets_no_threshold_and_is_not_the_best(tmp_path, shared_model, values):
    path = tmp_path / "{epoch}.keras"
    train(shared_model, Script(val_loss=values), checkpoint_at(path), epochs=3)
    training.damage(tmp_path / f"{values.index(0.1) + 1}.keras")
    resumed = checkpoint_at(path, resume=True, save_best_only=True)
    with pytest.warns(CheckpointWarning, match="passed over"):
        train(shared_model, Script(val_loss=[9, 9, 0.2, 0.15]), resumed, epochs=4)
    assert resumed.best == 0.15
    assert resumed.best_filepath == str(tmp_path / "4.keras")


def test_a_damaged_file_takes_no_place_among_those_to_keep(tmp_path, shared_model):
    path = tmp_path / "{epoch}-{val_loss}.keras"
    train(shared_model, Script(val_loss=[0.5, 0.3, 0.1]), checkpoint_at(path), epochs=3)
    training.damage(tmp_path / "3-0.1.keras")
    resumed = checkpoint_at(path, resume=True, keep_best=2)
    with pytest.warns(CheckpointWarning, match="passed over"):
        train(shared_model, Script(val_loss=[9, 9, 0.4, 0.7]), resumed, epochs=4)
    kept = {"2-0.3.keras", "3-0.4.keras", "4-0.7.keras", "3-0.1.keras"}
    assert set(training.names_in(tmp_path)) == kept


def test_a_change_smaller_than_min_delta_sets_no_threshold_after_a_restart_either(
    tmp_path, shared_model
):
    def bests(directory, stops):
        for epochs in stops:
            checkpoint = checkpoint_at(directory / "{epoch}.keras", min_delta=0.1, resume=True)
            train(shared_model, Script(val_loss=[0.5, 0.45, 0.39]), checkpoint, epochs=epochs)
        return checkpoint.best, [info.best for info in list_checkpoints(directory)]

    expected = (0.39, [True, False, True])
    assert bests(tmp_path / "one", [3]) == bests(tmp_path / "two", [2, 3]) == expected


def test_resuming_from_a_file_changed_without_harm_warns_of_the_change(tmp_path):
    path, model = tmp_path / "{epoch}.weights.h5", training.tiny_model()
    train(model, checkpoint_at(path), epochs=2)
    with h5py.File(tmp_path / "2.weights.h5", "r+") as file:
        file.attrs["note"] = "the good one"
    with pytest.warns(CheckpointWarning, match=r"2\.weights\.h5' was changed") as caught:
        train(model, checkpoint_at(path, resume=True), epochs=3)
    assert len(training.texts(caught)) == 1
    for look in (latest_checkpoint, lambda at: restore_checkpoint(model, at)):
        with pytest.warns(CheckpointWarning, match="was changed since it was written"):
            assert look(tmp_path / "2.weights.h5").epoch == 2
    with h5py.File(tmp_path / "2.weights.h5") as file:
        assert file.attrs["note"] == "the good one"
