"""Real servers on loopback, started and ended by the tests: S3 (SeaweedFS) and sftp (OpenSSH)."""

import contextlib
import getpass
import json
import os
import pathlib
import random
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

KEY, SECRET = "tester", "not-a-secret"
PATIENCE = 60  # seconds until a server that does not answer is an error


class Server:
    """A server process on loopback that can be killed and started again on the same data."""

    def __init__(self, command: list[str], port: int, log: pathlib.Path) -> None:
        self._command, self.port, self._log = command, port, log
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, is_ready: Callable[[], object]) -> None:
        """Start it and return when `is_ready` raises nothing."""
        with open(self._log, "ab") as log:
            self._process = subprocess.Popen(
                self._command, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                is_ready()
                return
            except Exception as error:
                if self._process.poll() is not None or time.monotonic() > deadline:
                    self.kill()
                    text = self._log.read_text(errors="replace")[-3000:]
                    raise RuntimeError(
                        f"{self._command[0]} does not serve: {error}\n{text}"
                    ) from error
                time.sleep(0.1)

    def kill(self) -> None:
        """End it as a power failure would."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


class S3Server(Server):
    """SeaweedFS' S3 gateway with one user and one bucket."""

    def __init__(self, directory: pathlib.Path) -> None:
        master, volume, filer, s3 = _free_ports(4)
        users = directory / "users.json"
        credentials = [{"accessKey": KEY, "secretKey": SECRET}]
        actions = ["Admin", "Read", "Write", "List", "Tagging"]
        reader = {
            "name": "reader",
            "credentials": [{"accessKey": "reader", "secretKey": SECRET}],
            "actions": ["Read", "List"],
        }
        users.write_text(
            json.dumps(
                {
                    "identities": [
                        {"name": KEY, "credentials": credentials, "actions": actions},
                        reader,
                    ]
                }
            )
        )
        (directory / "data").mkdir()
        command = [
            os.path.join(os.path.dirname(sys.executable), "weed"),
            *("server", f"-dir={directory / 'data'}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1"),
            *(f"-master.port={master}", f"-volume.port={volume}", f"-filer.port={filer}"),
            *("-filer=true", "-s3=true", f"-s3.port={s3}", f"-s3.config={users}"),
            *("-s3.port.iceberg=0", "-s3.port.lance=0"),  # at fixed ports: a second server's death
            *("-master.telemetry=false", "-volume.max=100", "-master.volumeSizeLimitMB=64"),
        ]
        super().__init__(command, s3, directory / "weed.log")

    def options(self, port: int | None = None, **more: Any) -> dict[str, Any]:
        """Return `storage_options` that reach it."""
        endpoint = f"http://127.0.0.1:{port or self.port}"
        return {"key": KEY, "secret": SECRET, "endpoint_url": endpoint} | more

    def begin(self) -> None:
        """Start it; see that its bucket is there."""
        import s3fs

        def is_ready() -> None:
            fs = s3fs.S3FileSystem(skip_instance_cache=True, **self.options())
            if not fs.exists("bucket"):
                fs.mkdir("bucket")
            fs.pipe_file("bucket/ready", b"x")

        self.start(is_ready)

    def unfinished_uploads(self) -> list[str]:
        """Return the keys of multipart uploads that were neither completed nor aborted."""
        import s3fs

        fs = s3fs.S3FileSystem(skip_instance_cache=True, **self.options())
        return [upload["Key"] for upload in fs.list_multipart_uploads("bucket")]


class SftpServer(Server):
    """OpenSSH's sftp server on a high port, as the user that runs the tests."""

    def __init__(self, directory: pathlib.Path, *, read_only: bool = False) -> None:
        (port,) = _free_ports(1)
        self.other_key = directory / "host"  # of nobody who may log in
        self._user_key = directory / "user"
        for key in (directory / "host", self._user_key):
            command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)]
            subprocess.run(command, check=True)
        lines = [
            f"Port {port}",
            "ListenAddress 127.0.0.1",
            f"HostKey {directory / 'host'}",
            f"AuthorizedKeysFile {self._user_key}.pub",
            f"PidFile {directory / 'pid'}",
            "PasswordAuthentication no",
            "KbdInteractiveAuthentication no",
            "StrictModes no",
            "UsePAM no",
            "PermitRootLogin yes",
            f"Subsystem sftp internal-sftp{' -R' if read_only else ''}",
        ]
        (directory / "config").write_text("\n".join(lines) + "\n")
        if os.getuid() == 0:
            os.makedirs("/run/sshd", exist_ok=True)  # sshd of root insists on it
        program = shutil.which(
            "sshd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin"
        )
        super().__init__(
            [program or "sshd", "-D", "-e", "-f", str(directory / "config")],
            port,
            directory / "sshd.log",
        )

    def options(self, port: int | None = None, **more: Any) -> dict[str, Any]:
        """Return `storage_options` that reach it."""
        return {
            "port": port or self.port,
            "username": getpass.getuser(),
            "key_filename": str(self._user_key),
            "look_for_keys": False,
            "allow_agent": False,
        } | more

    def begin(self) -> None:
        """Start it."""

        def is_ready() -> None:
            with socket.create_connection(("127.0.0.1", self.port), 1) as connection:
                if not connection.recv(4):
                    raise ConnectionError("no greeting")

        self.start(is_ready)


