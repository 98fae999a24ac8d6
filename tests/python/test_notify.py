"""Where warnings go: to Python or to a host language, and never lost in between."""

import warnings

import pytest

from kerascheckpoint import CheckpointWarning, notify


def test_a_warning_points_at_the_line_that_asked_for_it():
    def library():
        notify.warn("mind this")

    with pytest.warns(CheckpointWarning, match="^mind this$") as caught:
        library()
    assert caught[0].filename == __file__


def test_what_a_terminal_would_obey_is_escaped():
    """Names of metrics and files come from anywhere."""
    with pytest.warns(CheckpointWarning, match=r"^no metric \\x1b\[2J\\u202e$"):
        notify.warn("no metric \x1b[2J\u202e")


def test_a_host_gets_the_text_instead_until_it_lets_go():
    heard = []
    notify.set_warning_handler(heard.append)
    try:
        notify.warn("mind this")
    finally:
        notify.set_warning_handler(None)
    assert heard == ["mind this"]
    with pytest.warns(CheckpointWarning):
        notify.warn("and this")
    assert heard == ["mind this"]


def test_once_says_each_thing_once_whatever_pythons_own_filter_does():
    once, other = notify.Once(), notify.Once()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for _ in range(3):
            once.warn("a", "first")
            once.warn("b", "second")
        other.warn("a", "third")
    assert [str(entry.message) for entry in caught] == ["first", "second", "third"]
