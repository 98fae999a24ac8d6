"""Publishing: a file appears whole under its name, or the file before it stays."""

import errno
import os

import pytest

from kerascheckpoint import CheckpointWriteError
from kerascheckpoint.errors import was_published
from kerascheckpoint.storage import base, leftovers
from kerascheckpoint.storage.local import LocalStorage
from support import training

pytestmark = pytest.mark.any_backend

atomic_write = LocalStorage().atomic_write
MARK = leftovers.MARK


def publish(path, content=b"new", suffix=None):
    """Publish `content`, with a sibling file of `suffix` beside it."""
    with atomic_write(str(path)) as staged:
        os.write(staged.fd, content)
        if suffix:
            with open(staged.sibling(suffix), "wb") as file:
                file.write(content)
            os.unlink(staged.sibling(suffix))


def names_in(directory):
    return sorted(os.listdir(directory))


def test_the_file_appears_at_the_end_of_the_block(tmp_path):
    """A reader who comes earlier sees the old content."""
    path = tmp_path / "a.keras"
    path.write_bytes(b"old")
    with atomic_write(str(path)) as staged:
        os.write(staged.fd, b"new")
        assert path.read_bytes() == b"old"
        assert leftovers.is_temporary(os.path.basename(staged.path))
        assert os.path.dirname(staged.path) == str(tmp_path)
    assert path.read_bytes() == b"new"
    assert names_in(tmp_path) == ["a.keras"]


def test_the_bytes_reach_the_disk_before_the_name_and_the_name_before_the_return(tmp_path):
    """After a power cut the name never stands for bytes that were lost with the cache."""
    script = f"""
import os, sys
from kerascheckpoint.storage.local import LocalStorage
told = []
flush, replace = os.fsync, os.replace
os.fsync = lambda fd: (told.append("flush " + os.readlink(f"/proc/self/fd/{{fd}}")), flush(fd))
os.replace = lambda *paths: (told.append("replace"), replace(*paths))
with LocalStorage().atomic_write({str(tmp_path / "a.keras")!r}) as staged:
    temporary = staged.path
assert told == ["flush " + temporary, "replace", "flush {tmp_path}"], told
"""
    done = training.in_python(script)
    assert done.returncode == 0, done.stderr


def test_parents_that_are_made_are_on_the_disk_as_well(monkeypatch, tmp_path):
    """Otherwise a power cut could lose the directory that holds the file."""
    flushed, flush = [], os.fsync
    monkeypatch.setattr(
        os, "fsync", lambda fd: (flushed.append(os.readlink(f"/proc/self/fd/{fd}")), flush(fd))
    )
    publish(tmp_path / "a" / "b" / "c.keras")
    assert flushed[:2] == [str(tmp_path), str(tmp_path / "a")]
    assert flushed[-1] == str(tmp_path / "a" / "b")


@pytest.mark.parametrize("call", ["fsync of the directory", "close"])
def test_a_failure_after_the_rename_says_that_the_new_file_is_there(call, monkeypatch, tmp_path):
    """The callback believes what is at the target, not what the disk complained of."""
    path, replaced = tmp_path / "a.keras", []
    path.write_bytes(b"old")
    replace, fsync, close = os.replace, os.fsync, os.close

    def fail_once(action):
        def act(fd):
            if replaced:
                replaced.clear()
                if call == "close":
                    action(fd)
                raise OSError(errno.EIO, os.strerror(errno.EIO))
            return action(fd)

        return act

    monkeypatch.setattr(os, "replace", lambda *paths: (replace(*paths), replaced.append(True)))
    name, action = ("close", close) if call == "close" else ("fsync", fsync)
    monkeypatch.setattr(os, name, fail_once(action))
    with pytest.raises(CheckpointWriteError, match=r"a\.keras.* is written, but may not") as caught:
        publish(path)
    assert was_published(caught.value)
    assert path.read_bytes() == b"new"
    assert names_in(tmp_path) == ["a.keras"]


def test_a_failure_before_the_rename_says_that_the_old_file_is_there(monkeypatch, tmp_path):
    path = tmp_path / "a.keras"
    path.write_bytes(b"old")

    def fail(fd):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(CheckpointWriteError) as caught:
        publish(path)
    assert not was_published(caught.value)
    assert path.read_bytes() == b"old"


@pytest.mark.parametrize("is_link", [False, True])
def test_a_pipe_or_a_device_is_not_replaced(is_link, tmp_path):
    """Root could rename a file over a device of the whole system."""
    pipe, path = tmp_path / "pipe", tmp_path / "m.keras"
    os.mkfifo(pipe)
    path.symlink_to(pipe) if is_link else pipe.rename(path)
    with pytest.raises(CheckpointWriteError, match=r"m\.keras.*Is not a regular file"):
        LocalStorage().prepare(str(tmp_path), 1, str(path))
    with pytest.raises(CheckpointWriteError, match=r"m\.keras.*Is not a regular file"):
        publish(path)
    assert path.is_fifo()
    assert names_in(tmp_path) == (["m.keras", "pipe"] if is_link else ["m.keras"])


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left"), ValueError("mine")])
@pytest.mark.parametrize("suffix", [".keras", ".weights.h5", ".h5"])
def test_an_exception_leaves_the_old_file_and_nothing_else(error, suffix, tmp_path):
    """Also where a writer that needs a name of its own had begun a second file."""
    path = tmp_path / f"a{suffix}"
    path.write_bytes(b"old")
    expected = CheckpointWriteError if isinstance(error, OSError) else ValueError
    with pytest.raises(expected), atomic_write(str(path)) as staged:
        with open(staged.sibling(suffix), "wb") as file:
            file.write(b"half")
        raise error
    assert path.read_bytes() == b"old"
    assert names_in(tmp_path) == [f"a{suffix}"]


