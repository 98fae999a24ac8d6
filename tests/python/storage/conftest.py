"""The places that the tests of storage use; servers are started once and ended with the tests."""

import uuid
from typing import Any, NamedTuple

import pytest

from kerascheckpoint import location
from kerascheckpoint.storage.base import Storage
from kerascheckpoint.storage.places import storage_for
from support import servers


class Place(NamedTuple):
    """An empty directory somewhere: its path or URL, and what reaches it."""

    directory: str
    options: dict[str, Any] | None

    @property
    def storage(self) -> Storage:
        """The object that every caller in the package goes through."""
        return storage_for(self.directory, self.options)


@pytest.fixture(scope="session")
def s3(tmp_path_factory):
    """A SeaweedFS server with the bucket `bucket`."""
    with servers.running(servers.S3Server(tmp_path_factory.mktemp("s3"))) as server:
        yield server


@pytest.fixture(scope="session")
def sftp(tmp_path_factory):
    """An OpenSSH server."""
    with servers.running(servers.SftpServer(tmp_path_factory.mktemp("sftp"))) as server:
        yield server


@pytest.fixture(params=["local", "file", "memory", "s3", "sftp"])
def place(request, tmp_path):
    """A directory in every kind of place, one after the other."""
    return _place(request, tmp_path)


@pytest.fixture(params=["memory", "s3", "sftp"])
def remote(request, tmp_path):
    """A directory in every kind of place that is not a disk of this machine."""
    return _place(request, tmp_path)


def _place(request, tmp_path):
    name = uuid.uuid4().hex
    if request.param == "local":
        return Place(str(tmp_path / name), None)
    if request.param == "file":
        return Place(location.absolute(f"file://{tmp_path / name}"), None)
    if request.param == "memory":
        return Place(f"memory://{name}", None)
    server = request.getfixturevalue(request.param)
    where = f"s3://bucket/{name}" if request.param == "s3" else f"sftp://127.0.0.1{tmp_path}/{name}"
    return Place(where, server.options())
