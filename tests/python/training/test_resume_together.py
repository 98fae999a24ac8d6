"""Resume: several callbacks of one `fit` continue from one checkpoint."""

import pytest

from kerascheckpoint import (
    list_checkpoints,
)
from support import training
from support.resuming import assert_as_if_never_stopped, checkpoint_at, fitted
from support.training import At, Script


@pytest.mark.filterwarnings("ignore:saves come faster than they can be written")
def test_two_callbacks_of_one_fit_resume_from_the_newest_file_of_both(tmp_path, uninterrupted):
    def both():
        steps = checkpoint_at(tmp_path / "steps" / "{step}.keras", save_freq=1, resume=True)
        return [steps, checkpoint_at(tmp_path / "epochs" / "{epoch}.keras", resume=True)]

    for order in (1, -1):
        with pytest.raises(training.Stop):
            fitted(*both()[::order], At(1, training.stop, batch=2))
        checkpoints = both()[::order]
        model, history = fitted(*checkpoints)
        assert_as_if_never_stopped(model, history, uninterrupted)
        assert {info.step for info in list_checkpoints(tmp_path / "steps")} == set(range(1, 21))
        assert [info.step for info in list_checkpoints(tmp_path / "epochs")] == [5, 10, 15, 20]
        for kind in ("steps", "epochs"):
            for path in (tmp_path / kind).iterdir():
                path.unlink()


@pytest.mark.parametrize("order", [1, -1])
def test_the_last_and_the_best_are_resumed_side_by_side(tmp_path, uninterrupted, order):
    def both():
        best = checkpoint_at(tmp_path / "best.keras", save_best_only=True, resume=True)
        return [checkpoint_at(tmp_path / "last.keras", resume=True), best][::order]

    losses = Script(val_loss=[0.1, 0.5, 0.4, 0.3])
    fitted(losses, *both(), epochs=2)
    checkpoints = both()
    model, history = fitted(losses, *checkpoints)
    history.history.pop("val_loss")
    assert_as_if_never_stopped(model, history, uninterrupted)
    assert [checkpoint.best for checkpoint in checkpoints] == [0.1, 0.1]
