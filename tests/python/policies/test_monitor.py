"""What is monitored: a wrong direction or a wrong number keeps the worst model of a run."""

import math

import keras
import numpy as np
import pytest

from kerascheckpoint.policies import monitor

INF, NAN = math.inf, math.nan


@pytest.mark.parametrize(
    ("name", "direction"),
    [
        ("loss", "min"),
        ("val_loss", "min"),
        ("out_loss", "min"),
        ("val_out_loss", "min"),
        ("acc", "max"),
        ("val_acc", "max"),
        ("accuracy", "max"),
        ("binary_accuracy", "max"),
        ("val_head_accuracy", "max"),
        ("val_sparse_top_k_categorical_accuracy", "max"),
        ("fmeasure", "max"),
        ("val_fmeasure_weighted", "max"),
        ("auc", "max"),
        ("val_auc_3", "max"),
        ("precision_1", "max"),
        ("recall", "max"),
        ("f1_score", "max"),
        ("val_mean_iou", "max"),
        ("r2_score", "max"),
        ("Val_Accuracy", "max"),
        ("mae", None),
        ("val_mean_squared_error", None),
        ("perplexity", None),
        ("accident", None),
        ("lossless", None),
        ("recall_time", None),
    ],
)
def test_direction_follows_from_the_last_words_of_a_name(name, direction):
    assert monitor.direction_of_name(name) == direction


@pytest.mark.parametrize(
    ("mode", "direction"), [("min", "min"), ("max", "max"), ("auto", None), (None, None)]
)
def test_mode_settles_the_direction_or_leaves_it_open(mode, direction):
    assert monitor.direction_of_mode(mode) == direction


@pytest.mark.parametrize(
    ("value", "number"),
    [
        (2, 2.0),
        (0.5, 0.5),
        (np.float32(0.5), 0.5),
        (np.array(0.5), 0.5),
        (np.array([[0.5]]), 0.5),
        ([0.5], 0.5),
        ([0.5, 0.5], None),
        (np.array([1.0, 2.0]), None),
        (np.array([]), None),
        ("high", None),
        (None, None),
        ({}, None),
    ],
)
def test_a_number_is_found_in_whatever_holds_exactly_one(value, number):
    assert monitor.as_float(value) == number


@pytest.mark.parametrize(
    "value",
    [
        7,
        np.int64(7),
        np.int32(7),
        np.array(7),
        np.array([7]),
        [7],
        keras.Variable(7, trainable=False),
    ],
)
def test_a_whole_number_stays_one(value):
    value = keras.ops.cast(value, "int32") if isinstance(value, keras.Variable) else value
    number = monitor.as_number(value)
    assert type(number) is int and number == 7


@pytest.mark.parametrize(("shape", "number"), [((), 3.0), ((1, 1), 3.0), ((2,), None)])
def test_a_tensor_of_the_backend_counts_as_its_number(shape, number):
    assert monitor.as_float(keras.ops.full(shape, 3.0)) == number


@pytest.mark.parametrize(
    ("logs", "reading"),
    [
        ({}, monitor.MonitoredValue(None, "absent")),
        ({"loss": 1.0}, monitor.MonitoredValue(None, "absent")),
        ({"val_loss": None}, monitor.MonitoredValue(None, "absent")),
        ({"val_loss": np.ones(3)}, monitor.MonitoredValue(None, "not scalar")),
        ({"val_loss": 1}, monitor.MonitoredValue(1.0)),
        ({"val_loss": INF}, monitor.MonitoredValue(INF, "not finite")),
        ({"val_loss": -INF}, monitor.MonitoredValue(-INF, "not finite")),
    ],
)
def test_reading_says_why_there_is_no_number_to_rank(logs, reading):
    assert monitor.read(logs, "val_loss") == reading


def test_reading_of_not_a_number_is_marked():
    reading = monitor.read({"val_loss": NAN}, "val_loss")
    assert math.isnan(reading.value)
    assert reading.problem == "not finite"


@pytest.mark.parametrize(
    ("value", "best", "direction", "min_delta", "improves"),
    [
        (1.0, None, "min", 0.0, True),
        (1.0, None, "max", 5.0, True),
        (0.9, 1.0, "min", 0.0, True),
        (1.1, 1.0, "min", 0.0, False),
        (1.0, 1.0, "min", 0.0, False),
        (1.0, 1.0, "max", 0.0, False),
        (1.1, 1.0, "max", 0.0, True),
        (0.9, 1.0, "max", 0.0, False),
        (0.75, 1.0, "min", 0.25, True),
        (0.76, 1.0, "min", 0.25, False),
        (1.25, 1.0, "max", 0.25, True),
        (1.24, 1.0, "max", 0.25, False),
        (1.0, INF, "min", 0.0, True),
        (1.0, -INF, "max", 0.5, True),
        (NAN, None, "min", 0.0, False),
        (NAN, 1.0, "max", 0.0, False),
        (INF, None, "max", 0.0, False),
        (-INF, None, "min", 0.0, False),
        (-INF, 1.0, "min", 0.0, False),
    ],
)
def test_improvement_needs_a_finite_value_and_the_smallest_change(
    value, best, direction, min_delta, improves
):
    assert monitor.is_improvement(value, best, direction, min_delta) is improves


@pytest.mark.parametrize(
    ("first", "second", "direction", "better"),
    [
        (None, None, "min", None),
        (1.0, None, "min", 1.0),
        (None, 2.0, "max", 2.0),
        (1.0, 2.0, "min", 1.0),
        (1.0, 2.0, "max", 2.0),
    ],
)
def test_the_better_of_a_threshold_and_a_restored_best(first, second, direction, better):
    assert monitor.better_of(first, second, direction) == better


def test_only_single_numbers_of_the_logs_are_kept_for_the_record():
    logs = {"loss": np.float32(0.5), "per_class": np.ones(3), "note": "x", "epoch": 9, "lr": 0.1}
    assert monitor.scalar_logs(logs, but=("epoch",)) == {"loss": 0.5, "lr": 0.1}
