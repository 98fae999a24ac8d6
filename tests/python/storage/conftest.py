"""The places that the tests of storage use; servers are started once and ended with the tests."""

import importlib.util
import os
import shutil
import uuid
from typing import Any, NamedTuple

import pytest

from kerascheckpoint import location
from kerascheckpoint.storage.base import Storage
from kerascheckpoint.storage.places import storage_for
from support import servers

# The emulators of other stores, where they are installed: see CONTRIBUTING.md.
EMULATED = []
if importlib.util.find_spec("gcsfs") and importlib.util.find_spec("gcp_storage_emulator"):
    os.environ["GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT"] = "false"  # gRPC, which the emulator lacks
    EMULATED.append("gs")
if importlib.util.find_spec("adlfs") and shutil.which("azurite-blob"):
    EMULATED.append("az")


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


@pytest.fixture(scope="session")
def gs(tmp_path_factory):
    """An emulator of Google's object store with the bucket `bucket`."""
    with servers.running(servers.GcsServer(tmp_path_factory.mktemp("gs"))) as server:
        yield server


@pytest.fixture(scope="session")
def az(tmp_path_factory):
    """An emulator of Azure's object store with the container `bucket`."""
    with servers.running(servers.AzureServer(tmp_path_factory.mktemp("az"))) as server:
        yield server


@pytest.fixture(params=["local", "file", "memory", "s3", "sftp", *EMULATED])
def place(request, tmp_path):
    """A directory in every kind of place, one after the other."""
    return _place(request, tmp_path)


@pytest.fixture(params=["memory", "s3", "sftp", *EMULATED])
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
    where = f"{request.param}://bucket/{name}"
    if request.param == "sftp":
        where = f"sftp://127.0.0.1{tmp_path}/{name}"
    return Place(where, server.options())
