"""Hostile files: whatever a file claims, a reader says what is wrong, soon and in little memory.

Each file is read in processes of its own, with bounded memory and time.
"""

import json
import os
import struct
import zipfile

import h5py
import numpy as np
import pytest

import faults_support as faults
from kerascheckpoint import (
    CheckpointCorruptError,
    CheckpointWarning,
    list_checkpoints,
    reader,
    record,
    verify_checkpoint,
)

ARRAYS = {"layers/dense/vars/0": np.arange(6, dtype="float32").reshape(2, 3)}
HOSTILE = {}


def hostile(name):
    """Note a function that makes a hostile file, under the file's name."""
    return lambda make: HOSTILE.setdefault((make.__name__, name), make)


def model(path, metadata=None, weights=None, **members):
    """Write a stored zip with a model's members, some of them replaced."""
    whole = {
        "metadata.json": "{}" if metadata is None else metadata,
        "config.json": "{}",
        "model.weights.h5": h5() if weights is None else weights,
    }
    with zipfile.ZipFile(path, "w") as file:
        for name, content in (whole | members).items():
            file.writestr(name, content)


def h5():
    """Return the bytes of an HDF5 file with one array."""
    with h5py.File("memory", "w", driver="core", backing_store=False) as file:
        file["layers/dense/vars/0"] = np.arange(6.0)
        file.flush()
        return file.id.get_file_image()


def raw_dataset(file, name, shape, *, layout=None, chunk=None):
    """Create a dataset that claims a shape and has no bytes."""
    properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    if chunk:
        properties.set_chunk(chunk)
    if layout is not None:
        properties.set_layout(layout)
    early = layout == h5py.h5d.COMPACT
    properties.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY if early else h5py.h5d.ALLOC_TIME_LATE)
    space = h5py.h5s.create_simple(shape)
    h5py.h5d.create(file.id, name.encode(), h5py.h5t.NATIVE_DOUBLE, space, properties)


@hostile("a.weights.h5")
def terabytes_never_written(path):
    with h5py.File(path, "w") as file:
        raw_dataset(file, "vars", (1 << 40,))


@hostile("a.weights.h5")
def terabytes_claimed(path):
    """A shape changed in the bytes of a good file: the size overflows 64 bits, too."""
    with h5py.File(path, "w") as file:
        file["vars"] = np.zeros((7777, 3))
    content = path.read_bytes().replace(struct.pack("<Q", 7777), struct.pack("<Q", 1 << 62))
    path.write_bytes(content)


@hostile("a.weights.h5")
def compressed(path):
    with h5py.File(path, "w") as file:
        file.create_dataset("vars", data=np.zeros(1 << 22), chunks=(1 << 20,), compression="gzip")


@hostile("a.weights.h5")
def chunks_of_terabytes(path):
    with h5py.File(path, "w") as file:
        raw_dataset(file, "vars", (1 << 42,), chunk=(1 << 28,))


@hostile("a.weights.h5")
def compact(path):
    with h5py.File(path, "w") as file:
        raw_dataset(file, "vars", (8,), layout=h5py.h5d.COMPACT)


@hostile("a.weights.h5")
def external_bytes(path):
    with h5py.File(path, "w") as file:
        file.create_dataset("vars", (100,), "u1", external=[("/etc/passwd", 0, 100)])


@hostile("a.weights.h5")
def virtual(path):
    layout = h5py.VirtualLayout((1 << 40,), "f8")
    layout[:8] = h5py.VirtualSource("/etc/passwd", "x", (8,))
    with h5py.File(path, "w") as file:
        file.create_virtual_dataset("vars", layout)


@hostile("a.weights.h5")
def external_link(path):
    with h5py.File(path, "w") as file:
        file["vars"] = h5py.ExternalLink("/dev/zero", "/x")


@hostile("a.weights.h5")
def soft_link(path):
    with h5py.File(path, "w") as file:
        file["vars"] = h5py.SoftLink("/vars")


@hostile("a.weights.h5")
def a_group_within_itself(path):
    with h5py.File(path, "w") as file:
        file["a"] = file["/"]
        file["b"] = file["/"]


@hostile("a.weights.h5")
def groups_that_unfold(path):
    """Forty groups with two names for the next each: 2^40 places."""
    with h5py.File(path, "w") as file:
        group = file
        for _ in range(40):
            below = group.create_group("a")
            group["b"] = below
            group = below


@hostile("a.weights.h5")
def deep_groups(path):
    with h5py.File(path, "w") as file:
        group = file
        for _ in range(5000):
            group = group.create_group("a")


@hostile("a.weights.h5")
def named_type(path):
    with h5py.File(path, "w") as file:
        file["vars"] = np.dtype("f8")


@hostile("a.weights.h5")
def record_of_another_type(path):
    with h5py.File(path, "w") as file:
        file.attrs["kerascheckpoint"] = np.arange(4)


