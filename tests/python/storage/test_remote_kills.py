"""Processes and servers that die in an upload, in a save and in a list: no checkpoint is lost."""

import contextlib
import json
import os
import pathlib
import subprocess
import sys

import pytest

import kerascheckpoint as kc
from kerascheckpoint import CheckpointUnreachableError, CheckpointWriteError, ModelCheckpoint
from kerascheckpoint.storage import filesystems, remote_leftovers, retry, upload
from kerascheckpoint.storage.places import storage_for
from kerascheckpoint.storage.remote import RemoteStorage
from support import remote_fit, servers, training

pytestmark = pytest.mark.any_backend


@pytest.fixture
def impatient(monkeypatch):
    """Give up at once on what may pass, as s3fs and botocore do not by themselves."""
    import s3fs

    monkeypatch.setattr(retry, "PATIENCE", 0.1)
    monkeypatch.setattr(s3fs.S3FileSystem, "retries", 1)


ONCE = {"config_kwargs": {"retries": {"max_attempts": 0}, "connect_timeout": 2}}


@pytest.fixture
def proxy():
    """What stands between the test and a server, and what is cut when the test ends."""
    made = []

    def to(server, **settings):
        made.append(servers.Proxy(server.port, **settings))
        return made[-1]

    yield to
    for one in made:
        one.close()
        one.cut()


@pytest.mark.parametrize("kind", ["s3", "sftp"])
def test_a_training_that_is_killed_in_an_upload_leaves_the_old_file_and_no_rubbish(
    kind, request, tmp_path, monkeypatch, proxy
):
    """The file of the first epoch stays; the next run aborts the upload and ends as if whole."""
    server, staging = request.getfixturevalue(kind), tmp_path / "staging"
    staging.mkdir()
    where = f"s3://bucket/{tmp_path.name}" if kind == "s3" else f"sftp://127.0.0.1{tmp_path}/run"
    options, path, between = server.options(), f"{where}/m.keras", proxy(server)
    more = json.dumps(server.options(between.port, staging_directory=str(staging)))
    child = subprocess.Popen([sys.executable, "-m", "support.remote_fit", path, more, "3"])
    between.limit, between.on_limit = 27 << 20, child.kill  # the second upload has 18 MB as well
    assert child.wait(120) == -9
    assert os.listdir(staging) == []
    assert [info.epoch for info in kc.list_checkpoints(where, options)] == [1]
    assert kc.verify_checkpoint(path, options).epoch == 1
    if kind == "s3":
        assert server.unfinished_uploads()
        monkeypatch.setattr(remote_leftovers, "OLD", 0.0)
    else:
        assert len(training.names_in(tmp_path / "run")) == 2

    history = remote_fit.fit(path, options, 3)
    assert history.epoch == [0, 1, 2]
    assert kc.verify_checkpoint(path, options).epoch == 3
    if kind == "s3":
        assert server.unfinished_uploads() == []
    else:
        assert training.names_in(tmp_path / "run") == ["m.keras"]


def write(storage, path, content):
    with storage.atomic_write(path) as staged:
        os.write(staged.fd, content)


def read(storage, path):
    with storage.open(path) as file:
        return file.read()


def test_a_server_that_dies_in_an_upload_leaves_the_old_file(impatient, s3, proxy, tmp_path):
    """The error comes in bounded time. When the server is back, all is as before the upload."""
    url, between = f"s3://bucket/{tmp_path.name}", proxy(s3)
    storage = storage_for(url, s3.options(between.port, **ONCE))
    write(storage, f"{url}/a.keras", b"old")
    between.limit, between.on_limit = between.sent + (3 << 20), s3.kill
    with pytest.raises(CheckpointWriteError, match=f"{url}/a.keras"):
        write(storage, f"{url}/a.keras", os.urandom(6 << 20))
    with pytest.raises(CheckpointUnreachableError):
        kc.list_checkpoints(url, s3.options(**ONCE))
    s3.begin()
    assert read(storage, f"{url}/a.keras") == b"old"
    assert storage.paths(url) == [f"{url}/a.keras"]


