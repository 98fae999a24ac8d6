"""Packages: what is installed from a wheel or from R's tarball is all of the package."""

import pathlib
import subprocess
import sys
import tarfile
import zipfile

import pytest

pytestmark = [pytest.mark.any_backend, pytest.mark.slow]

ROOT = pathlib.Path(__file__).parents[2]
PACKAGE = ROOT / "python" / "kerascheckpoint"
FILES = {
    str(path.relative_to(PACKAGE.parent))
    for path in PACKAGE.rglob("*")
    if path.is_file() and "__pycache__" not in path.parts
}


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    """A copy of the sources as `tools/stage` makes it, so that builds leave no trace here."""
    directory = tmp_path_factory.mktemp("sources")
    subprocess.run([ROOT / "tools" / "stage", directory], check=True)
    return directory


def test_the_sources_are_in_folders_and_typed():
    """The comparisons below are worth something only if there is much to compare."""
    assert "kerascheckpoint/py.typed" in FILES
    assert "kerascheckpoint/formats/keras_file/writer.py" in FILES


def test_the_wheel_holds_every_module(sources, tmp_path):
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-index"]
    command += ["--no-build-isolation", "--wheel-dir", str(tmp_path), str(sources)]
    subprocess.run(command, check=True, capture_output=True, text=True)
    (wheel,) = tmp_path.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    assert {name for name in names if ".dist-info/" not in name} == FILES


def test_the_tarball_for_r_holds_every_module_and_no_tests_of_python(sources, tmp_path):
    command = ["R", "CMD", "build", "--no-build-vignettes", "--no-manual", str(sources)]
    subprocess.run(command, check=True, capture_output=True, text=True, cwd=tmp_path)
    (tarball,) = tmp_path.glob("*.tar.gz")
    with tarfile.open(tarball) as archive:
        names = [member.name for member in archive.getmembers() if member.isfile()]
    inside = "kerascheckpoint/inst/python/"
    modules = {name.removeprefix(inside) for name in names if name.startswith(inside)}
    assert modules == FILES
    top = {name.split("/")[1] for name in names}
    expected = {"DESCRIPTION", "LICENSE", "NAMESPACE", "NEWS.md", "R", "README.md", "man"}
    assert expected <= top
    assert top <= expected | {"build", "inst", "tests", "vignettes"}
    assert not [name for name in names if "/tests/python/" in name]
