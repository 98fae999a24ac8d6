"""A share of the training time: saves too often slow training down, too rarely lose work."""

import pytest

from kerascheckpoint.policies.frequency import Moment
from kerascheckpoint.policies.overhead_budget import OverheadBudget, slowdown
from kerascheckpoint.policies.planned_save import PlannedSave
from kerascheckpoint.policies.within_budget import WithinBudget


@pytest.mark.parametrize(
    ("share", "costs", "cost", "interval"),
    [
        (0.02, [], None, None),
        (0.02, [1.0], 1.0, 50.0),
        (1.0, [1.0], 1.0, 1.0),
        (0.01, [1.0, 3.0], 2.0, 200.0),
        (0.5, [1.0, 1.0, 1.0, 1.0, 99.0], 1.0, 2.0),
        (0.5, [99.0, 99.0, 99.0, 1.0, 1.0, 1.0, 1.0, 1.0], 1.0, 2.0),
        (0.5, [-0.5], 0.0, 0.0),
    ],
)
def test_saves_are_as_far_apart_as_the_median_cost_over_the_share(share, costs, cost, interval):
    budget = OverheadBudget(share)
    for each in costs:
        budget.record(each)
    assert (budget.cost, budget.interval) == (cost, interval)


@pytest.mark.parametrize(
    ("during", "without", "seconds"),
    [
        ([], [1.0], 0.0),
        ([1.0], [], 0.0),
        ([1.5, 1.5], [1.0, 1.0], 1.0),
        ([0.5, 0.5], [1.0, 1.0], 0.0),
        ([1.5, 1.5, 9.0], [1.0, 1.0, 7.0], 1.5),
    ],
)
def test_the_slowdown_of_steps_during_a_write_is_counted(during, without, seconds):
    assert slowdown(during, without) == pytest.approx(seconds)


class Training:
    """A training whose clock stands still but for its steps and saves."""

    def __init__(self, share, step=1.0, stall=0.0, beside=0.0, steps_beside=0, after=0.0):
        self.policy = WithinBudget(share)
        self.step_seconds, self.stall, self.beside = step, stall, beside
        self.steps_beside, self.after = steps_beside, after
        self.now, self.step, self.begun, self.left = 0.0, 0, [], 0
        self.save = PlannedSave("m.keras")
        self.policy.start(0, 0.0)

    def run(self, steps):
        for _ in range(steps):
            self.now += self.step_seconds + (self.beside if self.left else 0.0)
            self.now += self.after if self.begun and self.step == self.last_saved else 0.0
            self.step += 1
            if self.left:
                self.left -= 1
                if not self.left:
                    self.policy.commit(self.save)
            if self.policy.due_at_batch(Moment(self.step, self.now)):
                self.begin()
        return self

    def begin(self):
        began, self.last_saved = self.now, self.step
        self.begun.append(began)
        self.policy.begin(self.save)
        self.now += self.stall
        if self.steps_beside:
            self.left = self.steps_beside
        else:
            self.policy.commit(self.save)
        self.policy.stalled(began, self.now)

    @property
    def cost(self):
        return len(self.begun) * (self.stall + self.steps_beside * self.beside + self.after)


@pytest.mark.parametrize("share", [0.01, 0.02, 0.05])
@pytest.mark.parametrize(
    "costs",
    [
        {"stall": 2.0},
        {"stall": 0.5, "beside": 0.5, "steps_beside": 4},
        {"beside": 0.25, "steps_beside": 10},
        {"step": 0.001, "stall": 0.01},
        {"stall": 1.0, "after": 0.5},
    ],
    ids=str,
)
def test_what_all_saves_cost_stays_within_the_share_and_uses_most_of_it(share, costs):
    training = Training(share, **costs).run(20_000)
    assert 0.7 * share <= training.cost / training.now <= 1.1 * share


def test_the_first_save_comes_early_and_only_once_steps_are_known():
    training = Training(0.01, stall=1.0).run(20)
    assert training.begun == [9.0]


def test_no_save_is_due_while_a_file_is_on_its_way():
    training = Training(1.0, stall=0.001, steps_beside=100).run(105)
    assert len(training.begun) == 1


def test_the_time_between_epochs_does_not_count_as_a_step():
    training = Training(0.1, stall=1.0).run(5)
    training.policy.due_at_epoch_end(Moment(5, training.now))
    training.now += 1000.0  # a validation
    training.run(50)
    assert training.policy.report() == {"share": 0.1, "cost": 1.0, "interval": 10.0}


def test_before_the_first_save_there_is_nothing_to_report_but_the_share():
    assert WithinBudget(0.25).report() == {"share": 0.25}


def test_what_is_not_saved_when_training_ends_is_due():
    training = Training(0.01, stall=1.0).run(20)
    assert training.policy.due_at_train_end(20)
    assert Training(0.01).run(3).policy.due_at_train_end(3)


def test_a_save_that_failed_is_made_up_for_and_its_cost_counted():
    training = Training(0.1)
    training.policy.begin(training.save)
    training.policy.stalled(0.0, 2.0)
    training.policy.abort(training.save)
    assert training.policy.due_at_train_end(0)
    training.run(1)
    assert training.policy.report()["cost"] == 2.0