@pytest.mark.parametrize("kind", ["s3", "sftp"])
def test_a_server_that_falls_silent_in_an_upload_is_an_error(
    kind, request, impatient, proxy, tmp_path, monkeypatch
):
    """It takes no more bytes and never answers again; nothing waits for it without a limit."""
    monkeypatch.setattr(filesystems, "_SILENCE", 1.0)
    server, between = request.getfixturevalue(kind), proxy(request.getfixturevalue(kind))
    where = f"s3://bucket/{tmp_path.name}" if kind == "s3" else f"sftp://127.0.0.1{tmp_path}/run"
    storage = storage_for(where, server.options(between.port, **(ONCE if kind == "s3" else {})))
    write(storage, f"{where}/a.keras", b"old")
    monkeypatch.setattr(upload, "STALLED", 1.0)

    def fall_silent():
        between.delay = 1e6

    between.limit, between.on_limit = between.sent + (3 << 20), fall_silent
    with pytest.raises(CheckpointWriteError, match=f"{where}/a.keras"):
        write(storage, f"{where}/a.keras", os.urandom(12 << 20))
    assert read(storage_for(where, server.options()), f"{where}/a.keras") == b"old"


def test_a_server_that_dies_in_a_list_is_an_error_and_no_short_list(impatient, s3, proxy, tmp_path):
    """A list without some of the checkpoints would look as if they were lost."""
    url, between = f"s3://bucket/{tmp_path.name}", proxy(s3)
    storage = storage_for(url, s3.options(**ONCE))
    content = pathlib.Path(training.checkpoint_file(tmp_path / "m.keras")).read_bytes()
    for number in range(8):
        write(storage, f"{url}/{number}.keras", content)
    assert len(kc.list_checkpoints(url, s3.options(between.port, **ONCE))) == 8

    def die():
        between.close()
        between.cut()

    whole, between.sent = between.sent, 0
    between.limit, between.on_limit = whole // 2, die
    with pytest.raises(CheckpointUnreachableError):
        kc.list_checkpoints(url, s3.options(between.port, **ONCE))


def test_training_continues_while_a_server_is_away(impatient, s3, proxy, shared_model, tmp_path):
    """With `on_save_error="warn"` a server that is away for a while costs one checkpoint."""
    url = f"s3://bucket/{tmp_path.name}"
    between = proxy(s3)

    def leave():
        between.close()
        between.cut()

    def come_back():
        proxy(s3, port=between.port)

    settings = {
        "storage_options": s3.options(between.port, **ONCE),
        "on_save_error": "warn",
    }
    saving = ModelCheckpoint(f"{url}/{{epoch}}.keras", monitor="loss", **settings)
    away, back = training.At(1, leave, batch=0), training.At(2, come_back, batch=0)
    with pytest.warns(kc.CheckpointWarning, match=r"goes on without .*2\.keras") as caught:
        training.train(shared_model, away, back, saving, epochs=3)
    assert len([text for text in training.texts(caught) if "goes on without" in text]) == 1
    assert [info.epoch for info in kc.list_checkpoints(url, s3.options())] == [1, 3]


@pytest.mark.filterwarnings("ignore:saves come faster:kerascheckpoint.CheckpointWarning")
def test_one_checkpoint_at_a_time_is_on_the_local_disk(s3, shared_model, tmp_path, monkeypatch):
    """In the directory that the user chose, and none is left there."""
    counts, original = [], RemoteStorage._upload

    def counted(self, *arguments):
        counts.append(sum(str(tmp_path) in link for link in open_files()))
        return original(self, *arguments)

    monkeypatch.setattr(RemoteStorage, "_upload", counted)
    options = s3.options(staging_directory=str(tmp_path))
    path = f"s3://bucket/{tmp_path.name}/{{epoch}}.keras"
    saving = ModelCheckpoint(path, monitor="loss", storage_options=options, save_on_background=True)
    training.train(shared_model, saving, epochs=4)
    assert counts == [1, 1, 1, 1]
    assert training.names_in(tmp_path) == []


def open_files():
    """Return what the descriptors of this process lead to; some go while we look."""
    links = []
    for fd in os.listdir("/proc/self/fd"):
        with contextlib.suppress(FileNotFoundError):
            links.append(os.readlink(f"/proc/self/fd/{fd}"))
    return links