def test_the_error_names_the_path_and_the_cause(tmp_path):
    """The text alone tells the user which disk is full."""
    path = str(tmp_path / "a.keras")
    with pytest.raises(CheckpointWriteError) as caught, atomic_write(path):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert path in str(caught.value)
    assert os.strerror(errno.ENOSPC) in str(caught.value)
    assert caught.value.errno == errno.ENOSPC
    assert caught.value.filename == path


def test_an_error_that_says_enough_is_not_wrapped_again(tmp_path):
    """What a writer already put into words keeps them."""
    path = str(tmp_path / "a.keras")
    mine = base.write_error(path, OSError("mine"))
    with pytest.raises(CheckpointWriteError) as caught, atomic_write(path):
        raise mine
    assert caught.value is mine


def test_parents_that_do_not_exist_are_made(tmp_path):
    publish(tmp_path / "a" / "b" / "c.keras")
    assert names_in(tmp_path / "a" / "b") == ["c.keras"]


def test_a_file_where_a_parent_should_be(tmp_path):
    (tmp_path / "a").write_text("in the way")
    with pytest.raises(CheckpointWriteError):
        publish(tmp_path / "a" / "c.keras")
    assert names_in(tmp_path) == ["a"]


def test_a_directory_is_not_replaced(tmp_path):
    (tmp_path / "a.keras").mkdir()
    with pytest.raises(CheckpointWriteError, match="directory"):
        publish(tmp_path / "a.keras")
    assert names_in(tmp_path) == ["a.keras"]


@pytest.mark.parametrize("present", [True, False])
def test_a_link_is_followed(present, tmp_path):
    """Also one whose target does not exist yet."""
    link, target = tmp_path / "a.keras", tmp_path / "store" / "b.keras"
    target.parent.mkdir()
    link.symlink_to(target)
    if present:
        target.write_bytes(b"old")
    publish(link)
    assert link.is_symlink()
    assert target.read_bytes() == b"new"
    assert names_in(target.parent) == ["b.keras"]


def test_a_second_name_of_the_old_file_keeps_the_old_content(tmp_path):
    """A hard link that a user made as a backup stays a backup."""
    path, backup = tmp_path / "a.keras", tmp_path / "backup.keras"
    path.write_bytes(b"old")
    os.link(path, backup)
    publish(path)
    assert backup.read_bytes() == b"old"
    assert path.read_bytes() == b"new"


@pytest.mark.parametrize("name", ["n" * 249 + ".keras", "模型" * 40 + ".keras", "a b\n.keras", "-"])
def test_names_of_any_length_and_script(name, tmp_path):
    """The temporary name fits wherever the final one does."""
    publish(tmp_path / name, suffix=".weights.h5")
    assert names_in(tmp_path) == [name]


def test_of_two_saves_to_one_path_the_later_end_wins(tmp_path):
    """Two callbacks of one process must not trip over each other's temporary files."""
    path = tmp_path / "a.keras"
    with atomic_write(str(path)) as first:
        os.write(first.fd, b"first")
        publish(path, b"second")
        assert path.read_bytes() == b"second"
        assert leftovers.remove_leftovers(str(tmp_path)) == []
    assert path.read_bytes() == b"first"
    assert names_in(tmp_path) == ["a.keras"]


def test_a_save_through_a_link_to_its_directory_is_not_a_leftover(tmp_path):
    """A second callback clears up while the first one writes."""
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    with atomic_write(str(tmp_path / "link" / "a.keras")) as staged:
        os.write(staged.fd, b"new")
        assert leftovers.remove_leftovers(str(tmp_path / "link")) == []
    assert names_in(tmp_path / "real") == ["a.keras"]


def test_file_descriptors_are_given_back(tmp_path):
    """A run of a million saves must not end for want of them."""
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(3):
        publish(tmp_path / "a.keras")
        with (
            pytest.raises(ZeroDivisionError),
            atomic_write(str(tmp_path / "a.keras")),
        ):
            raise ZeroDivisionError
    assert len(os.listdir("/proc/self/fd")) == before


def test_leftovers_are_removed_with_their_siblings_and_nothing_else(tmp_path):
    """Files of other programs stay, hidden or not."""
    ours = [
        f".a.keras.1{MARK}",
        f".b.2{MARK}",
        f".b.2{MARK}.weights.h5",
    ]
    orphan = [f".c.3{MARK}.keras"]
    foreign = [".a.keras.tmp", ".hidden", "a.keras", f"a{MARK}", "b.weights.h5"]
    for name in ours + orphan + foreign:
        (tmp_path / name).touch()
    assert sorted(leftovers.remove_leftovers(str(tmp_path))) == sorted(ours + orphan)
    assert names_in(tmp_path) == sorted(foreign)


def test_leftovers_of_a_directory_that_is_not_there(tmp_path):
    assert leftovers.remove_leftovers(str(tmp_path / "absent")) == []


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (f".a.keras.0{MARK}", True),
        (f".a.keras.0{MARK}.weights.h5", True),
        ("a.keras", False),
        (".a.keras", False),
        (f"a{MARK}.keras", False),
    ],
)
def test_temporary_names(name, expected):
    """A user's own file is never taken for one of ours."""
    assert leftovers.is_temporary(name) is expected
