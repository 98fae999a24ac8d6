"""When to save: a policy that misses its turn leaves a run without a file."""

from datetime import timedelta
from fractions import Fraction

import numpy as np
import pytest

from kerascheckpoint.policies.frequency import EveryBatches, EveryEpoch, EveryInterval, Moment
from kerascheckpoint.policies.planned_save import PlannedSave
from kerascheckpoint.policies.save_freq import from_save_freq


@pytest.mark.parametrize(
    ("save_freq", "policy"),
    [
        ("epoch", EveryEpoch()),
        (1, EveryBatches(1)),
        (5.0, EveryBatches(5)),
        (np.int64(2), EveryBatches(2)),
        (np.float32(3), EveryBatches(3)),
        (Fraction(4), EveryBatches(4)),
        (timedelta(minutes=2), EveryInterval(120.0)),
        (timedelta(microseconds=1), EveryInterval(1e-6)),
    ],
)
def test_every_documented_form_has_its_policy(save_freq, policy):
    assert from_save_freq(save_freq) == policy


@pytest.mark.parametrize(
    "save_freq",
    [
        *(0, -1, 2.5, True, False, float("nan"), float("inf"), np.bool_(True), 1j),
        *("Epoch", "batch", "", b"epoch", None, [1], {}),
        *(timedelta(0), timedelta(seconds=-1)),
    ],
    ids=repr,
)
def test_any_other_form_is_refused_in_keras_words_with_those_accepted(save_freq):
    with pytest.raises(ValueError, match=r'^Unrecognized save_freq: .*"epoch".*whole.*timedelta'):
        from_save_freq(save_freq)


def saves(policy, steps, start=0):
    """Return the steps at which a policy saves."""
    policy.start(start, 0.0)
    return [step for step in steps if policy.due_at_batch(Moment(step, 0.0))]


@pytest.mark.parametrize(
    ("count", "steps", "due"),
    [
        (1, range(1, 5), [1, 2, 3, 4]),
        (3, range(1, 11), [3, 6, 9]),
        (5, range(4, 41, 4), [8, 12, 16, 20, 28, 32, 36, 40]),
        (4, range(4, 17, 4), [4, 8, 12, 16]),
        (2, range(8, 33, 8), [8, 16, 24, 32]),
        (100, range(1, 50), []),
    ],
)
def test_batches_are_counted_over_the_whole_run_and_the_remainder_is_not_dropped(count, steps, due):
    assert saves(EveryBatches(count), steps) == due


def test_a_resumed_run_counts_on():
    assert saves(EveryBatches(5), range(8, 16), start=7) == [10, 15]


@pytest.mark.parametrize("policy", [EveryBatches(3), EveryInterval(1e9)])
def test_training_that_ends_between_saves_gets_one_more(policy):
    policy.start(0, 0.0)
    assert not policy.due_at_train_end(0)
    policy.due_at_batch(Moment(2, 1.0))
    assert policy.due_at_train_end(2)
    policy.due_at_batch(Moment(3, 2e9))
    assert not policy.due_at_train_end(3)
    assert policy.due_at_train_end(4)


@pytest.mark.parametrize("policy", [EveryBatches(3), EveryInterval(1e9)])
def test_a_failed_save_is_repeated_at_the_end(policy):
    policy.start(0, 0.0)
    policy.due_at_batch(Moment(3, 2e9))
    save = PlannedSave("m.keras")
    policy.begin(save)
    policy.abort(save)
    assert policy.due_at_train_end(3)


def test_a_second_run_counts_from_its_own_start():
    policy = EveryBatches(3)
    assert saves(policy, range(1, 6)) == [3]
    assert saves(policy, range(1, 6)) == [3]


def test_an_interval_begins_with_the_save_before_and_with_the_run():
    policy = EveryInterval(10.0)
    policy.start(0, 100.0)
    seconds = [101, 109, 110, 115, 121, 122, 130, 131]
    due = [
        now for step, now in enumerate(seconds, 1) if policy.due_at_batch(Moment(step, float(now)))
    ]
    assert due == [110, 121, 131]


@pytest.mark.parametrize(
    ("policy", "reason", "at_epoch_end", "needs_batches"),
    [
        (EveryEpoch(), "epoch", True, False),
        (EveryBatches(1), "batch", False, True),
        (EveryInterval(1.0), "time", False, True),
    ],
)
def test_only_what_needs_batches_asks_for_them(policy, reason, at_epoch_end, needs_batches):
    assert policy.reason == reason
    assert policy.due_at_epoch_end(Moment(1, 0.0)) is at_epoch_end
    assert policy.needs_batches is needs_batches


def test_saving_by_epochs_never_saves_at_another_time():
    policy = EveryEpoch()
    policy.start(0, 0.0)
    assert not policy.due_at_batch(Moment(1000, 1e9))
    assert not policy.due_at_train_end(1000)
