"""Places that cannot be used: an error before the first batch that names the URL and the reason."""

import re

import pytest

import kerascheckpoint as kc
from kerascheckpoint import CheckpointUnreachableError, CheckpointWriteError, ModelCheckpoint
from kerascheckpoint.storage import retry
from support import servers, training

pytestmark = pytest.mark.any_backend

CLOSED = 9  # nothing listens at this port
ONCE = {"config_kwargs": {"retries": {"max_attempts": 0}}}  # S3's client would take 10 seconds


@pytest.fixture(params=["s3", "sftp"])
def server(request):
    """Each server, and a URL of it."""
    found = request.getfixturevalue(request.param)
    return found, {"s3": "s3://bucket/run", "sftp": "sftp://127.0.0.1/tmp/run"}[request.param]


def assert_refused(model, url, options, reason):
    """Train with checkpoints at `url`: no batch runs, and the error says why."""
    steps = int(model.optimizer.iterations.numpy())
    saving = ModelCheckpoint(f"{url}/m.keras", monitor="loss", storage_options=options)
    with pytest.raises(CheckpointWriteError) as caught:
        training.train(model, saving)
    assert url in str(caught.value)
    assert re.search(reason, str(caught.value)), str(caught.value)
    assert int(model.optimizer.iterations.numpy()) == steps


@pytest.mark.parametrize(
    ("options", "url", "reason"),
    [
        ({"secret": "wrong"}, "s3://bucket/run", "signature"),
        ({"key": "reader"}, "s3://bucket/run", "no permission"),
        ({}, "s3://absent/run", "no bucket 'absent'"),
    ],
)
def test_what_s3_refuses(options, url, reason, s3, shared_model):
    assert_refused(shared_model, url, s3.options(**options), reason)


def test_what_sftp_refuses(sftp, shared_model, tmp_path):
    """A wrong key; a path where no directory can be made; a read-only server."""
    url, stranger = f"sftp://127.0.0.1{tmp_path}/run", str(sftp.other_key)
    options = sftp.options(key_filename=stranger)
    assert_refused(shared_model, url, options, "Authentication failed")
    (tmp_path / "file").write_text("")
    file = f"sftp://127.0.0.1{tmp_path}/file"
    assert_refused(shared_model, file, sftp.options(), "it is a file, not a directory")
    below = f"{file}/run"
    assert_refused(shared_model, below, sftp.options(), "could not write checkpoint")
    (tmp_path / "server").mkdir()
    with servers.running(servers.SftpServer(tmp_path / "server", read_only=True)) as reading:
        assert_refused(shared_model, url, reading.options(), "[Pp]ermission denied")


def test_a_server_that_is_not_there(server, shared_model):
    kind, url = server
    options = kind.options(CLOSED, **(ONCE if url.startswith("s3") else {}))
    reason = "Could not connect|Unable to connect|Connection refused"
    assert_refused(shared_model, url, options, reason)
    with pytest.raises(CheckpointUnreachableError, match=url):
        kc.list_checkpoints(url, options)


def test_a_server_that_accepts_and_never_answers(server, shared_model, monkeypatch):
    """It does not hold up a training for longer than `FIRST_ANSWER`."""
    kind, url = server
    monkeypatch.setattr(retry, "FIRST_ANSWER", 1.5)
    with servers.silent() as port:
        options = kind.options(port)
        assert_refused(shared_model, url, options, r"no answer within 1\.5 seconds")
        with pytest.raises(CheckpointUnreachableError, match=url):
            kc.latest_checkpoint(url, options)