class GcsServer(Server):
    """An emulator of Google's object store, from the package gcp-storage-emulator."""

    def __init__(self, directory: pathlib.Path) -> None:
        (port,) = _free_ports(1)
        program = os.path.join(os.path.dirname(sys.executable), "gcp-storage-emulator")
        where = ["--host=127.0.0.1", f"--port={port}", "--in-memory", "--default-bucket=bucket"]
        super().__init__([program, "start", *where], port, directory / "gcs.log")

    def options(self) -> dict[str, Any]:
        """Return `storage_options` that reach it."""
        return {"endpoint_url": f"http://127.0.0.1:{self.port}", "token": "anon", "project": "p"}

    def begin(self) -> None:
        """Start it."""
        self.start(lambda: socket.create_connection(("127.0.0.1", self.port), 1).close())


class AzureServer(Server):
    """Azurite, Microsoft's emulator of its object store, with its well-known account."""

    def __init__(self, directory: pathlib.Path) -> None:
        (port,) = _free_ports(1)
        command = ["azurite-blob", f"--blobPort={port}", "--location", str(directory), "--silent"]
        more = ["--skipApiVersionCheck", "--disableTelemetry"]
        super().__init__([*command, *more], port, directory / "azurite.log")

    def options(self) -> dict[str, Any]:
        """Return `storage_options` that reach it."""
        account, key = "devstoreaccount1", "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVE"
        key += "rCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
        parts = {
            "DefaultEndpointsProtocol": "http",
            "AccountName": account,
            "AccountKey": key,
            "BlobEndpoint": f"http://127.0.0.1:{self.port}/{account}",
        }
        return {"connection_string": ";".join(f"{name}={part}" for name, part in parts.items())}

    def begin(self) -> None:
        """Start it; see that its container is there."""
        import adlfs

        def is_ready() -> None:
            fs = adlfs.AzureBlobFileSystem(skip_instance_cache=True, **self.options())
            if not fs.exists("bucket"):
                fs.mkdir("bucket")

        self.start(is_ready)


class Proxy:
    """Passes connections on to a port, each piece of bytes after a delay, and counts them.

    Attributes:
        port: Where it listens.
        received: Bytes that came back from the server.
        requests: HTTP requests to the server.
        delay: Seconds that each piece waits on its way to the server.
        limit: Bytes to the server after which `on_limit` is called, once.
    """

    def __init__(self, target: int, delay: float = 0.0, port: int = 0) -> None:
        self._target, self.delay = target, delay
        self.received = self.sent = self.requests = 0
        self.limit: int | None = None
        self.on_limit: Callable[[], object] = lambda: None
        self._lock = threading.Lock()
        self._ends: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", port))
        self.port = int(self._listener.getsockname()[1])
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Accept no more connections."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def cut(self) -> None:
        """Break all connections that there are, as a server does that dies."""
        ends, self._ends = self._ends, []
        for end in ends:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                try:
                    server = socket.create_connection(("127.0.0.1", self._target))
                except OSError:
                    client.close()
                    continue
                self._ends += [client, server]
                for source, target, is_answer in ((client, server, False), (server, client, True)):
                    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    thread = threading.Thread(
                        target=self._pass_on, args=(source, target, is_answer), daemon=True
                    )
                    thread.start()

    def _pass_on(self, source: socket.socket, target: socket.socket, is_answer: bool) -> None:
        with contextlib.suppress(OSError):
            while piece := source.recv(1 << 16):
                self._count(piece, is_answer)
                if not is_answer and self.delay:
                    time.sleep(self.delay)
                target.sendall(piece)
        for end in (source, target):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        source.close()  # the other direction closes the other one

    def _count(self, piece: bytes, is_answer: bool) -> None:
        action: Callable[[], object] | None = None
        with self._lock:
            if is_answer:
                self.received += len(piece)
            else:
                self.sent += len(piece)
                self.requests += piece.count(b" HTTP/1.1\r\n")
                if self.limit is not None and self.sent > self.limit:
                    self.limit, action = None, self.on_limit
        if action is not None:
            action()


@contextlib.contextmanager
def silent() -> Iterator[int]:
    """Give the port of a server that accepts connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listener:  # the system accepts for it
        yield int(listener.getsockname()[1])


@contextlib.contextmanager
def running(server: Any) -> Iterator[Any]:
    """Start a server for the body of the block."""
    server.begin()
    try:
        yield server
    finally:
        server.kill()


def _free_ports(count: int) -> list[int]:
    """Return ports that are free, and whose numbers plus 10,000 are: SeaweedFS takes both."""
    ports: list[int] = []
    while len(ports) < count:
        port = random.SystemRandom().randrange(12000, 30000)
        if port not in ports and all(_is_free(number) for number in (port, port + 10000)):
            ports.append(port)
    return ports


def _is_free(port: int) -> bool:
    with socket.socket() as candidate:
        try:
            candidate.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
