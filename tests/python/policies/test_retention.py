"""Which files are deleted: one wrong answer here and a good model is gone."""

import math

import pytest

from kerascheckpoint.policies.retention import KeptFile, Retention


def names(files):
    return "".join(file.path for file in files)


def files_of(**values):
    return [KeptFile(path, value) for path, value in values.items()]


FIVE = files_of(a=0.5, b=0.2, c=0.9, d=0.3, e=0.7)


@pytest.mark.parametrize(
    ("keep_best", "keep_last", "direction", "best", "deleted"),
    [
        (None, None, "min", "b", ""),
        (None, 2, "min", None, "abc"),
        (None, 2, "min", "b", "ac"),
        (None, 9, "min", "b", ""),
        (2, None, "min", "b", "ac"),
        (2, None, "max", "c", "abd"),
        (1, None, "min", "b", "acd"),
        (1, 2, "max", "c", "ab"),
        (9, None, "min", "b", ""),
        (1, None, None, None, "acd"),
    ],
)
def test_the_union_is_kept_and_never_the_best_or_the_newest_deleted(
    keep_best, keep_last, direction, best, deleted
):
    to_delete = Retention(keep_best, keep_last).to_delete(FIVE, direction, best)
    assert names(to_delete) == deleted


@pytest.mark.parametrize("direction", ["min", "max"])
@pytest.mark.parametrize("strange", [math.nan, math.inf, -math.inf, None])
@pytest.mark.parametrize("place", range(4))
def test_an_unranked_value_is_not_among_the_best(direction, strange, place):
    ranked = files_of(a=0.3, b=0.1, c=0.2)
    files = [*ranked[:place], KeptFile("x", strange), *ranked[place:], KeptFile("z", None)]
    to_delete = Retention(keep_best=3).to_delete(files, direction, None)
    assert names(to_delete) == "x"


def test_of_equal_values_the_earliest_counts_as_better():
    files = files_of(a=0.5, b=0.5, c=0.5)
    assert names(Retention(keep_best=1).to_delete(files, "min", "a")) == "b"


def test_nothing_to_keep_is_nothing_to_delete():
    assert Retention(1, 1).to_delete([], "min", None) == []
