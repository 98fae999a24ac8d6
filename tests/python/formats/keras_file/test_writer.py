"""Our writer alone, without Keras: its files must be standard HDF5 and zip files."""

import os
import shutil
import subprocess
import zipfile

import h5py
import ml_dtypes
import numpy as np
import pytest

from kerascheckpoint import verify_checkpoint
from kerascheckpoint.formats.keras_file import hdf5_layout, writer
from kerascheckpoint.formats.keras_file.writer import KerasFileWriter
from kerascheckpoint.storage.local import LocalStorage
from support import small_files, training
from support.small_files import read_record

pytestmark = pytest.mark.any_backend

KINDS = pytest.mark.parametrize("kind", small_files.SUFFIXES)

ARRAYS = {
    "layers/dense/vars/0": np.arange(6, dtype="float32").reshape(2, 3),
    "layers/dense/vars/1": np.arange(3, dtype="float64"),
    "optimizer/vars/0": np.array(7, "int64"),
}


def assert_stored(path, arrays):
    """Assert that a file is whole and that h5py alone reads exactly these arrays from it."""
    verify_checkpoint(path)
    found = small_files.read(path)
    assert set(found) == set(arrays)
    for name, array in arrays.items():
        assert found[name].shape == array.shape, name
        assert found[name].tobytes() == np.ascontiguousarray(array).tobytes(), name


UNUSUAL = {
    "no rows": np.zeros((0, 3), "float32"),
    "nothing": np.zeros(0, "int8"),
    "scalar": np.array(2.5, "float16"),
    "bool": np.array([True, False]),
    "bfloat16": np.arange(4).astype(ml_dtypes.bfloat16),
    "float8": np.arange(4).astype(ml_dtypes.float8_e4m3fn),
    "complex": np.array([1 + 2j, 3 - 4j], "complex64"),
    "unsigned": np.array([0, 2**64 - 1], "uint64"),
    "big-endian": np.arange(4, dtype=">f4"),
    "transposed": np.arange(12, dtype="float32").reshape(3, 4).T,
    "every other": np.arange(12, dtype="float32")[::2],
    "backwards": np.arange(12, dtype="int16")[::-1],
    "read-only": np.frombuffer(b"12345678", "int32"),
    "broadcast": np.broadcast_to(np.float32(3), (2, 5)),
    "many axes": np.arange(256, dtype="uint8").reshape((2,) * 8),
}


@KINDS
@pytest.mark.parametrize("name", UNUSUAL)
def test_an_unusual_array_is_stored_as_it_is(name, kind, tmp_path):
    """Whatever a layer keeps comes back, bit for bit."""
    path = tmp_path / f"model{kind}"
    arrays = ARRAYS | {"layers/odd/vars/0": UNUSUAL[name]}
    small_files.write(path, arrays)
    assert_stored(path, arrays)


@pytest.mark.parametrize("name", UNUSUAL)
def test_an_unusual_array_looks_as_if_h5py_had_written_it(name, tmp_path):
    """Type and shape are those that every HDF5 program expects."""
    array = UNUSUAL[name]
    small_files.write(tmp_path / "ours.weights.h5", {"vars/0": array})
    with h5py.File(tmp_path / "theirs.weights.h5", "w") as theirs:
        theirs["vars/0"] = array
        with h5py.File(tmp_path / "ours.weights.h5") as ours:
            assert ours["vars/0"].id.get_type().equal(theirs["vars/0"].id.get_type())
            assert ours["vars/0"].shape == theirs["vars/0"].shape


@KINDS
def test_a_model_without_arrays(kind, tmp_path):
    path = tmp_path / f"model{kind}"
    small_files.write(path, {})
    assert_stored(path, {})


@KINDS
def test_thousands_of_small_arrays(kind, tmp_path):
    count = 2049
    arrays = {f"layers/l{n}/vars/0": np.full(3, n, "int32") for n in range(count)}
    path = tmp_path / f"model{kind}"
    small_files.write(path, arrays)
    assert_stored(path, arrays)


@KINDS
def test_a_system_that_writes_less_than_it_was_asked_for(kind, tmp_path, monkeypatch):
    """Network file systems and signals cut writes short; nothing may be missing then."""
    calls = []

    def short(fd, data, offset):
        calls.append(offset)
        return write(fd, data[:701], offset)

    write = os.pwrite
    monkeypatch.setattr(os, "pwrite", short)
    path = tmp_path / f"model{kind}"
    small_files.write(path, ARRAYS)
    assert len(calls) > 5
    assert_stored(path, ARRAYS)


@KINDS
def test_a_second_save_uses_the_layout_of_the_first(kind, tmp_path, monkeypatch):
    """From the second save on, HDF5 has nothing to do: that is where the speed comes from."""
    file_writer, path = KerasFileWriter(), tmp_path / f"model{kind}"
    small_files.write(path, ARRAYS, file_writer=file_writer)
    monkeypatch.setattr(hdf5_layout, "lay_out", None)
    for factor in (2, 3):
        changed = {name: array * factor for name, array in ARRAYS.items()}
        small_files.write(path, changed, file_writer=file_writer)
        assert_stored(path, changed)


@KINDS
@pytest.mark.parametrize(
    "change",
    [
        {"layers/dense/vars/1": np.zeros(4, "float64")},
        {"layers/dense/vars/1": np.zeros(3, "float32")},
        {"layers/dense/vars/2": np.zeros(3, "float64")},
        {"layers/new/vars/0": np.zeros(3, "float64")},
    ],
    ids=["shape", "dtype", "variable", "layer"],
)
def test_a_model_that_changed_gets_a_layout_of_its_own(kind, change, tmp_path):
    """A layer added between two saves is in the second, and gone again in the third."""
    file_writer, path = KerasFileWriter(), tmp_path / f"model{kind}"
    for arrays in (ARRAYS, ARRAYS | change, ARRAYS):
        small_files.write(path, arrays, file_writer=file_writer)
        assert_stored(path, arrays)


