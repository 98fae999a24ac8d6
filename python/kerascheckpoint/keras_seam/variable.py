"""The common base class of Keras' variables."""

from typing import Any

import keras


def _common_class() -> Any:
    """Return the class of which every backend's variable class is a subclass.

    In Keras 3.3 the public `keras.Variable` is a class that layers and optimizers do not use.
    """
    own = [cls for cls in keras.Variable.__mro__ if cls.__module__.startswith("keras.")]
    return own[-1]


VARIABLE = _common_class()
