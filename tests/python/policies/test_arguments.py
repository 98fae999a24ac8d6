"""Checks of arguments: a mistyped one must stop the script, not an epoch later the training."""

import math
from decimal import Decimal

import numpy as np
import pytest

from kerascheckpoint import CheckpointWarning
from kerascheckpoint.policies import arguments


@pytest.mark.parametrize(
    ("value", "result"), [(True, True), (0, False), (1, True), (np.False_, False)]
)
def test_flags(value, result):
    assert arguments.flag("resume", value) is result


@pytest.mark.parametrize("value", [None, 2, -1, 1.0, "yes", "False", []])
def test_a_flag_is_a_truth_value_and_nothing_else(value):
    with pytest.raises(ValueError, match=r"^resume must be True or False\. Received: resume="):
        arguments.flag("resume", value)


@pytest.mark.parametrize(
    ("value", "result"), [(1, 1), (7.0, 7), (np.int64(3), 3), (np.float32(2), 2)]
)
def test_whole_numbers(value, result):
    found = arguments.whole("keep_last", value, 1)
    assert found == result
    assert type(found) is int


@pytest.mark.parametrize("value", [0, -1, 2.5, True, math.nan, math.inf, "3", None, [3], 1j])
def test_a_whole_number_is_named_with_its_bound(value):
    with pytest.raises(ValueError, match=r"^keep_last must be a whole number of at least 1\. Rec"):
        arguments.whole("keep_last", value, 1)


def test_an_optional_whole_number_may_be_none():
    assert arguments.optional_whole("keep_last", None, 1) is None
    assert arguments.optional_whole("keep_last", 2, 1) == 2
    with pytest.raises(ValueError, match="keep_last"):
        arguments.optional_whole("keep_last", 0, 1)


@pytest.mark.parametrize(
    ("value", "result"),
    [(0, 0.0), (0.5, 0.5), (np.float32(0.5), 0.5), (math.inf, math.inf), (-1, -1.0)],
)
def test_numbers(value, result):
    assert arguments.number("initial_value_threshold", value) == result
    assert arguments.optional_number("initial_value_threshold", value) == result


@pytest.mark.parametrize("value", [math.nan, "0.5", True, [0.5], 1j])
def test_nan_and_text_are_not_numbers(value):
    with pytest.raises(ValueError, match=r"^initial_value_threshold must be a number\. Received:"):
        arguments.optional_number("initial_value_threshold", value)


@pytest.mark.parametrize("value", [-0.1, math.inf, -math.inf, math.nan, 10**400, None, Decimal(1)])
def test_a_bound_is_named(value):
    accepted = r"^min_delta must be a finite number of at least 0\. Received: min_delta="
    with pytest.raises(ValueError, match=accepted):
        arguments.not_negative("min_delta", value)


@pytest.mark.parametrize("value", ["", None, 3, ["val_loss"], b"val_loss"])
def test_a_text_is_not_empty(value):
    assert arguments.text("monitor", "val_loss") == "val_loss"
    with pytest.raises(ValueError, match=r"^monitor must be a non-empty str\. Received: monitor="):
        arguments.text("monitor", value)


@pytest.mark.parametrize("value", ["RAISE", "ignore", None, True, ["raise"]])
def test_a_choice_lists_what_is_accepted(value):
    accepted = ("raise", "warn")
    assert arguments.choice("on_save_error", "warn", accepted) == "warn"
    with pytest.raises(ValueError, match=r"^on_save_error must be 'raise' or 'warn'\. Received:"):
        arguments.choice("on_save_error", value, accepted)


@pytest.mark.parametrize(
    ("value", "result"), [("auto", "auto"), ("MIN", "min"), ("Max", "max"), ("AUTO", "auto")]
)
def test_the_case_of_a_mode_does_not_matter(value, result):
    assert arguments.mode(value) == result


@pytest.mark.parametrize("value", ["unknown", "", None, 3, ["min"]])
def test_an_unknown_mode_becomes_auto_with_a_warning(value):
    with pytest.warns(CheckpointWarning, match=r"^ModelCheckpoint mode '.*' is unknown"):
        assert arguments.mode(value) == "auto"
