"""Trainings that depend on every kind of state, and how to compare a resumed one."""

from typing import Any

from kerascheckpoint import ModelCheckpoint
from support.training import arrays_of, assert_same, noisy_model, train


def checkpoint_at(path: Any, **settings: Any) -> Any:
    """Return a callback that saves at `path`, whole models or weights as its suffix says."""
    weights_only = str(path).endswith(".weights.h5")
    return ModelCheckpoint(path, save_weights_only=weights_only, **settings)


def fitted(*callbacks: Any, epochs: int = 4, model: Any = None, **settings: Any) -> Any:
    """Train a model that depends on all kinds of state; return it and its history."""
    model = model or noisy_model()
    settings = {"steps": 5} | settings
    return model, train(model, *callbacks, epochs=epochs, **settings)


def assert_as_if_never_stopped(model: Any, history: Any, uninterrupted: Any) -> None:
    """Assert that a resumed training ended like one without a stop: arrays and history."""
    arrays, expected = uninterrupted
    assert_same(arrays_of(model), arrays)
    assert list(history.history) == list(expected)
    assert {name: list(map(float, values)) for name, values in history.history.items()} == {
        name: list(map(float, values)) for name, values in expected.items()
    }
    assert history.epoch == list(range(len(expected["loss"])))
