"""`save_freq` as a share of the training time, and as a function of the user's."""

import numpy as np
import pytest

from kerascheckpoint import ModelCheckpoint, list_checkpoints
from support import training
from support.small_files import read_record
from support.training import train


def test_a_share_leaves_a_file_however_short_the_run(tmp_path, shared_model):
    train(shared_model, ModelCheckpoint(tmp_path / "{step}.keras", save_freq="2%"))
    assert training.places(tmp_path) == [("train_end", 1, 0, 4)]


@pytest.mark.parametrize("background", [False, True])
def test_a_share_saves_early_and_says_what_it_measured(tmp_path, shared_model, capsys, background):
    settings = {"save_freq": "100%", "save_on_background": background, "verbose": 1}
    train(shared_model, ModelCheckpoint(tmp_path / "{step}.keras", **settings), epochs=30)
    infos = list_checkpoints(tmp_path)
    assert infos[0].reason == "time"
    assert infos[0].step <= 20
    assert infos[-1].step == 120
    assert read_record(infos[0].path)["budget"] == {"share": 1.0}
    budget = read_record(infos[-1].path)["budget"]
    assert budget["interval"] == pytest.approx(budget["cost"])
    assert "stays within 100% of the training time" in capsys.readouterr().out


@pytest.mark.parametrize("save_freq", ["0%", "101%", "-1%", "2 percent", "%", "1e1%", "2%%"])
def test_a_wrong_share_is_refused_at_once(save_freq):
    with pytest.raises(ValueError, match=r"^Unrecognized save_freq: .*2%"):
        ModelCheckpoint("m.keras", save_freq=save_freq)


def test_a_function_is_asked_at_each_batch_and_epoch_and_obeyed(tmp_path, shared_model):
    asked = []

    def wanted(epoch, batch, logs):
        asked.append((epoch, batch, "loss" in logs))
        return (epoch, batch) in ((0, 2), (1, None))

    train(shared_model, ModelCheckpoint(tmp_path / "{step}.keras", save_freq=wanted), epochs=2)
    assert asked == [(epoch, batch, True) for epoch in (0, 1) for batch in (0, 1, 2, 3, None)]
    assert training.places(tmp_path) == [("batch", 0, 3, 3), ("epoch", 2, 0, 8)]


def test_a_function_that_never_wants_a_file_gets_none(tmp_path, shared_model):
    never = ModelCheckpoint(tmp_path / "m.keras", save_freq=lambda *_: np.bool_(False))
    train(shared_model, never)
    assert training.names_in(tmp_path) == []


@pytest.mark.parametrize("answer", [None, 1, "yes"])
def test_a_function_that_answers_otherwise_is_refused(tmp_path, shared_model, answer):
    checkpoint = ModelCheckpoint(tmp_path / "m.keras", save_freq=lambda *_: answer)
    with pytest.raises(TypeError, match=rf"must return True or False. It returned {answer!r}"):
        train(shared_model, checkpoint)
