"""What every place must do, whoever serves it: a disk, memory, S3 or sftp, on real servers."""

import os
import pickle

import pytest

from kerascheckpoint import (
    CheckpointNotFoundError,
    CheckpointWriteError,
    location,
    verify_checkpoint,
)
from kerascheckpoint.formats.keras_file.writer import KerasFileWriter
from kerascheckpoint.storage.places import storage_for
from support import small_files

pytestmark = pytest.mark.any_backend


def publish(place, name, content=b"new"):
    """Publish `content` under a name in a place; return its path."""
    path = location.join(place.directory, name)
    with place.storage.atomic_write(path, None) as staged:
        os.write(staged.fd, content)
    return path


def content_of(place, path):
    with place.storage.open(path) as file:
        return file.read()


def test_a_file_appears_at_the_end_of_the_block_and_replaces_the_one_before(place):
    """A reader who comes earlier sees the old content."""
    path = publish(place, "a.keras", b"old")
    with place.storage.atomic_write(path) as staged:
        os.write(staged.fd, b"newer")
        assert content_of(place, path) == b"old"
        assert place.storage.paths(place.directory) == [path]
    assert content_of(place, path) == b"newer"
    assert place.storage.status(path).size == 5
    assert place.storage.paths(place.directory) == [path]


@pytest.mark.parametrize("error", [ValueError("mine"), KeyboardInterrupt()], ids=repr)
def test_an_exception_in_the_block_leaves_the_old_file_and_nothing_else(error, place):
    path = publish(place, "a.keras", b"old")
    with pytest.raises(type(error)), place.storage.atomic_write(path) as staged:
        os.write(staged.fd, b"half")
        sibling = staged.sibling(".keras")
        with open(sibling, "wb") as file:
            file.write(b"half")
        raise error
    assert content_of(place, path) == b"old"
    assert place.storage.paths(place.directory) == [path]
    assert not os.path.exists(sibling)


def test_an_error_of_the_system_names_the_path_and_the_cause(place):
    path = location.join(place.directory, "a.keras")
    with pytest.raises(CheckpointWriteError) as caught, place.storage.atomic_write(path):
        raise OSError(28, "No space left on device")
    assert path in str(caught.value) and "No space left" in str(caught.value)
    assert caught.value.published is False


def test_any_part_of_a_file_can_be_read(place):
    """A list reads the ends of files, not their weights."""
    content = os.urandom(1_000_003)
    path = publish(place, "a.keras", content)
    with place.storage.open(path) as file:
        assert file.seek(0, os.SEEK_END) == len(content)
        assert file.read(1) == b""
        for start, length in [
            (0, 10),
            (999_990, 100),
            (65_530, 12),
            (3, 900_000),
            (131_072, 65_536),
        ]:
            file.seek(start)
            assert file.read(length) == content[start : start + length]
            assert file.tell() == min(start + length, len(content))


def test_a_missing_file_is_reported_as_missing(place):
    publish(place, "a.keras")
    absent = location.join(place.directory, "b.keras")
    storage = place.storage
    assert not storage.exists(absent)
    assert not storage.is_directory(absent)
    for ask in (storage.open, storage.status):
        with pytest.raises(CheckpointNotFoundError, match=r"no checkpoint at .*b\.keras"):
            ask(absent)
    assert storage.paths(location.join(place.directory, "none")) == []


def test_another_file_at_the_same_path_has_another_identity(place):
    """Retention must not delete what another run has put there."""
    path = publish(place, "a.keras", b"one")
    before = place.storage.status(path)
    assert place.storage.status(path) == before
    publish(place, "a.keras", b"another")
    assert place.storage.status(path).identity != before.identity
    assert place.storage.status(path).modified >= before.modified


def test_files_are_listed_level_by_level(place):
    names = ["1.keras", "2.weights.h5", "a/3.keras", "a/b/4.keras", "5.orbax/part"]
    for name in names:
        publish(place, name)
    join, directory, storage = location.join, place.directory, place.storage
    top = [join(directory, name) for name in ("1.keras", "2.weights.h5", "5.orbax")]
    assert storage.paths(directory) == top
    assert storage.paths(directory, 2) == sorted([*top, join(directory, "a/3.keras")])
    deep = [join(directory, name) for name in ("a/3.keras", "a/b/4.keras")]
    assert storage.paths(directory, 3) == sorted([*top, *deep])
    assert storage.is_directory(directory) and storage.exists(directory)
    assert storage.is_directory(join(directory, "5.orbax"))


@pytest.mark.parametrize("name", ["a b.keras", "模型 é.keras", "x[1]*?.keras", "50%41 #1.keras"])
def test_names_of_any_script_and_with_characters_that_patterns_use(name, place):
    publish(place, "x1.keras", b"other")
    path = publish(place, name, b"first")
    publish(place, name, b"second")
    assert content_of(place, path) == b"second"
    assert path in place.storage.paths(place.directory)
    assert storage_for(path, place.options).exists(path)  # a storage that begins with that name
    place.storage.delete(path)
    assert place.storage.paths(place.directory) == [location.join(place.directory, "x1.keras")]


def test_a_checkpoint_is_deleted_as_a_whole_and_only_it(place):
    path = publish(place, "a.keras")
    publish(place, "d.orbax/x/part")
    other = publish(place, "ab.keras")
    for doomed in (path, location.join(place.directory, "d.orbax"), path):
        place.storage.delete(doomed)
    assert place.storage.paths(place.directory, 3) == [other]


def test_preparing_leaves_no_trace_and_finds_a_directory_in_the_way(place):
    storage, directory = place.storage, place.directory
    free = storage.prepare(directory)
    assert free is None or free > 0
    assert storage.paths(directory) == []
    publish(place, "a.keras/in-the-way")
    with pytest.raises(CheckpointWriteError, match="existing directory"):
        storage.prepare(directory, 1, location.join(directory, "a.keras"))


def test_a_storage_can_be_copied_after_use(place):
    """A callback is pickled before training."""
    path = publish(place, "a.keras")
    storage = place.storage
    assert storage.exists(path)
    assert pickle.loads(pickle.dumps(storage)).exists(path)


def test_no_descriptor_stays_open(place):
    storage, path = place.storage, location.join(place.directory, "a.keras")

    def save():
        with storage.atomic_write(path) as staged:
            os.write(staged.fd, b"new")

    save()
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(3):
        save()
    assert len(os.listdir("/proc/self/fd")) <= before + 1  # a pool may hold one connection more


@pytest.mark.parametrize("kind", small_files.SUFFIXES)
def test_a_checkpoint_arrives_byte_by_byte(kind, place, tmp_path):
    """Checksums are made on the way to the local file and hold for what the place returns."""
    np = small_files.np
    arrays = {"layers/dense/vars/0": np.random.default_rng(1).normal(size=(1024, 1100))}
    path = location.join(place.directory, f"model{kind}")
    content = small_files.content_of(arrays, model=kind == ".keras")
    with place.storage.atomic_write(path) as staged:
        KerasFileWriter().write(staged.fd, content, small_files.FIELDS)
    copy = tmp_path / f"copy{kind}"
    copy.write_bytes(content_of(place, path))
    assert verify_checkpoint(copy).step == 4
    found = small_files.read(copy)
    assert found["layers/dense/vars/0"].tobytes() == arrays["layers/dense/vars/0"].tobytes()
