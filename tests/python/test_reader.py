"""Reading without trust: a file that claims anything at all is reported and costs no memory."""

import json
import resource
import zipfile

import h5py
import numpy as np
import pytest

import training
from kerascheckpoint import (
    CheckpointCorruptError,
    CheckpointWarning,
    list_checkpoints,
    reader,
    verify_checkpoint,
)

HUGE = 1 << 40


@pytest.fixture
def little_memory():
    """Let this process have 2 GiB more than it has, and no byte more."""
    before = resource.getrlimit(resource.RLIMIT_AS)
    with open("/proc/self/statm") as file:
        present = int(file.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (present + (2 << 30), before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_AS, before)


RECORDS = {
    "numbers": np.zeros(5),
    "an empty one": h5py.Empty("S1"),
    "no JSON": "one of these days",
    "JSON of another kind": "[]",
    "deep JSON": "[" * 100_000,
    "bytes that are no text": np.void(b"\xff\xfe"),
}


@pytest.mark.parametrize("value", RECORDS.values(), ids=RECORDS)
def test_an_attribute_that_is_no_record_is_reported(value, tmp_path):
    """Whoever wrote it: the other files of the directory must still be listed."""
    path = training.stock_file(tmp_path / "odd.weights.h5")
    good = training.checkpoint_file(tmp_path / "good.weights.h5")
    with h5py.File(path, "r+") as file:
        file.attrs["kerascheckpoint"] = value
    with pytest.raises(CheckpointCorruptError, match=r"odd\.weights\.h5"):
        reader.read_info(str(path))
    with pytest.warns(CheckpointWarning, match=r"not listed: .*odd\.weights\.h5"):
        listed = list_checkpoints(tmp_path)
    assert [info.path for info in listed] == [good]


def chunked(file):
    file.create_dataset("x", shape=(HUGE,), dtype="f4", chunks=(1 << 20,))


def never_written(file):
    """A place in the file that nobody gave any bytes to."""
    file.create_dataset("x", shape=(HUGE,), dtype="f4")


def linked(file):
    file["x"] = h5py.SoftLink("/elsewhere")


def linked_to_another_file(file):
    file["x"] = h5py.ExternalLink("/etc/hostname", "/elsewhere")


def external(file):
    file.create_dataset("x", shape=(4,), dtype="f4", external=[("/etc/hostname", 0, 16)])


def in_a_circle(file):
    file["layers"]["x"] = file["layers"]


@pytest.mark.parametrize(
    "add", [chunked, never_written, linked, linked_to_another_file, external, in_a_circle]
)
def test_arrays_that_only_claim_to_be_there_are_found(add, tmp_path, little_memory):
    """No size that a file claims is believed, no other file is opened in its name."""
    path = training.stock_file(tmp_path / "odd.weights.h5")
    with h5py.File(path, "r+") as file:
        add(file)
    with pytest.raises(CheckpointCorruptError, match=r"odd\.weights\.h5"):
        verify_checkpoint(path)


@pytest.mark.parametrize("member", ["metadata.json", "config.json", "model.weights.h5"])
@pytest.mark.parametrize("size", [1, 0x7FFFFFFF, 0xFFFFFFFE])
def test_sizes_in_a_zip_are_not_believed(member, size, tmp_path, little_memory):
    """The directory at the end of a zip may say anything."""
    path = training.checkpoint_file(tmp_path / "odd.keras")
    with zipfile.ZipFile(path) as archive:
        begin = archive.start_dir
    content = bytearray((tmp_path / "odd.keras").read_bytes())
    entry = content.rindex(member.encode(), begin) - 46
    assert content[entry : entry + 4] == b"PK\1\2"
    content[entry + 20 : entry + 28] = size.to_bytes(4, "little") * 2
    (tmp_path / "odd.keras").write_bytes(content)
    with pytest.raises(CheckpointCorruptError, match=r"odd\.keras"):
        verify_checkpoint(path)


def test_a_record_that_is_compressed_to_nothing_is_not_unpacked(tmp_path, little_memory):
    """A thousandth of its size in the file is no measure of what it takes."""
    path = tmp_path / "odd.keras"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        with archive.open("metadata.json", "w", force_zip64=True) as member:
            for _ in range(64):
                member.write(bytes(1 << 20))
        archive.writestr("model.weights.h5", b"")
    with pytest.raises(CheckpointCorruptError, match="is compressed"):
        reader.read_info(str(path))


@pytest.mark.parametrize("text", ["[]", "{", json.dumps({"kerascheckpoint": 1}), "[" * 100_000])
def test_metadata_that_are_no_metadata_are_reported(text, tmp_path):
    path = tmp_path / "odd.keras"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("metadata.json", text)
        archive.writestr("config.json", "{}")
        archive.writestr("model.weights.h5", b"")
    with pytest.raises(CheckpointCorruptError, match=r"odd\.keras"):
        reader.read_info(str(path))
