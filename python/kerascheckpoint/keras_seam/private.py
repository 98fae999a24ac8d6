"""The version and backend of Keras, and access to its private names.

Unless a function says otherwise, its private names were seen in Keras 3.3 to 3.16. If one is
missing, the caller falls back on public Keras.
"""

import importlib
import re
from typing import Any

import keras

from .store import KerasMustHandleError

BACKEND: str = keras.config.backend()

VERSION = tuple(int(part) for part in re.findall(r"\d+", keras.__version__)[:2])


def private_name(module: str, name: str) -> Any:
    try:
        return getattr(importlib.import_module(f"keras.src.{module}"), name)
    except (ImportError, AttributeError) as error:
        raise KerasMustHandleError(f"keras.src.{module}.{name} is missing") from error
