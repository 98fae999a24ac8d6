"""Shared fixtures: one compiled model for all that ignores its weights, a fresh seed per test."""

import os
import pathlib
import signal

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# Child processes import the package and the tests' own modules from here as well.
TESTS = pathlib.Path(__file__).parent
SEARCH = [str(TESTS.parents[1] / "python"), str(TESTS), os.environ.get("PYTHONPATH")]
os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, SEARCH))
# Many tests train the same small models: JAX compiles each once for all workers and children.
CACHE = TESTS.parents[1] / ".pytest_cache" / "jax"
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(CACHE))
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES", "-1")

# A shell lets what it runs in the background ignore Ctrl-C, which some tests press.
signal.signal(signal.SIGINT, signal.default_int_handler)

import keras  # noqa: E402
import pytest  # noqa: E402

from support import training  # noqa: E402

if keras.config.backend() == "tensorflow":
    import tensorflow

    # Optimizing a graph takes longer than running it for a few batches.
    tensorflow.config.optimizer.set_experimental_options({"disable_meta_optimizer": True})


@pytest.fixture(autouse=True)
def seed():
    """Let each test begin with the same random numbers, whatever ran before it."""
    keras.utils.set_random_seed(1)


@pytest.fixture(scope="session")
def shared_model():
    """A compiled model for tests that look at files and decisions and not at weights.

    Compiled code is kept from test to test, so each of them costs milliseconds.
    """
    return training.tiny_model()


@pytest.fixture(scope="session")
def backend():
    """The name of the Keras backend under test."""
    return keras.config.backend()
