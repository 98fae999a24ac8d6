"""Errors: code that catches a built-in error must also catch ours."""

import pickle

import pytest

import kerascheckpoint

NAMES = [name for name in kerascheckpoint.__all__ if name.endswith("Error")]


@pytest.mark.parametrize(
    ("name", "builtin"),
    [
        ("CheckpointNotFoundError", FileNotFoundError),
        ("CheckpointCorruptError", ValueError),
        ("CheckpointSchemaError", ValueError),
        ("CheckpointWriteError", OSError),
        ("CheckpointMismatchError", ValueError),
        ("CheckpointNameError", KeyError),
    ],
)
def test_each_error_is_also_the_built_in_that_callers_catch(name, builtin):
    error = getattr(kerascheckpoint, name)
    assert issubclass(error, builtin)
    assert issubclass(error, kerascheckpoint.CheckpointError)


@pytest.mark.parametrize("name", NAMES)
def test_the_text_of_an_error_is_shown_as_it_is_and_survives_another_process(name):
    error = getattr(kerascheckpoint, name)('no "loss" in it:\nwhat now?')
    assert str(error) == 'no "loss" in it:\nwhat now?'
    assert str(pickle.loads(pickle.dumps(error))) == str(error)


def test_our_warning_can_be_filtered_as_a_user_warning():
    assert issubclass(kerascheckpoint.CheckpointWarning, UserWarning)
