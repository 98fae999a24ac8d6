"""The best so far: what is not durable may not count, what failed may not stay the bar."""

import math

import pytest

from kerascheckpoint.policies.best_value import BestTracker


def test_a_value_is_the_bar_once_accepted_and_the_best_once_durable():
    ranking = BestTracker("min")
    assert ranking.improves(0.5)
    ranking.accept(0.5)
    assert (ranking.bar, ranking.best, ranking.best_path) == (0.5, None, None)
    assert ranking.has_ranked
    assert not ranking.improves(0.6)
    ranking.settle(0.5, "a.keras")
    assert (ranking.bar, ranking.best, ranking.best_path) == (0.5, 0.5, "a.keras")


def test_a_failed_save_is_the_bar_no_more_so_the_next_good_epoch_is_saved():
    ranking = BestTracker("max", best=0.1)
    ranking.accept(0.9)
    ranking.withdraw(0.9)
    assert (ranking.bar, ranking.best) == (0.1, 0.1)
    assert not ranking.has_ranked
    assert ranking.improves(0.2)


def test_saves_on_their_way_settle_each_for_itself():
    ranking = BestTracker("min")
    ranking.accept(0.5)
    ranking.accept(0.3)
    ranking.withdraw(0.5)
    assert ranking.bar == 0.3
    ranking.settle(0.3, "b.keras")
    assert (ranking.best, ranking.best_path) == (0.3, "b.keras")


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
    ranking = BestTracker(direction, best=threshold)
    ranking.restore(restored, "old.keras")
    assert ranking.best == best
    assert ranking.best_path == ("old.keras" if restored and direction else None)


def test_smallest_change_counts_from_the_bar():
    ranking = BestTracker("min", min_delta=0.25)
    ranking.accept(1.0)
    assert not ranking.improves(0.8)
    assert ranking.improves(0.75)
