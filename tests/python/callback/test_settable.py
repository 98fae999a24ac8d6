"""Arguments set as attributes after construction: checked, and obeyed by the next runs."""

import copy

import pytest

from kerascheckpoint import ModelCheckpoint, list_checkpoints
from support import training
from support.training import Script, train


@pytest.mark.parametrize("copied", [False, True])
def test_a_new_path_and_frequency_are_obeyed_by_the_next_fit(tmp_path, shared_model, copied):
    checkpoint = ModelCheckpoint(tmp_path / "a.keras")
    train(shared_model, checkpoint)
    checkpoint = copy.deepcopy(checkpoint) if copied else checkpoint
    before = (tmp_path / "a.keras").read_bytes()
    checkpoint.filepath = tmp_path / "b-{step}.keras"
    checkpoint.save_freq = 2
    assert repr(checkpoint).startswith(f"<ModelCheckpoint filepath='{tmp_path}/b-{{step}}.keras'")
    train(shared_model, checkpoint)
    assert training.names_in(tmp_path) == ["a.keras", "b-2.keras", "b-4.keras"]
    assert (tmp_path / "a.keras").read_bytes() == before


def test_another_kind_of_file_takes_two_arguments_in_any_order(tmp_path, shared_model):
    checkpoint = ModelCheckpoint(tmp_path / "m.keras")
    checkpoint.save_weights_only = True
    checkpoint.filepath = tmp_path / "m.weights.h5"
    train(shared_model, checkpoint)
    assert training.names_in(tmp_path) == ["m.weights.h5"]
    checkpoint.filepath = tmp_path / "m.keras"
    with pytest.raises(ValueError, match=r"must end in `\.weights\.h5`"):
        train(shared_model, checkpoint)


def test_what_only_the_next_best_decides_is_obeyed(tmp_path, shared_model):
    checkpoint = ModelCheckpoint(tmp_path / "{epoch}-{val_loss}.keras")
    train(shared_model, Script(val_loss=[0.5]), checkpoint)
    checkpoint.save_best_only, checkpoint.min_delta = True, 0.2
    train(shared_model, Script(val_loss=[0.4, 0.3]), checkpoint, epochs=2)
    assert training.files(tmp_path) == ["1-0.5.keras", "2-0.3.keras"]
    checkpoint.mode = "max"
    train(shared_model, Script(val_loss=[0.1]), checkpoint)
    assert checkpoint.best == 0.1


def test_the_best_can_be_set(tmp_path, shared_model):
    checkpoint = ModelCheckpoint(tmp_path / "m.keras", save_best_only=True)
    checkpoint.best = 0.2
    train(shared_model, Script(val_loss=[0.3]), checkpoint)
    assert (checkpoint.best, list_checkpoints(tmp_path)) == (0.2, [])
    with pytest.raises(ValueError, match=r"^best must be a number"):
        checkpoint.best = "low"


@pytest.mark.parametrize("order", [("best", "monitor", "mode"), ("mode", "monitor", "best")])
def test_the_best_that_is_set_together_with_another_metric_counts(tmp_path, shared_model, order):
    """In either order, and only for the next run; after that, another metric starts afresh."""
    checkpoint = ModelCheckpoint(tmp_path / "m.keras", save_best_only=True)
    train(shared_model, Script(val_loss=[0.1]), checkpoint)
    (tmp_path / "m.keras").unlink()
    for name in order:
        setattr(checkpoint, name, {"best": 0.5, "monitor": "score", "mode": "max"}[name])
    train(shared_model, Script(score=[0.4]), checkpoint)
    assert (checkpoint.best, list_checkpoints(tmp_path)) == (0.5, [])
    checkpoint.monitor, checkpoint.mode = "val_loss", "min"
    train(shared_model, Script(val_loss=[0.9]), checkpoint)
    assert checkpoint.best == 0.9


@pytest.mark.parametrize("copied", [lambda each: each, copy.deepcopy])
@pytest.mark.parametrize(
    ("name", "value", "error"),
    [
        ("filepath", None, TypeError),
        ("filepath", "{}.keras", ValueError),
        ("monitor", "", ValueError),
        ("save_freq", "Epoch", ValueError),
        ("keep_last", 0, ValueError),
        ("save_on_interrupt", "SIGNAL", ValueError),
        ("after_save", 3, ValueError),
        ("best_filepath", "m.keras", AttributeError),
        ("last_filepath", "m.keras", AttributeError),
        ("interrupted", True, AttributeError),
    ],
)
def test_a_wrong_value_or_what_cannot_be_set_raises_and_changes_nothing(
    tmp_path, copied, name, value, error
):
    checkpoint = copied(ModelCheckpoint(tmp_path / "m.keras"))
    before = getattr(checkpoint, name)
    with pytest.raises(error):
        setattr(checkpoint, name, value)
    assert getattr(checkpoint, name) == before
