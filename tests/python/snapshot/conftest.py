"""Shared by the tests of snapshots: a saver that writes at once."""

import pytest

from kerascheckpoint.saving import Saver


@pytest.fixture
def saver():
    return Saver(on_background=False)
