"""Whether a due model is saved, and where: the rules that protect the best model on disk."""

import math

import pytest

from kerascheckpoint import CheckpointWarning
from kerascheckpoint.notify import Once
from kerascheckpoint.policies import save_decision
from kerascheckpoint.policies.best_value import BestTracker
from kerascheckpoint.policies.monitor import MonitoredValue
from kerascheckpoint.policies.save_decision import Decision

ABSENT, VECTOR = MonitoredValue(None, "absent"), MonitoredValue(None, "not scalar")


def decide(reading, best=None, *, best_only=True, direction="min", must=False, held=False):
    tracker = BestTracker(direction)
    tracker.restore(best, "best.keras")
    return save_decision.decide(
        reading, tracker, best_only=best_only, must_save=must, holds_best=held
    )


@pytest.mark.parametrize("reading", [MonitoredValue(0.5), ABSENT, VECTOR])
@pytest.mark.parametrize("must", [True, False])
@pytest.mark.parametrize("best_only", [True, False])
@pytest.mark.parametrize("best", [None, 0.4, 0.6])
def test_the_target_is_asked_for_wherever_its_record_could_decide(reading, must, best_only, best):
    asked = save_decision.depends_on_target(reading, best_only=best_only, must_save=must)
    rules = {"best_only": best_only, "must": must}
    answers = {decide(reading, best, held=held, **rules) for held in (True, False)}
    assert asked or len(answers) == 1


@pytest.mark.parametrize(
    ("reading", "best", "expected"),
    [
        (MonitoredValue(0.5), None, Decision(True, 0.5, True)),
        (MonitoredValue(0.5), 0.6, Decision(True, 0.5, True)),
        (MonitoredValue(0.5), 0.5, Decision(False, 0.5, False)),
        (MonitoredValue(0.5), 0.4, Decision(False, 0.5, False)),
        (MonitoredValue(math.inf, "not finite"), None, Decision(False, math.inf, False)),
        (ABSENT, None, Decision(True, None, None)),
        (VECTOR, None, Decision(True, None, None)),
        (ABSENT, 0.4, Decision(False, None, None)),
    ],
)
def test_only_the_best_are_saved_and_unranked_ones_until_there_is_one(reading, best, expected):
    assert decide(reading, best) == expected


def test_an_unranked_model_never_replaces_a_file_whose_record_is_a_ranked_best():
    assert decide(ABSENT, held=True) == Decision(False, None, None)


@pytest.mark.parametrize(
    ("reading", "best", "is_best"),
    [(MonitoredValue(0.5), 0.6, True), (MonitoredValue(0.5), 0.4, False), (ABSENT, 0.4, None)],
)
def test_without_best_only_every_model_is_saved_and_knows_whether_it_is_best(
    reading, best, is_best
):
    assert decide(reading, best, best_only=False) == Decision(True, reading.value, is_best)


def test_without_a_direction_it_is_not_claimed_to_be_known():
    assert decide(MonitoredValue(0.5), best_only=False, direction=None) == Decision(True, 0.5, None)


@pytest.mark.parametrize("held", [True, False])
def test_an_interrupt_is_always_saved_and_never_over_the_best(held):
    verdict = decide(MonitoredValue(0.5), 0.4, must=True, held=held)
    assert (verdict.save, verdict.spares_best) == (True, held)


def test_an_interrupt_that_is_the_best_takes_its_place():
    assert decide(MonitoredValue(0.3), 0.4, must=True, held=True) == Decision(True, 0.3, True)


@pytest.mark.parametrize(
    ("reading", "words"),
    [
        (ABSENT, r"Can save best model only with val_los available\. The logs have: acc, loss\."),
        (VECTOR, r"val_los has several elements"),
        (MonitoredValue(math.nan, "not finite"), r"val_los is nan, which is never the best"),
    ],
)
def test_an_unranked_value_is_warned_of_once(reading, words):
    once = Once()
    with pytest.warns(CheckpointWarning, match=words) as caught:
        for _ in range(3):
            save_decision.explain(reading, "val_los", {"loss": 1, "acc": 1}, once)
    assert len(caught) == 1


def test_a_ranked_value_gives_no_warning():
    save_decision.explain(MonitoredValue(1.0), "val_loss", {}, Once())
