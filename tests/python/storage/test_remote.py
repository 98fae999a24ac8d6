"""Remote places that fail: servers that die, credentials that are wrong, wires that are slow."""

import errno
import importlib
import os
import re
import sys

import keras
import numpy as np
import pytest

import kerascheckpoint as kc
from kerascheckpoint import CheckpointUnreachableError, CheckpointWriteError
from kerascheckpoint.formats.base import Target
from kerascheckpoint.formats.keras_file.forms import SnapshotWriter
from kerascheckpoint.saving import Saver
from kerascheckpoint.storage import retry
from kerascheckpoint.storage.places import storage_for
from kerascheckpoint.storage.remote_staging import KeptFile, RemoteStagedFile
from support import servers, small_files, training

pytestmark = pytest.mark.any_backend


@pytest.fixture
def impatient(monkeypatch):
    """Give up at once on what may pass."""
    monkeypatch.setattr(retry, "PATIENCE", 1.0)


def test_a_missing_package_or_an_unknown_protocol_is_named_at_once(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "gcsfs", None)  # it may be installed
    known = importlib.import_module("fsspec.registry")._registry
    monkeypatch.delitem(known, "gs", raising=False)
    with pytest.raises(ImportError, match=r"pip install gcsfs or pip install .*\[gs\]"):
        storage_for("gs://bucket/run")
    files = "s4://bucket/{epoch}.keras"
    with pytest.raises(ValueError, match=re.escape(f"Received: filepath={files!r}")):
        kc.ModelCheckpoint(files)
    with pytest.raises(ValueError, match=r"filepath must be .* URL that fsspec can open"):
        kc.list_checkpoints("s4://bucket")
    training.checkpoint_file(tmp_path / "a.keras")
    with pytest.raises(ValueError, match=r"Received: b='s4://b.keras'"):
        kc.compare_checkpoints(str(tmp_path / "a.keras"), "s4://b.keras")


def test_options_for_a_local_path_and_an_absent_staging_directory_are_refused(tmp_path):
    with pytest.raises(ValueError, match="storage_options are for URLs"):
        storage_for(str(tmp_path), {"key": "x"})
    with pytest.raises(ValueError, match="existing local directory"):
        storage_for("memory://run", {"staging_directory": str(tmp_path / "absent")})
    with pytest.raises(ValueError, match=r"existing local directory.*Received: 3"):
        storage_for("memory://run", {"staging_directory": 3})


def test_errors_of_the_local_disk_name_the_local_directory(tmp_path):
    """They are not the server's, though a save to a URL ends in them."""
    staging = tmp_path / "staging"
    staging.mkdir()
    storage = storage_for("memory://run", {"staging_directory": staging})
    write = storage.atomic_write("memory://run/a.keras")
    with pytest.raises(CheckpointWriteError, match=re.escape(str(staging))) as caught, write:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert (caught.value.errno, "memory://run/a.keras" in str(caught.value)) == (errno.ENOSPC, True)
    staging.rmdir()
    for action in (
        lambda: storage.prepare("memory://run"),  # before the first batch
        lambda: storage.atomic_write("memory://run/a.keras").__enter__(),
    ):
        with pytest.raises(CheckpointWriteError, match=re.escape(str(staging))):
            action()


def test_a_forked_process_does_not_write_into_the_file_of_its_parent(tmp_path, monkeypatch):
    kept = KeptFile()
    with RemoteStagedFile(str(tmp_path), kept) as staged:
        own = os.fstat(staged.fd).st_ino
    with RemoteStagedFile(str(tmp_path), kept) as staged:
        assert os.fstat(staged.fd).st_ino == own
        held = os.dup(staged.fd)  # as the parent's, so that its number is not used again
    monkeypatch.setattr(os, "getpid", lambda: -1)  # a fork of many threads could hang here
    with RemoteStagedFile(str(tmp_path), kept) as staged:
        assert os.fstat(staged.fd).st_ino != own
    os.close(held)


def test_one_local_file_serves_all_uploads_and_is_given_back(tmp_path):
    """New files need new memory in the system's cache."""
    storage = storage_for("memory://run", {"staging_directory": tmp_path})
    target, writer = Target("memory://run/a.keras", storage), SnapshotWriter()

    def held():
        links = [f"/proc/self/fd/{fd}" for fd in os.listdir("/proc/self/fd")]
        return [os.stat(each).st_ino for each in links if str(tmp_path) in os.path.realpath(each)]

    files = set()
    for length in (9000, 3000, 6000):
        arrays = {"layers/a/vars/0": np.arange(length)}
        writer.save(target, small_files.content_of(arrays, model=True), small_files.FIELDS)
        kc.verify_checkpoint(target.path)
        (file,) = held()
        files.add(file)
    assert len(files) == 1
    assert os.listdir(tmp_path) == []
    storage.release()
    assert held() == []


