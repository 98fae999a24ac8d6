"""What the tests of resumed trainings compare with."""

import pytest

from support.resuming import fitted
from support.training import arrays_of


@pytest.fixture(scope="session")
def uninterrupted():
    """Where four epochs end that are never stopped: arrays and history."""
    model, history = fitted()
    return arrays_of(model), history.history
