"""What the callback says, and to whom."""

import keras
import pytest

import kerascheckpoint
from kerascheckpoint import (
    ModelCheckpoint,
)
from support.training import Script, train


@pytest.mark.parametrize("settings", [{}, {"save_best_only": True}, {"save_on_background": True}])
def test_silence_is_the_default(tmp_path, shared_model, capfd, settings):
    script = Script(val_loss=[0.5, 0.6])
    train(shared_model, script, ModelCheckpoint(tmp_path / "m.keras", **settings), epochs=2)
    assert capfd.readouterr() == ("", "")


def test_messages_say_epoch_metric_from_what_to_what_and_path(tmp_path, shared_model, capsys):
    path = tmp_path / "m.keras"
    checkpoint = ModelCheckpoint(path, verbose=1, save_best_only=True)
    train(shared_model, Script(val_loss=[0.5, 0.75, 0.25]), checkpoint, epochs=3)
    assert [line for line in capsys.readouterr().out.splitlines() if line] == [
        f"Epoch 1: val_loss improved from None to 0.50000, saving model to {path}",
        f"Epoch 1: finished saving model to {path}",
        "Epoch 2: val_loss did not improve from 0.50000",
        f"Epoch 3: val_loss improved from 0.50000 to 0.25000, saving model to {path}",
        f"Epoch 3: finished saving model to {path}",
    ]


def test_messages_without_best_only_name_the_path(tmp_path, shared_model, capsys):
    """What a terminal would obey in it is escaped."""
    train(shared_model, ModelCheckpoint(tmp_path / "m\x1b[2J.keras", verbose=1))
    path = f"{tmp_path}/m\\x1b[2J.keras"
    assert [line for line in capsys.readouterr().out.splitlines() if line] == [
        f"Epoch 1: saving model to {path}",
        f"Epoch 1: finished saving model to {path}",
    ]


def test_messages_obey_keras_own_settings(tmp_path, shared_model, capsys, caplog):
    keras.config.disable_interactive_logging()
    try:
        with caplog.at_level("INFO", logger="absl"):
            train(shared_model, ModelCheckpoint(tmp_path / "m.keras", verbose=1))
    finally:
        keras.config.enable_interactive_logging()
    assert capsys.readouterr().out == ""


def test_a_host_receives_the_warnings_instead_of_python(tmp_path, shared_model):
    heard = []
    kerascheckpoint.notify.set_warning_handler(heard.append)
    try:
        checkpoint = ModelCheckpoint(
            tmp_path / "m.keras", "nothing", save_best_only=True, mode="min"
        )
        train(shared_model, checkpoint)
    finally:
        kerascheckpoint.notify.set_warning_handler(None)
    assert len(heard) == 1
    assert heard[0].startswith("Can save best model only with nothing available")