@hostile("a.weights.h5")
def record_that_is_deep_json(path):
    with h5py.File(path, "w") as file:
        file.attrs["kerascheckpoint"] = "[" * 100_000


@hostile("a.weights.h5")
def record_that_is_a_huge_number(path):
    with h5py.File(path, "w") as file:
        file.attrs["kerascheckpoint"] = '{"schema": ' + "9" * 100_000 + "}"


@hostile("a.keras")
def deep_json(path):
    model(path, metadata="[" * 100_000)


@hostile("a.keras")
def json_as_deep_as_it_may_be(path):
    model(path, metadata='{"kerascheckpoint":' + '{"a":' * 800 + "1" + "}" * 801)


@hostile("a.keras")
def huge_metadata(path):
    """More text than any training leaves."""
    model(path, metadata=b" " * (reader.TEXT_LIMIT + 1))


@hostile("a.keras")
def metadata_that_claims_much(path):
    claim(path, "metadata.json", 200 << 20)


@hostile("a.keras")
def metadata_that_claims_more_than_memory(path):
    claim(path, "metadata.json", 0xFFFFFFF0)


@hostile("a.keras")
def weights_that_claim_more_than_the_file(path):
    claim(path, "model.weights.h5", 0xFFFFFFF0)


def claim(path, name, size):
    """Let the zip's directory claim a size of one member."""
    model(path)
    content = bytearray(path.read_bytes())
    entry = content.rindex(name.encode()) - 46
    content[entry + 20 : entry + 28] = struct.pack("<II", size, size)
    path.write_bytes(content)


@hostile("a.keras")
def weights_before_the_file(path):
    model(path)
    content = bytearray(path.read_bytes())
    entry = content.rindex(b"model.weights.h5") - 46
    content[entry + 42 : entry + 46] = struct.pack("<I", 0xFFFFFF00)
    path.write_bytes(content)


@hostile("a.keras")
def a_directory_of_terabytes(path):
    """The end record claims a central directory larger than any file."""
    model(path)
    content = bytearray(path.read_bytes())
    content[-10:-6] = struct.pack("<I", 0xFFFFFFF0)
    path.write_bytes(content)


@hostile("a.keras")
def a_million_members(path):
    """The end record claims members that are not there."""
    model(path)
    content = bytearray(path.read_bytes())
    content[-14:-10] = struct.pack("<HH", 0xFFFF, 0xFFFF)
    content[-10:-6] = struct.pack("<I", 40)
    path.write_bytes(content)