@pytest.mark.parametrize("kind", ["sftp", "s3"])
def test_a_connection_that_breaks_in_an_upload_costs_nothing(kind, request, tmp_path):
    """The upload is made again; the reader sees the old file or the new one."""
    server = request.getfixturevalue(kind)
    proxy = servers.Proxy(server.port)
    where = f"sftp://127.0.0.1{tmp_path}" if kind == "sftp" else f"s3://bucket/{tmp_path.name}"
    storage, path = storage_for(where, server.options(proxy.port)), f"{where}/a.keras"
    content = os.urandom(6 << 20)
    proxy.limit, proxy.on_limit = 3 << 20, proxy.cut
    with storage.atomic_write(path) as staged:
        os.write(staged.fd, content)
    assert proxy.limit is None, "the connection was not cut"
    with storage.open(path) as file:
        assert file.read() == content
    assert storage.paths(where) == [path]
    proxy.close()


def test_a_server_that_dies_in_a_save_leaves_the_old_file(impatient, sftp, tmp_path):
    url, proxy = f"sftp://127.0.0.1{tmp_path}/run", servers.Proxy(sftp.port)
    options = sftp.options(proxy.port)
    storage = storage_for(url, options)
    with storage.atomic_write(f"{url}/a.keras") as staged:
        os.write(staged.fd, b"old")
    with (
        pytest.raises(CheckpointWriteError, match=f"{url}/a.keras"),
        storage.atomic_write(f"{url}/a.keras") as staged,
    ):
        os.write(staged.fd, b"new")
        proxy.close()
        proxy.cut()
    assert (tmp_path / "run" / "a.keras").read_bytes() == b"old"
    assert training.names_in(tmp_path / "run") == ["a.keras"]
    with pytest.raises(CheckpointUnreachableError):
        kc.list_checkpoints(url, storage_options=options)


def test_a_list_of_100_asks_once_for_each_and_reads_little(s3, tmp_path):
    """At most 256 KB of each file plus its record, in one request for each file."""
    import s3fs

    sample = tmp_path / "sample.keras"
    small_files.write(sample, {"layers/dense/vars/0": small_files.np.ones((300, 512))})
    assert sample.stat().st_size > 1 << 20
    fs = s3fs.S3FileSystem(skip_instance_cache=True, **s3.options())
    for number in range(100):
        fs.put_file(str(sample), f"bucket/many/{number}.keras")
    proxy = servers.Proxy(s3.port, delay=0.02)
    infos = kc.list_checkpoints("s3://bucket/many", storage_options=s3.options(proxy.port))
    assert len(infos) == 100
    assert 0 < proxy.received < 100 * (256 << 10)
    assert proxy.requests <= 100 + 10
    proxy.close()


@pytest.mark.parametrize("kind", ["sftp", "s3"])
@pytest.mark.parametrize("suffix", [".keras", ".weights.h5"])
def test_a_restore_fetches_the_file_once(kind, suffix, request, tmp_path):
    """It is checked and read from a local copy that comes in meanwhile.

    The least of three counts: paramiko may ask for the rest of a block twice, if its thread sends
    requests more slowly than the answers come in.
    """
    server = request.getfixturevalue(kind)
    where = f"sftp://127.0.0.1{tmp_path}/run" if kind == "sftp" else f"s3://bucket/{tmp_path.name}"
    model = keras.Sequential([keras.Input((1500,)), keras.layers.Dense(1600)])
    saving = Saver(on_background=False, storage=storage_for(where, server.options()))
    path, failures = f"{where}/m{suffix}", []
    saving.save(model, path, small_files.FIELDS, failures.append)
    assert failures == [None]
    received = []
    for _ in range(3):
        proxy, other = servers.Proxy(server.port), keras.models.clone_model(model)
        kc.restore_checkpoint(other, path, server.options(proxy.port))
        proxy.close()
        training.assert_same(training.arrays_of(other), training.arrays_of(model))
        received.append(proxy.received)
    size = kc.list_checkpoints(path, server.options())[0].size
    assert size > 9 << 20
    assert size <= min(received) < 1.2 * size
