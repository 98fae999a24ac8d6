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


def lines(ax, kind="line"):
    """The points of each line of a kind."""
    return [
        list(zip(*line.get_data(), strict=True))
        for line in ax.get_lines()
        if line.get_gid() == kind
    ]


@pytest.mark.parametrize(("mode", "best"), [("min", (2, 0.2)), ("max", (4, 0.9))])
def test_each_finite_value_is_drawn_and_the_best_is_marked(tmp_path, mode, best):
    ax = plot_checkpoints(run_of(tmp_path, [0.5, 0.2, math.nan, 0.9], mode))
    assert lines(ax) == [[(1.0, 0.5), (2.0, 0.2), (4.0, 0.9)]]
    assert lines(ax, "best") == [[best]]
    assert ax.get_ylabel() == "val_loss"
    assert "1 of 4" in ax.get_xlabel()
    assert f"best: {best[0]}.keras" in ax.get_title(loc="left")


def test_the_label_of_the_best_covers_no_point_and_epochs_are_whole(tmp_path):
    """The label is beside the axes, whatever their size."""
    from matplotlib.figure import Figure

    directory = run_of(tmp_path, [0.5, 0.3, 0.2])
    for size in ((2.5, 4), (12, 2.5)):
        ax = plot_checkpoints(directory, ax=Figure(figsize=size).add_subplot())
        ax.figure.canvas.draw()
        (label,) = (text for text in ax.texts if "best" in text.get_text())
        assert label.get_window_extent().x0 > ax.get_window_extent().x1
        assert all(tick == round(tick) for tick in ax.get_xticks())


def test_several_runs_are_lines_with_their_best_values_in_the_legend(tmp_path):
    one, two = run_of(tmp_path / "one", [0.5, 0.2]), run_of(tmp_path / "two", [0.4])
    ax = plot_checkpoints([one, two])
    assert lines(ax) == [[(1.0, 0.5), (2.0, 0.2)], [(1.0, 0.4)]]
    assert lines(ax, "best") == [[(2.0, 0.2)], [(1.0, 0.4)]]
    (legend,) = ax.figure.legends
    assert [text.get_text() for text in legend.get_texts()] == [
        "one (best: 0.2)",
        "two (best: 0.4)",
    ]


def test_a_save_in_the_middle_of_an_epoch_is_drawn_at_its_batch(tmp_path):
    for epoch, batch in ((1, 0), (1, 1), (1, 3)):
        training.checkpoint_file(
            tmp_path / f"{batch}.keras",
            epoch=epoch,
            batch=batch,
            step=4 * epoch + batch,
            metrics={"loss": 1.0},
        )
    ax = plot_checkpoints(tmp_path, "loss")
    assert [x for x, _ in lines(ax)[0]] == [1.0, 1.25, 1.75]


def test_a_long_name_is_shown_whole_in_several_lines(tmp_path):
    name = "val_" + "x" * 120
    training.checkpoint_file(tmp_path / "1.keras", metrics={name: 1.0})
    label = plot_checkpoints(tmp_path, name).get_ylabel()
    assert label.replace("\n", "") == name
    assert max(map(len, label.split("\n"))) <= 30


def test_a_picture_can_be_part_of_another(tmp_path):
    from matplotlib.figure import Figure

    mine = Figure().add_subplot()
    assert plot_checkpoints(run_of(tmp_path, [0.5]), ax=mine) is mine


def test_an_unknown_metric_is_an_error_that_lists_the_known_ones(tmp_path):
    with pytest.raises(ValueError, match=r"value of 'typo'\. Metrics: 'val_loss'"):
        plot_checkpoints(run_of(tmp_path, [0.5]), "typo")
