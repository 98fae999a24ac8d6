"""Configs of models as Keras writes them, and the legacy HDF5 format."""

import contextlib
import importlib
import json
import sys
from collections.abc import Iterator
from typing import Any

import h5py
import keras

from .private import private_name
from .store import KerasMustHandleError


class _OnceImported:
    """Keras' lazy TensorFlow module, available only after something else has imported it."""

    def __init__(self, lazy: Any) -> None:
        self._lazy = lazy

    @property
    def available(self) -> bool:
        return "tensorflow" in sys.modules and bool(self._lazy.available)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._lazy, name)


@contextlib.contextmanager
def not_importing_tensorflow() -> Iterator[None]:
    """Skip Keras' slow TensorFlow import, which serves only a type check."""
    serialization: Any = importlib.import_module("keras.src.saving.serialization_lib")
    lazy = getattr(serialization, "tf", None)
    if lazy is None:
        yield
        return
    try:
        serialization.tf = _OnceImported(lazy)
        yield
    finally:
        serialization.tf = lazy


def serialize(target: Any) -> dict[str, Any]:
    """Return the config of a model as Keras writes it, with shared objects marked."""
    with private_name("saving.serialization_lib", "ObjectSharingScope")():
        config: dict[str, Any] = keras.saving.serialize_keras_object(target)
    return config


def dumps(config: Any) -> str:
    """Write a config as Keras does."""
    return json.dumps(config)


def build_config(model: Any) -> dict[str, Any] | None:
    """Return what `build_from_config` of an unbuilt copy needs; `None` if that is not JSON."""
    try:
        config: dict[str, Any] | None = model.get_build_config()
        json.dumps(config)
    except (AttributeError, NotImplementedError, TypeError, ValueError):
        return None
    return config


def save_legacy(model: Any, path: str) -> None:
    """Write a model in the legacy HDF5 format.

    The file is built in memory where this Keras allows it, because HDF5 crashes on a full disk.
    """
    try:
        write = private_name("legacy.saving.legacy_h5_format", "save_model_to_hdf5")
    except KerasMustHandleError:
        model.save(path)
        return
    with h5py.File(path, "w", driver="core", backing_store=False) as h5_file:
        write(model, h5_file)
        h5_file.flush()
        image = h5_file.id.get_file_image()
    with open(path, "wb") as file:
        file.write(image)
