"""Callbacks of one `fit`, and of several at once."""

import threading

import pytest

from kerascheckpoint import ModelCheckpoint, list_checkpoints
from kerascheckpoint.training.fit_group import FitGroup
from support import training
from support.resuming import checkpoint_at
from support.training import Script, train


class Member:
    """Stands for a run, which a group only keeps and hands out."""


@pytest.mark.any_backend
def test_threads_that_train_at_the_same_time_do_not_disturb_each_other():
    """Each `fit` of a thread joins and leaves while others look for their companions."""
    errors = []
    start = threading.Barrier(8)

    def train_often():
        start.wait()
        try:
            for _ in range(500):
                params, runs = {}, [Member(), Member()]
                groups = [FitGroup.register(run, params) for run in runs]
                assert groups[0] is groups[1]
                assert groups[0].runs_beside(runs[0]) == [runs[1]]
                for run in runs:
                    groups[0].unregister(run)
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=train_often) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []


@pytest.mark.any_backend
def test_only_callbacks_with_the_same_params_are_of_one_fit():
    first, second, alone = Member(), Member(), Member()
    params = {}
    group = FitGroup.register(first, params)
    assert FitGroup.register(second, params) is group
    assert FitGroup.register(alone, {}) is not group
    assert FitGroup.register(Member(), None) is not FitGroup.register(Member(), None)


def test_two_models_are_trained_in_two_threads(tmp_path):
    models = [training.tiny_model() for _ in range(2)]
    for model in models:
        train(model)  # compiled, so that the threads only train
    errors = []

    def fit(number):
        try:
            path = tmp_path / str(number) / "{epoch}.keras"
            train(models[number], ModelCheckpoint(path, keep_last=2), epochs=10)
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=fit, args=(number,)) for number in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    for number in range(2):
        assert [info.epoch for info in list_checkpoints(tmp_path / str(number))][-1] == 10


def test_what_a_follower_wrote_in_all_earlier_runs_counts_for_retention(tmp_path, shared_model):
    """The other callback continues from that file, and still owns the files of all its runs."""
    for epochs in (1, 2, 3):
        kept = checkpoint_at(tmp_path / "kept" / "{epoch}.keras", resume=True, keep_last=2)
        newest = checkpoint_at(tmp_path / "newest" / "m.keras", resume=True, save_freq=100)
        falling = Script(val_loss=[0.3, 0.2, 0.1])
        train(shared_model, falling, newest, kept, epochs=epochs)
    assert training.files(tmp_path / "kept") == ["2.keras", "3.keras"]