@KINDS
@pytest.mark.parametrize("epochs", [10, 2_000, 100_000])
def test_a_record_that_outgrows_its_place(kind, epochs, tmp_path):
    """A long run has a long history: every epoch of it stays in the file."""
    file_writer, path = KerasFileWriter(), tmp_path / f"model{kind}"
    for count in (1, epochs, 1):
        history = [1 / (epoch + 1) for epoch in range(count)]
        small_files.write(
            path, ARRAYS, file_writer=file_writer, fields={"history": {"loss": history}}
        )
        assert_stored(path, ARRAYS)
        assert read_record(str(path))["history"] == {"loss": history}


def test_a_growing_record_keeps_the_layout_where_it_can(tmp_path, monkeypatch):
    """A history that grows by one epoch at a time does not cost a new layout each time."""
    file_writer, made = KerasFileWriter(), []
    make = hdf5_layout.lay_out
    monkeypatch.setattr(hdf5_layout, "lay_out", lambda *given: made.append(given) or make(*given))
    for count in range(1, 200):
        history = {"history": {"loss": [0.123456789] * count}}
        path = tmp_path / "model.weights.h5"
        small_files.write(path, ARRAYS, file_writer=file_writer, fields=history)
    assert len(made) <= 2


def test_the_zip_is_one_that_other_programs_read(tmp_path):
    """Members, sizes, checksums; the weights begin at a whole page."""
    path = tmp_path / "model.keras"
    assets = {"layers/é/vocabulary.txt": b"a\nb\n", "empty": b"", "large": bytes(100_000)}
    small_files.write(path, ARRAYS, assets=assets, config='{"name": "模型"}')
    with zipfile.ZipFile(path) as file:
        assert file.testzip() is None
        expected = ["config.json", "metadata.json", "model.weights.h5"]
        assert sorted(file.namelist()) == sorted(expected + [f"assets/{name}" for name in assets])
        assert file.read("config.json").decode() == '{"name": "模型"}'
        assert {name: file.read(f"assets/{name}") for name in assets} == assets
        assert {member.compress_type for member in file.infolist()} == {zipfile.ZIP_STORED}
    assert path.read_bytes()[writer.HEAD :].startswith(b"\x89HDF")
    if shutil.which("unzip"):
        subprocess.run(["unzip", "-tqq", path], check=True)


def test_a_file_of_more_than_two_gigabytes_is_a_zip64(tmp_path):
    """The other form of zip that large models need, tried on a small one by a lowered limit."""
    path = tmp_path / "model.keras"
    done = training.in_python(
        "import sys, zipfile\n"
        "zipfile.ZIP64_LIMIT = 2000\n"
        "from support import small_files as s\n"
        "s.write(sys.argv[1], {'vars/0': s.np.arange(1000.)}, assets={'a': bytes(9000)})",
        str(path),
        cwd=os.path.dirname(__file__),
    )
    assert done.returncode == 0, done.stderr
    assert_stored(path, {"vars/0": np.arange(1000.0)})
    with zipfile.ZipFile(path) as file:
        assert file.testzip() is None
        assert file.read("assets/a") == bytes(9000)
    assert path.read_bytes()[writer.HEAD - 20 :].startswith(b"\1\0\x10\0")  # the zip64 field
    if shutil.which("unzip"):
        subprocess.run(["unzip", "-tqq", path], check=True)


def test_a_file_that_is_not_as_long_as_it_must_be_is_not_published(tmp_path):
    """The last check before the rename catches a foreign write or a faulty disk."""

    class Growing(dict):
        def __getitem__(self, name):
            os.ftruncate(staged.fd, 1 << 20)  # by somebody else, in the middle of a write
            return super().__getitem__(name)

    content = small_files.content_of(Growing(ARRAYS), model=False)
    with (
        pytest.raises(OSError, match="bytes instead of"),
        LocalStorage().atomic_write(str(tmp_path / "model.weights.h5")) as staged,
    ):
        KerasFileWriter().write(staged.fd, content, small_files.FIELDS)
    assert list(tmp_path.iterdir()) == []


@KINDS
def test_nothing_of_what_a_file_held_is_left_in_it(kind, tmp_path):
    """The local file of an upload is written again and again; a shorter content ends earlier."""
    content = small_files.content_of(ARRAYS, model=kind == ".keras")
    sizes = set()
    for name, before in {"new": b"", "short": b"?" * 5000, "long": b"?" * (1 << 20)}.items():
        path = tmp_path / f"{name}{kind}"
        path.write_bytes(before)
        with open(path, "r+b") as file:
            KerasFileWriter().write(file.fileno(), content, small_files.FIELDS)
        assert_stored(path, ARRAYS)
        assert b"????" not in path.read_bytes()
        sizes.add(path.stat().st_size)
    assert len(sizes) == 1


def test_two_saves_of_one_state_differ_only_in_what_the_record_says(tmp_path):
    """Nothing of an earlier save, or of the memory, leaks into a file."""
    file_writer = KerasFileWriter()
    contents = []
    for secret in (b"s" * 64, b"t" * 64):
        private = {"layers/dense/vars/0": np.frombuffer(secret, "uint8")}
        small_files.write(tmp_path / "private.weights.h5", private, file_writer=file_writer)
        small_files.write(tmp_path / "a.weights.h5", ARRAYS, file_writer=file_writer)
        contents.append((tmp_path / "a.weights.h5").read_bytes())
    assert contents[0] == contents[1]
    assert b"ssss" not in contents[0]
