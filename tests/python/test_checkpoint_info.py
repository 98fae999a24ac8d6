"""What a checkpoint says of itself: scripts and the R side read these fields by their names."""

import dataclasses
import json
import math
from datetime import datetime, timedelta, timezone

import pytest

from kerascheckpoint import CheckpointInfo, checkpoint_info

NOON = datetime(2030, 1, 2, 12, tzinfo=timezone.utc)

FIELDS = (
    *("path", "epoch", "batch", "step", "metrics", "monitor", "mode", "value", "best", "reason"),
    *("saved_at", "size", "weights_only", "keras_version", "backend", "schema"),
)


def info(**changes):
    fields = dict.fromkeys(FIELDS) | {
        **{"path": "/run/a.keras", "metrics": {}, "saved_at": NOON, "size": 1},
        **{"weights_only": False},
    }
    return CheckpointInfo(**fields | changes)


def test_the_fields_are_the_documented_ones_in_their_order():
    assert tuple(field.name for field in dataclasses.fields(CheckpointInfo)) == FIELDS


def test_what_a_file_said_cannot_be_changed_by_accident():
    with pytest.raises(dataclasses.FrozenInstanceError):
        info().epoch = 3


def test_infos_of_the_same_file_are_one_in_a_set():
    same = {info(metrics={"loss": 1.0}), info(metrics={"loss": 1.0})}
    assert len(same | {info(path="/run/b.keras")}) == 2


def test_order_is_by_time_then_by_step():
    later, first, second = info(saved_at=NOON + timedelta(seconds=1)), info(step=3), info(step=20)
    unknown = info()
    ordered = sorted([later, second, first, unknown], key=lambda each: each.age_key)
    assert ordered == [unknown, first, second, later]


@pytest.mark.parametrize("strange", [math.nan, math.inf, -math.inf])
def test_json_has_null_for_what_is_no_number(strange):
    text = checkpoint_info.to_json([info(metrics={"loss": strange, "acc": 0.5}, value=strange)])
    found = json.loads(text, parse_constant=lambda constant: pytest.fail(constant))[0]
    assert found["metrics"] == {"loss": None, "acc": 0.5}
    assert found["value"] is None


def test_json_has_every_field_under_its_name():
    found = json.loads(checkpoint_info.to_json([info(epoch=2), info()]))
    assert [tuple(each) for each in found] == [FIELDS, FIELDS]
    assert found[0]["epoch"] == 2
    assert datetime.fromisoformat(found[0]["saved_at"]) == NOON