@hostile("a.keras")
def compressed_members(path):
    """A gigabyte of zeros in a megabyte, as zip bombs have it."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name in ("metadata.json", "config.json", "model.weights.h5"):
            with file.open(name, "w") as member:
                for _ in range(300):
                    member.write(bytes(1 << 20))


@hostile("a.keras")
def members_that_share_bytes(path):
    """Twenty thousand members of ten megabytes, in a file of twelve."""
    model(path, **{"assets/a": bytes(10 << 20)})
    with zipfile.ZipFile(path) as file:
        start, first = file.start_dir, file.getinfo("assets/a")
        whole = [member for member in file.infolist() if member is not first]
    entries = b"".join(central(m.filename, m.CRC, m.file_size, m.header_offset) for m in whole)
    count = 20_000
    for number in range(count):
        name = f"assets/{number}"
        entries += central(name, first.CRC, first.file_size, first.header_offset)
    end = struct.pack("<HHHHIIH", 0, 0, *2 * [count + len(whole)], len(entries), start, 0)
    content = path.read_bytes()[:start] + entries + b"PK\5\6" + end
    path.write_bytes(content)


def central(name, crc, size, offset):
    """Return a directory entry of a zip."""
    fields = (0x14, 0x14, 0, 0, 0, 0x21, crc, size, size, len(name), 0, 0, 0, 0, 0, offset)
    return b"PK\1\2" + struct.pack("<HHHHHHIIIHHHHHII", *fields) + name.encode()


@hostile("a.keras")
def weights_that_are_a_zip(path):
    model(path, weights=b"PK\3\4" + bytes(1000))


@hostile("a.keras")
def links_in_the_weights(path):
    external_link(path)
    model(path, weights=path.read_bytes())


@hostile("a.h5")
def a_link_to_a_pipe(path):
    """Whoever follows the link waits for ever."""
    os.mkfifo(path.with_name("pipe"))
    with h5py.File(path, "w") as file:
        file["model_weights"] = h5py.ExternalLink(str(path.with_name("pipe")), "/x")


@hostile("a.keras")
def a_pipe(path):
    os.mkfifo(path)


@hostile("a.keras")
def a_link_to_itself(path):
    path.symlink_to(path)


@hostile("a.weights.h5")
def a_device(path):
    path.symlink_to("/dev/zero")


@hostile("a.weights.h5")
def a_sparse_file(path):
    """A terabyte of holes."""
    path.write_bytes(h5())
    os.truncate(path, 1 << 40)


# Of a stock file without checksums only what can be read is checked.
STOCK = {"a_link_to_a_pipe", "a_sparse_file"}
REFUSED = {"CheckpointCorruptError", "CheckpointNotFoundError", "OSError"}


@pytest.mark.parametrize("make", HOSTILE.values(), ids=lambda make: make.__name__)
def test_a_hostile_file_is_refused_without_harm(make, tmp_path):
    """One bad file in a directory, by accident or by intent, stops nobody."""
    name = next(name for (_, name), function in HOSTILE.items() if function is make)
    path = tmp_path / name
    make(path)
    found = faults.findings(path)
    assert found.pop("verify") in ({"fine"} if make.__name__ in STOCK else REFUSED)
    assert set(found.values()) == {"fine"}


FIELDS_THAT_LIE = [
    {"saved_at": "2026-01-02T03:04:05"},
    {"saved_at": "yesterday"},
    {"saved_at": "9999-12-31T23:59:59-23:59"},
    {"monitor": ["loss"]},
    {"monitor": {"a": 1}},
    {"mode": "sideways"},
    {"mode": 3},
    {"value": "much"},
    {"value": [1]},
    {"metrics": {"loss": [1]}},
    {"metrics": {"loss": None}},
    {"metrics": {"loss": "0x10"}},
    {"best": "yes"},
    {"epoch": 1e300},
    {"epoch": True},
    {"step": None},
    {"reason": "none of your business"},
    {"history": []},
    {"history": {"loss": 3}},
    {"arrays": []},
    {"arrays": {"layers/dense/vars/0": 3}},
    {"image": []},
    {"backend": 3},
    {"keras_version": {}},
]


@pytest.mark.parametrize("lie", FIELDS_THAT_LIE, ids=repr)
@pytest.mark.parametrize("kind", faults.FORMATS)
def test_a_record_that_lies_stops_nobody(kind, lie, tmp_path):
    """A record with a good checksum and wrong contents spoils its own file only."""
    good, bad = tmp_path / f"a{kind}", tmp_path / f"b{kind}"
    faults.write(good, ARRAYS)
    faults.write(bad, ARRAYS)
    rewrite_record(bad, lie)
    found = faults.findings(bad)
    assert found.pop("verify") in ("fine", "CheckpointCorruptError")
    assert set(found.values()) == {"fine"}
    found = faults.findings(tmp_path)
    assert found.pop("verify") == "CheckpointCorruptError"
    assert set(found.values()) == {"fine"}


def rewrite_record(path, fields):
    """Put other fields into a file's record, with a good checksum of it."""
    if path.suffix == ".keras":
        with zipfile.ZipFile(path) as file:
            members = {name: file.read(name) for name in file.namelist()}
        metadata = json.loads(members["metadata.json"])
        metadata["kerascheckpoint"] = record.encode(metadata["kerascheckpoint"] | fields)
        members["metadata.json"] = json.dumps(metadata)
        with zipfile.ZipFile(path, "w") as file:
            for name, content in members.items():
                file.writestr(name, content)
        return
    content = path.read_bytes()
    start = content.index(b'{"schema":')
    old, length = json.JSONDecoder().raw_decode(content[start:].decode("latin-1"))
    text = record.dumps(record.encode(old | fields)).encode()
    room = len(content[start:]) - len(content[start + length :].lstrip(b" "))
    assert len(text) <= room
    path.write_bytes(content[:start] + text.ljust(room) + content[start + room :])


def test_a_directory_with_the_name_of_a_checkpoint(tmp_path):
    """It is none, and no reason to warn."""
    (tmp_path / "a.keras").mkdir()
    assert list_checkpoints(tmp_path) == []
    with pytest.raises(CheckpointCorruptError, match="regular file"):
        verify_checkpoint(tmp_path / "a.keras")


def test_one_bad_file_is_named_once_and_the_others_are_listed(tmp_path):
    """One warning for each bad file, and all the good ones."""
    faults.write(tmp_path / "good.keras", ARRAYS)
    (tmp_path / "bad.keras").write_bytes(b"bad")
    with pytest.warns(CheckpointWarning, match=r"bad\.keras") as caught:
        assert [info.path for info in list_checkpoints(tmp_path)] == [str(tmp_path / "good.keras")]
    assert len(caught) == 1


def test_a_region_never_reads_beyond_its_end(tmp_path):
    """What lies behind the weights in the zip is not taken for weights."""
    path = tmp_path / "file"
    path.write_bytes(b"before" + b"region" + b"behind")
    with open(path, "rb", buffering=0) as file:
        region = reader.Region(file, 6, 6)
        assert region.read(100) == b"region"
        assert region.read(1) == b""
        assert region.seek(-2, os.SEEK_END) == 4
        assert region.read() == b"on"
        assert region.seek(100) == 100
        assert region.read(1) == b""
        assert region.seek(1) == 1
        assert region.seek(1, os.SEEK_CUR) == 2
        assert region.read(2) == b"gi"
        assert region.seek(-100, os.SEEK_CUR) == 0
