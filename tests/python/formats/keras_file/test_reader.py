"""Reading without trust: a file that claims anything at all is reported and costs no memory."""

import json
import resource
import zipfile

import h5py
import numpy as np
import pytest

from kerascheckpoint import (
    CheckpointCorruptError,
    CheckpointWarning,
    list_checkpoints,
    verify_checkpoint,
)
from kerascheckpoint.formats import record
from support import training
from support.small_files import read_record

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


@pytest.mark.parametrize("suffix", [".weights.h5", ".h5"])
def test_objects_of_many_names_do_not_take_for_ever(tmp_path, suffix):
    """Forty groups with two links each have a million million names."""
    path = tmp_path / f"many{suffix}"
    with h5py.File(path, "w") as file:
        group = file.create_group("model_weights")
        for _ in range(40):
            below = group.create_group("a")
            group["b"] = below
            group = below
    if suffix == ".h5":
        with pytest.warns(CheckpointWarning, match="has no checksums"):
            assert verify_checkpoint(path).schema is None
    else:
        with pytest.raises(CheckpointCorruptError, match="second name"):
            verify_checkpoint(path)


def test_a_slot_of_the_record_that_is_larger_than_the_file_takes_no_memory(tmp_path, little_memory):
    fields = read_record(str(training.golden(".weights.h5")))
    content = bytearray(training.golden(".weights.h5").read_bytes())
    place, capacity = fields["image"]["record"]
    fields["image"] |= {"record": [place, 3 << 30], "head": [4 << 30, "00000000"]}
    content[place : place + capacity] = record.encode(fields).encode().ljust(capacity)
    (tmp_path / "huge.weights.h5").write_bytes(content)
    with pytest.raises(CheckpointCorruptError):
        verify_checkpoint(tmp_path / "huge.weights.h5")


def test_a_link_in_a_circle_is_reported(tmp_path):
    (tmp_path / "a.keras").symlink_to(tmp_path / "a.keras")
    with pytest.raises(CheckpointCorruptError, match="circle"):
        verify_checkpoint(tmp_path / "a.keras")


@pytest.mark.parametrize("link", [h5py.SoftLink("/gone"), h5py.ExternalLink("gone.h5", "/")])
def test_a_legacy_model_whose_weights_are_elsewhere_is_reported(tmp_path, link):
    with h5py.File(tmp_path / "m.h5", "w") as file:
        file["model_weights"] = link
    with pytest.raises(CheckpointCorruptError, match="does not hold a Keras model"):
        verify_checkpoint(tmp_path / "m.h5")


RECORDS = {
    "numbers": np.zeros(5),
    "an empty one": h5py.Empty("S1"),
    "no JSON": "one of these days",
    "JSON of another kind": "[]",
    "deep JSON": "[" * 100_000,
    "bytes that are no text": np.void(b"\xff\xfe"),
}


@pytest.mark.parametrize("value", RECORDS.values(), ids=RECORDS)
def test_an_attribute_that_is_not_a_record_is_reported(value, tmp_path):
    """Whoever wrote it: the other files of the directory must still be listed."""
    path = training.stock_file(tmp_path / "odd.weights.h5")
    good = training.checkpoint_file(tmp_path / "good.weights.h5")
    with h5py.File(path, "r+") as file:
        file.attrs["kerascheckpoint"] = value
    with pytest.raises(CheckpointCorruptError, match=r"odd\.weights\.h5"):
        read_record(path)
    with pytest.warns(CheckpointWarning, match=r"not listed: .*odd\.weights\.h5"):
        listed = list_checkpoints(tmp_path)
    assert [info.path for info in listed] == [good]


def chunked(file):
    file.create_dataset("x", shape=(HUGE,), dtype="f4", chunks=(1 << 20,))


def never_written(file):
    """An array whose offset was never allocated."""
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
    """Its compressed size in the file says nothing about the memory that it takes."""
    path = tmp_path / "odd.keras"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        with archive.open("metadata.json", "w", force_zip64=True) as member:
            for _ in range(64):
                member.write(bytes(1 << 20))
        archive.writestr("model.weights.h5", b"")
    with pytest.raises(CheckpointCorruptError, match="is compressed"):
        read_record(path)


@pytest.mark.parametrize("text", ["[]", "{", json.dumps({"kerascheckpoint": 1}), "[" * 100_000])
def test_invalid_metadata_are_reported(text, tmp_path):
    path = tmp_path / "odd.keras"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("metadata.json", text)
        archive.writestr("config.json", "{}")
        archive.writestr("model.weights.h5", b"")
    with pytest.raises(CheckpointCorruptError, match=r"odd\.keras"):
        read_record(path)
