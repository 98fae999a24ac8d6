"""The best so far: what is not durable may not count, what failed may not stay the bar."""

import math

import pytest

from kerascheckpoint.policies.best_value import BestTracker
from kerascheckpoint.policies.planned_save import PlannedSave


def better(value, path="a.keras"):
    return PlannedSave(path, value, is_best=True)


def test_a_value_is_the_bar_once_accepted_and_the_best_once_durable():
    tracker = BestTracker("min")
    assert tracker.improves(0.5)
    save = better(0.5)
    tracker.begin(save)
    assert (tracker.value_to_beat, tracker.best, tracker.best_path) == (0.5, None, None)
    assert tracker.has_ranked
    assert not tracker.improves(0.6)
    tracker.commit(save)
    assert (tracker.value_to_beat, tracker.best, tracker.best_path) == (0.5, 0.5, "a.keras")


def test_a_failed_save_is_the_bar_no_more_so_the_next_good_epoch_is_saved():
    tracker = BestTracker("max", best=0.1)
    save = better(0.9)
    tracker.begin(save)
    tracker.abort(save)
    assert (tracker.value_to_beat, tracker.best) == (0.1, 0.1)
    assert not tracker.has_ranked
    assert tracker.improves(0.2)


def test_saves_on_their_way_settle_each_for_itself():
    tracker = BestTracker("min")
    first, second = better(0.5), better(0.3, "b.keras")
    tracker.begin(first)
    tracker.begin(second)
    tracker.abort(first)
    assert tracker.value_to_beat == 0.3
    tracker.commit(second)
    assert (tracker.best, tracker.best_path) == (0.3, "b.keras")


@pytest.mark.parametrize(
    ("direction", "value", "improves"),
    [(None, 0.1, False), ("min", None, False), ("min", math.nan, False), ("min", 0.1, True)],
)
def test_nothing_is_ranked_without_a_direction_and_a_number(direction, value, improves):
    assert BestTracker(direction).improves(value) is improves


@pytest.mark.parametrize(
    ("threshold", "restored", "direction", "best"),
    [
        (None, 0.5, "min", 0.5),
        (0.3, 0.5, "min", 0.3),
        (0.7, 0.5, "min", 0.5),
        (0.3, 0.5, "max", 0.5),
        (0.3, None, "max", 0.3),
        (0.3, 0.5, None, 0.3),
    ],
)
def test_the_bar_after_a_restart_is_the_better_of_threshold_and_restored(
    threshold, restored, direction, best
):
    tracker = BestTracker(direction, best=threshold)
    tracker.restore(restored, "old.keras")
    assert tracker.best == best
    assert tracker.best_path == ("old.keras" if restored and direction else None)


def test_min_delta_counts_from_the_value_to_beat():
    tracker = BestTracker("min", min_delta=0.25)
    tracker.begin(better(1.0))
    assert not tracker.improves(0.8)
    assert tracker.improves(0.75)


def test_a_worse_model_over_the_best_ones_file_leaves_its_value_and_no_file():
    tracker = BestTracker("min")
    for save in (better(0.5), PlannedSave("a.keras", 0.9, is_best=False)):
        tracker.begin(save)
        tracker.commit(save)
    assert (tracker.best, tracker.best_path, tracker.has_ranked) == (0.5, None, True)
