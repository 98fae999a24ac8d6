"""The picture of a run: every finite value is in it, and the best one is marked."""

import math
from datetime import datetime, timedelta, timezone

import pytest

from kerascheckpoint import plot_checkpoints
from support import training

pytestmark = pytest.mark.any_backend

START = datetime(2030, 1, 1, tzinfo=timezone.utc)


def run_of(directory, losses, mode="min"):
    """Write one checkpoint for each loss."""
    for epoch, loss in enumerate(losses, 1):
        training.checkpoint_file(
            directory / f"{epoch}.keras",
            epoch=epoch,
            step=epoch,
            saved_at=(START + timedelta(minutes=epoch)).isoformat(),
            metrics={"val_loss": loss},
            monitor="val_loss",
            mode=mode,
        )
    return directory


@pytest.mark.parametrize(("mode", "best"), [("min", (2, 0.2)), ("max", (4, 0.9))])
def test_each_finite_value_is_drawn_and_the_best_is_marked(tmp_path, mode, best):
    ax = plot_checkpoints(run_of(tmp_path, [0.5, 0.2, math.nan, 0.9], mode))
    line, star = ax.get_lines()
    assert list(zip(*line.get_data(), strict=True)) == [(1.0, 0.5), (2.0, 0.2), (4.0, 0.9)]
    assert list(zip(*star.get_data(), strict=True)) == [best]
    assert ax.get_ylabel() == "val_loss"
    assert "1 of 4" in ax.get_title(loc="left")


def test_a_picture_can_be_part_of_another(tmp_path):
    from matplotlib.figure import Figure

    mine = Figure().add_subplot()
    assert plot_checkpoints(run_of(tmp_path, [0.5]), ax=mine) is mine


def test_a_metric_that_nobody_saved_is_an_error_with_the_names_there_are(tmp_path):
    with pytest.raises(ValueError, match=r"value of 'typo'\. Metrics: 'val_loss'"):
        plot_checkpoints(run_of(tmp_path, [0.5]), "typo")
