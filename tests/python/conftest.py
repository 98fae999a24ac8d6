"""Shared fixtures: one compiled model for all that ignores its weights, a fresh seed per test."""

import os
import pathlib
import shutil
import signal
import tempfile

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# On a GPU, results repeat bit for bit only if that is asked for (PyTorch: also in support).
os.environ.setdefault("XLA_FLAGS", "--xla_gpu_deterministic_ops=true")
os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
# Let PyTorch look for a GPU in a way that leaves it usable in forked processes.
os.environ.setdefault("PYTORCH_NVML_BASED_CUDA_CHECK", "1")
os.environ["EPATH_USE_TF"] = "false"  # Orbax' files: TensorFlow's client reaches no emulator
# Child processes import the package and the tests' own modules from here as well.
TESTS = pathlib.Path(__file__).parent
SEARCH = [str(TESTS.parents[1] / "python"), str(TESTS), os.environ.get("PYTHONPATH")]
os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, SEARCH))

# A shell lets what it runs in the background ignore Ctrl-C, which some tests press.
signal.signal(signal.SIGINT, signal.default_int_handler)

import keras  # noqa: E402
import pytest  # noqa: E402

from support import background, training  # noqa: E402

# Compiling the small models of the tests takes longer than training them.
COMPILED = tempfile.mkdtemp(prefix="compiled-")
if keras.config.backend() == "jax":
    import jax

    # Many tests train the same model. A directory for each process: JAX does not lock its cache.
    # What JAX 0.4.38 loads from its cache crashes, or trains with wrong numbers.
    jax.config.update("jax_enable_compilation_cache", jax.__version_info__ >= (0, 5))
    jax.config.update("jax_compilation_cache_dir", COMPILED)
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)


def pytest_sessionfinish():
    shutil.rmtree(COMPILED, ignore_errors=True)


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


@pytest.fixture
def hold():
    """Make callbacks that hold a writing thread; they let go at the latest when the test ends."""
    made = []

    def make(saving):
        made.append(background.Hold(saving))
        return made[-1]

    yield make
    for holding in made:
        holding.release()
