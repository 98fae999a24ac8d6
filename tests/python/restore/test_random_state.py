"""Random state in a file: an unusable one is found before anything is loaded."""

import random

import numpy as np
import pytest

from kerascheckpoint import CheckpointCorruptError
from kerascheckpoint.state.packing import pack
from kerascheckpoint.state.random import RandomState
from support.restoring import SUFFIXES, assert_refused, saved_now
from support.training import noisy_model, train

PYTHON = [3, ["uint64", [625], "AAAA"], None]
UNUSABLE = {
    "empty": lambda state: {},
    "no bytes of Python's": lambda state: state | {"python": PYTHON},
    "a text in Python's": lambda state: state | {"python": [*state["python"][:2], "soon"]},
    "another generator of NumPy": lambda state: state | {"numpy": {"bit_generator": "Philox"}},
    "a position outside": lambda state: (
        state | {"numpy": state["numpy"] | {"state": state["numpy"]["state"] | {"pos": 10**6}}}
    ),
    "three numbers for Keras": lambda state: state | {"keras": pack(np.zeros(3, np.uint32))},
    "no bytes of a layer's": lambda state: state | {"layers": [["uint32", [2], "AAAA"]]},
}


@SUFFIXES
@pytest.mark.parametrize("way", UNUSABLE)
def test_an_unusable_random_state_is_found_before_anything_is_loaded(tmp_path, suffix, way):
    model = noisy_model()
    state = UNUSABLE[way](RandomState(model).capture())
    states = {"random": {"version": 1} | state}
    path = saved_now(model, tmp_path / f"m{suffix}", states=states)
    other = noisy_model()
    train(other)
    expected = random.getstate()
    assert_refused(other, path, "its state 'random' is not usable", CheckpointCorruptError)
    assert random.getstate() == expected


@pytest.mark.parametrize("array", [np.zeros(9, np.uint32), np.zeros(2, np.float32)])
def test_a_seed_of_another_form_is_a_difference(tmp_path, array):
    model = noisy_model()
    state = RandomState(model).capture() | {"layers": [pack(array)]}
    path = saved_now(model, tmp_path / "m.keras", states={"random": {"version": 1} | state})
    other = noisy_model()
    train(other)
    assert_refused(other, path, "the state of the seed generator .* in the file and")
