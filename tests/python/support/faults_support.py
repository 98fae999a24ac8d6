"""Faults on purpose: processes that die, disks that refuse, readers that look at the wrong moment.

Free of Keras, so that a process for a fault starts quickly. `attempt` runs one of the `FAULTS` in
such a process, which forks a child for each try; `benchmarks/faults.py` runs the same, for longer.
"""

import contextlib
import dataclasses
import errno
import itertools
import json
import mmap
import os
import pathlib
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import traceback
import warnings
import zipfile
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from kerascheckpoint import catalog, errors, verify
from kerascheckpoint.formats.keras_file import writer
from kerascheckpoint.formats.keras_file.writer import KerasFileWriter
from kerascheckpoint.storage import direct_io, durable, leftovers, local
from kerascheckpoint.storage.local import LocalStorage
from support import small_files

PATIENCE = 30  # seconds after which a process that reads one small file hangs


atomic_write = LocalStorage().atomic_write


# What is saved -----------------------------------------------------------------------------------


class Sample:
    """The content of a real checkpoint, in versions that a reader can tell apart.

    Each version fills all arrays with its number, so a mixture of two would be seen.
    """

    def __init__(self, path: str) -> None:
        self.name = os.path.basename(path)
        self.arrays = small_files.read(path)
        self.more: dict[str, Any] = {}
        if path.endswith(".keras"):
            with zipfile.ZipFile(path) as file:
                metadata = json.loads(file.read(writer.METADATA))
                self.more = {
                    "config": file.read(writer.CONFIG).decode(),
                    "metadata": {k: v for k, v in metadata.items() if k != "kerascheckpoint"},
                }
        self.archiver = KerasFileWriter()

    def save(self, directory: str, version: int) -> None:
        """Save a version in `directory`, under the sample's own name."""
        arrays = {name: np.full_like(array, version) for name, array in self.arrays.items()}
        path = os.path.join(directory, self.name)
        small_files.write(
            path, arrays, archiver=self.archiver, fields={"step": version}, **self.more
        )

    def version_in(self, directory: str) -> int | None:
        """Return the version that stands in `directory`, `None` if there is no file.

        Raises:
            CheckpointCorruptError: If it is not whole.
        """
        path = os.path.join(directory, self.name)
        if not os.path.exists(path):
            return None
        info = verify.verify_checkpoint(path)
        found = small_files.read(path)
        versions = {float(value) for array in found.values() for value in np.unique(array)}
        if set(found) != set(self.arrays) or versions != {float(info.step or 0)}:
            raise errors.CheckpointCorruptError(f"a mixture of versions {sorted(versions)}")
        return info.step


# What must hold after a fault --------------------------------------------------------------------


@dataclasses.dataclass
class Outcome:
    """How often a fault was tried, and what it destroyed."""

    attempts: int = 0
    lost: list[str] = dataclasses.field(default_factory=list)
    skipped: str = ""

    @contextlib.contextmanager
    def attempt(self, what: str) -> Iterator[None]:
        """Count one try; an exception in the block is a loss."""
        self.attempts += 1
        try:
            yield
        except Exception as error:
            where = traceback.extract_tb(error.__traceback__)[-1]
            self.lost.append(f"{what}: {type(error).__name__}: {error} ({where.name})")


def expect(condition: bool, text: str) -> None:
    """Raise an AssertionError unless the condition holds."""
    if not condition:
        raise AssertionError(text)


def check(sample: Sample, directory: str, *versions: int, may_stay: bool = True) -> None:
    """Check that one of `versions` is there, whole, and that no reader or later run minds the rest.

    Args:
        sample: What was being saved.
        directory: Where.
        versions: The versions that may stand at the target.
        may_stay: Whether a temporary file may have stayed.
    """
    version = sample.version_in(directory)
    expect(version in versions, f"version {version} stands there, none of {versions}")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        listed = [os.path.basename(info.path) for info in catalog.list_checkpoints(directory)]
        latest = catalog.latest_checkpoint(directory)
    expect(listed == [sample.name], f"listed: {listed}")
    expect(latest is not None and latest.step == version, f"latest: {latest}")
    stayed = sorted(set(os.listdir(directory)) - {sample.name})
    expect(may_stay or not stayed, f"left behind: {stayed}")
    in_child(lambda: leftovers.remove_leftovers(directory))
    stayed = sorted(set(os.listdir(directory)) - {sample.name})
    expect(not stayed, f"not removed by the next run: {stayed}")


def in_child(action: Callable[[], object]) -> int:
    """Run `action` in a forked process; return 0, its exit status or minus a signal's number."""
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            action()
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def die() -> None:
    """Be killed at once, as by the kernel or an impatient user."""
    os.kill(os.getpid(), signal.SIGKILL)


# Stepping through a save -------------------------------------------------------------------------

PUBLISHING = (local.__file__, leftovers.__file__, durable.__file__)
STEPPED = (*PUBLISHING, writer.__file__, zipfile.__file__)


class Stepper:
    """Runs code and does something just before its line number `at`, as executed.

    Lines count in the modules that write and publish a file, on the calling thread.
    """

    def __init__(self, at: int = -1, action: Callable[[], object] = die, files: Any = STEPPED):
        self.at, self.action, self.files = at, action, files
        self.lines: list[str] = []

    def run(self, body: Callable[[], object]) -> None:
        """Run `body`."""
        sys.settrace(self._trace)
        try:
            body()
        finally:
            sys.settrace(None)

    def _trace(self, frame: Any, event: str, argument: Any) -> Any:
        if frame.f_code.co_filename not in self.files:
            return None
        if event == "line":
            file = os.path.basename(frame.f_code.co_filename)
            self.lines.append(f"{file}:{frame.f_lineno} {frame.f_code.co_name}")
            if len(self.lines) - 1 == self.at:
                self.action()
        return self._trace


def lines_of(body: Callable[[], object], files: Any = STEPPED) -> list[str]:
    """Return the lines that `body` executes."""
    stepper = Stepper(files=files)
    stepper.run(body)
    return stepper.lines


# The faults --------------------------------------------------------------------------------------


def killed_at_random(sample: Sample, directory: str, tries: int, seed: int) -> Outcome:
    """SIGKILL at a random moment of a save."""
    outcome, moments = Outcome(), random.Random(seed)
    began = time.perf_counter()
    sample.save(directory, 0)
    sample.save(directory, 0)
    duration = (time.perf_counter() - began) / 2
    for version in range(tries):
        with outcome.attempt(f"kill {version}"):
            heard, told = os.pipe()
            pid = os.fork()
            if pid == 0:
                os.write(told, b"!")
                sample.save(directory, version + 1)
                os._exit(0)
            os.close(told)
            os.read(heard, 1)
            os.close(heard)
            deadline = time.perf_counter() + moments.uniform(0, 1.2 * duration)
            while time.perf_counter() < deadline:
                pass
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            check(sample, directory, version, version + 1)
            sample.save(directory, version + 1)
    return outcome


def killed_at_each_line(sample: Sample, directory: str, tries: int, seed: int) -> Outcome:
    """SIGKILL before each line of a save (or before `tries` of them, spread evenly)."""

    def kill(at: int) -> None:
        code = in_child(lambda: Stepper(at).run(lambda: sample.save(directory, 2)))
        expect(code == -signal.SIGKILL, f"the writer ended with {code}")

    return _at_lines(sample, directory, tries, seed, kill)


def interrupted_at_each_line(sample: Sample, directory: str, tries: int, seed: int) -> Outcome:
    """Ctrl-C before each line of a save."""

    def interrupt() -> None:
        raise KeyboardInterrupt

    def press(at: int) -> None:
        def body() -> None:
            stepper = Stepper(at, interrupt)
            try:
                stepper.run(lambda: sample.save(directory, 2))
            except BaseException as error:
                chain = [error, error.__context__]  # zipfile complains when it is interrupted
                expect(any(isinstance(e, KeyboardInterrupt) for e in chain), repr(error))
            in_body = stepper.lines[at].partition(":")[0] not in map(os.path.basename, PUBLISHING)
            check(sample, directory, 1, 2, may_stay=not in_body)

        expect(in_child(body) == 0, "the process did not survive Ctrl-C")

    return _at_lines(sample, directory, tries, seed, press)


def another_run_begins(sample: Sample, directory: str, tries: int, seed: int) -> Outcome:
    """Another process clears the directory before each line of a save: only leftovers may go."""

    def begin(at: int) -> None:
        def clear() -> None:
            in_child(lambda: leftovers.remove_leftovers(directory))

        Stepper(at, clear).run(lambda: sample.save(directory, 2))
        expect(sample.version_in(directory) == 2, "the save did not succeed")

    return _at_lines(sample, directory, tries, seed, begin)


def another_thread_begins(sample: Sample, directory: str, tries: int, seed: int) -> Outcome:
    """A thread of the same process clears the directory before each line of a save."""

    def begin(at: int) -> None:
        def clear() -> None:
            thread = threading.Thread(target=leftovers.remove_leftovers, args=(directory,))
            thread.start()
            thread.join()

        Stepper(at, clear).run(lambda: sample.save(directory, 2))
        expect(sample.version_in(directory) == 2, "the save did not succeed")

    return _at_lines(sample, directory, tries, seed, begin)


def directory_removed(sample: Sample, directory: str, tries: int, seed: int) -> Outcome:
    """The target's directory is deleted before each line of a save: an error, or a whole file."""

    def remove(at: int) -> None:
        def action() -> None:
            shutil.rmtree(directory, ignore_errors=True)

        try:
            Stepper(at, action).run(lambda: sample.save(directory, 2))
        except errors.CheckpointWriteError as error:
            expect(sample.name in str(error), f"the error names no file: {error}")
        finally:
            os.makedirs(directory, exist_ok=True)
        if os.listdir(directory):
            check(sample, directory, 2, may_stay=False)
        sample.save(directory, 1)

    return _at_lines(sample, directory, tries, seed, remove)


def _at_lines(
    sample: Sample, directory: str, tries: int, seed: int, fault: Callable[[int], None]
) -> Outcome:
    sample.save(directory, 1)
    lines = lines_of(lambda: sample.save(directory, 1))
    outcome = Outcome()
    for at in _spread(len(lines), tries, seed):
        with outcome.attempt(f"before {lines[at]}"):
            fault(at)
            check(sample, directory, 1, 2)
        if sample.name in os.listdir(directory):
            os.unlink(os.path.join(directory, sample.name))
        sample.save(directory, 1)
    return outcome


def _spread(count: int, tries: int, seed: int) -> list[int]:
    """Return all of `range(count)`, or `tries` of it, from each part one."""
    if tries >= count:
        return list(range(count))
    choice = random.Random(seed)
    return sorted({int((part + choice.random()) * count / tries) for part in range(tries)})


def killed_within_a_write(sample: Sample, directory: str, tries: int, seed: int) -> Outcome:
    """SIGKILL when only a part of the bytes of one system call has been written."""
    outcome, choice = Outcome(), random.Random(seed)
    sample.save(directory, 1)
    whole = os.pwrite
    for number in range(tries):
        calls = itertools.count()
        fatal = number % 8

        def torn(fd: int, data: Any, offset: int) -> int:
            if next(calls) == fatal:  # noqa: B023
                direct_io._set_direct(fd, False)  # a part need not be of whole blocks
                whole(fd, data[: choice.randrange(len(data))], offset)
                die()
            return whole(fd, data, offset)

        with outcome.attempt(f"write {fatal}"):
            os.pwrite = torn  # type: ignore[assignment]
            try:
                in_child(lambda: sample.save(directory, 2))
            finally:
                os.pwrite = whole  # type: ignore[assignment]
            check(sample, directory, 1, 2)
            sample.save(directory, 1)
    return outcome


def file_size_limited(sample: Sample, directory: str, tries: int, seed: int) -> Outcome:
    """The system refuses to let a file grow beyond some size, with and without a layout."""
    outcome = Outcome()
    sample.save(directory, 1)
    size = os.path.getsize(os.path.join(directory, sample.name))
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    for number, limit in enumerate(_spread(size, tries, seed)):

        def body() -> None:
            if number % 2:  # noqa: B023
                sample.archiver = KerasFileWriter()
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))  # noqa: B023
            _refused(sample, directory)

        with outcome.attempt(f"limit {limit}"):
            expect(in_child(body) == 0, "not refused in the promised way")
            check(sample, directory, 1, may_stay=False)
    return outcome


def disk_full(sample: Sample, directory: str, tries: int, seed: int) -> Outcome:
    """A file system with room for one file and a part of the next."""
    sample.save(directory, 1)
    size = os.path.getsize(os.path.join(directory, sample.name))
    outcome = Outcome()
    for room in _spread(size - 4096, tries, seed):
        total = (size + room) // 4096 * 4096 + 4096
        _mount(directory, f"size={total}")
        try:
            with outcome.attempt(f"{total} bytes for files of {size}"):
                sample.save(directory, 1)
                _refused(sample, directory)
                check(sample, directory, 1, may_stay=False)
        finally:
            subprocess.run(["umount", directory], check=True)
    return outcome


def read_only(sample: Sample, directory: str, tries: int, seed: int) -> Outcome:
    """The file system becomes read-only."""
    outcome = Outcome()
    _mount(directory, "size=64m")
    sample.save(directory, 1)
    subprocess.run(["mount", "-o", "remount,ro", directory], check=True)
    for _ in range(tries):
        with outcome.attempt("read-only"):
            _refused(sample, directory, errno.EROFS)
            check(sample, directory, 1, may_stay=False)
    return outcome


def _mount(directory: str, options: str) -> None:
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", directory], check=True)


def no_permission(sample: Sample, directory: str, tries: int, seed: int) -> Outcome:
    """The directory may not be written by this user (another one, if this one may everything)."""
    outcome = Outcome()
    with tempfile.TemporaryDirectory() as place:
        sample.save(place, 1)
        os.chmod(place, 0o555)

        def body() -> None:
            if os.getuid() == 0:
                os.setgid(65534)
                os.setuid(65534)
            _refused(sample, place, errno.EACCES)
            check(sample, place, 1, may_stay=False)

        for _ in range(tries):
            with outcome.attempt("no permission"):
                expect(in_child(body) == 0, "not refused in the promised way")
        os.chmod(place, 0o755)
    return outcome


def _refused(sample: Sample, directory: str, *numbers: int) -> None:
    """Check that a save fails with the promised error, which names the path and the cause."""
    try:
        sample.save(directory, 2)
    except errors.CheckpointWriteError as error:
        path = os.path.join(directory, sample.name)
        expect(path in str(error), f"the error does not name the path: {error}")
        expect(error.errno in (numbers or (errno.EFBIG, errno.ENOSPC)), f"cause: {error.errno}")
        expect(os.strerror(error.errno) in str(error), f"the error names no cause: {error}")
    else:
        raise AssertionError("the save was not refused")


def two_writers(sample: Sample, directory: str, tries: int, seed: int) -> Outcome:
    """Two processes save to one path without end, a third reads without end."""
    outcome = Outcome()
    sample.save(directory, 0)
    path = os.path.join(directory, sample.name)

    def write_on(start: int) -> None:
        sample.archiver = KerasFileWriter()
        for version in range(start, 1_000_000_000, 2):
            sample.save(directory, version)

    pids = []
    for start in (1, 2):
        pid = os.fork()
        if pid == 0:
            write_on(start)
        pids.append(pid)
    seen = set()
    try:
        while outcome.attempts < tries:
            with outcome.attempt("read"):
                expect(len(catalog.list_checkpoints(directory)) == 1, "not listed")
                seen.add(verify.verify_checkpoint(path).step)
                versions = {float(v) for a in small_files.read(path).values() for v in np.unique(a)}
                expect(len(versions) == 1, f"a mixture of {versions}")
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
    with outcome.attempt("end"):
        expect(len(seen) > 1, "the writers wrote nothing")
        in_child(lambda: leftovers.remove_leftovers(directory))
        expect(os.listdir(directory) == [sample.name], f"left behind: {os.listdir(directory)}")
    return outcome


def cleaners_race(sample: Sample, directory: str, tries: int, seed: int) -> Outcome:
    """A process that clears the directory stops at each of its lines while a save begins.

    It starts to clear before a line of the claim of a temporary name, and ends while the file is
    being written.
    """
    files = PUBLISHING
    claiming: list[str] = []

    def claim() -> None:
        with (
            contextlib.suppress(KeyError),
            atomic_write(os.path.join(directory, "x")),
        ):
            claiming.extend(stepper.lines)
            raise KeyError

    def clear() -> None:
        pathlib.Path(directory, f".x.1{leftovers.MARK}").touch()
        leftovers.remove_leftovers(directory)

    stepper = Stepper(files=files)
    stepper.run(claim)
    clearing = lines_of(clear, files)
    pairs = list(itertools.product(range(len(claiming)), range(len(clearing) + 1)))
    outcome = Outcome()
    for before, pause in [pairs[index] for index in _spread(len(pairs), tries, seed)]:
        where = clearing[pause] if pause < len(clearing) else "the end"
        with outcome.attempt(f"save before {claiming[before]}, other before {where}"):
            code = in_child(lambda: _claim_beside_cleaner(sample, directory, before, pause))  # noqa: B023
            expect(code == 0, "the save did not succeed")
            check(sample, directory, 2)
    return outcome


def _claim_beside_cleaner(sample: Sample, directory: str, claim: int, clear: int) -> None:
    paused, pause = os.pipe()
    resumed, resume = os.pipe()
    cleaner = 0

    def wait() -> None:
        os.write(pause, b"!")
        os.read(resumed, 1)

    def begin() -> None:
        nonlocal cleaner
        cleaner = os.fork()
        if cleaner:
            os.close(pause)
            os.read(paused, 1)  # the cleaner waits at its line, or has ended
            return
        stepper = Stepper(clear, wait, PUBLISHING)
        body = (lambda: leftovers.remove_leftovers(directory),)
        thread = threading.Thread(target=stepper.run, args=body)  # nothing is traced in a trace
        thread.start()
        thread.join()
        os._exit(0)

    path = os.path.join(directory, sample.name)
    arrays = {name: np.full_like(array, 2) for name, array in sample.arrays.items()}
    content = small_files.content_of(arrays, model=path.endswith(".keras"), **sample.more)
    stepper = Stepper(claim, begin, PUBLISHING)
    sys.settrace(stepper._trace)
    with atomic_write(path) as staged:
        sys.settrace(None)
        os.write(resume, b"!")
        if cleaner:
            os.waitpid(cleaner, 0)
        sample.archiver.write(staged.fd, content, small_files.FIELDS | {"step": 2})


FAULTS: dict[str, Callable[[Sample, str, int, int], Outcome]] = {
    fault.__name__: fault
    for fault in (
        killed_at_random,
        killed_at_each_line,
        killed_within_a_write,
        interrupted_at_each_line,
        file_size_limited,
        disk_full,
        read_only,
        no_permission,
        directory_removed,
        two_writers,
        another_run_begins,
        another_thread_begins,
        cleaners_race,
    )
}
MOUNTING = ("disk_full", "read_only")


def attempt(fault: str, sample: Any, directory: Any, tries: int, seed: int = 1) -> Outcome:
    """Try a fault so many times, in a process of its own.

    Args:
        fault: A name out of `FAULTS`.
        sample: A checkpoint; its content is what is saved.
        directory: An empty directory.
        tries: How often at most.
        seed: What chooses the moments.
    """
    command = [sys.executable, __file__, fault, str(sample), str(directory), str(tries), str(seed)]
    if fault in MOUNTING:
        command = ["unshare", "--mount", "--map-root-user", *command]
        if refusal := _mounting_refused(directory):
            return Outcome(skipped=refusal)
    done = subprocess.run(command, capture_output=True, text=True, timeout=3600)
    if done.returncode != 0:
        return Outcome(1, [f"{fault}: ended with {done.returncode}: {done.stderr[-2000:]}"])
    return Outcome(**json.loads(done.stdout.splitlines()[-1]))


def _mounting_refused(directory: Any) -> str:
    """Return why no file system can be mounted here, an empty text if one can."""
    if shutil.which("unshare") is None:
        return "there is no command unshare"
    mount = ["mount", "-t", "tmpfs", "tmpfs", str(directory)]
    done = subprocess.run(
        ["unshare", "--mount", "--map-root-user", *mount], capture_output=True, text=True
    )
    return "" if done.returncode == 0 else f"mounting is not allowed: {done.stderr.strip()}"


# Damage ------------------------------------------------------------------------------------------


def damage(path: Any, bits: list[tuple[int, int]]) -> list[str]:
    """Flip one bit after the other in a file, each on its own; return what was not survived.

    A reader must find the damage, or read the same arrays; it must not crash, hang or take memory
    without bound.

    Args:
        path: A whole file of ours.
        bits: Which bits, as (byte, bit).
    """
    code = f"from support import faults_support as f; f.report_damage({str(path)!r}, {bits!r})"
    done = subprocess.run(
        [sys.executable, "-c", "exec(__import__('sys').stdin.read())"],
        input=code,
        cwd=os.path.dirname(__file__),
        capture_output=True,
        text=True,
        timeout=3600,
    )
    assert done.returncode == 0, done.stderr
    lost: list[str] = json.loads(done.stdout.splitlines()[-1])
    return lost


def report_damage(path: str, bits: list[tuple[int, int]]) -> None:
    """Print what `damage` returns; a process serves until it dies of a bit."""
    content, expected = pathlib.Path(path).read_bytes(), small_files.read(path)
    position = mmap.mmap(-1, 8)
    lost: list[str] = []

    def serve(start: int, told: int) -> None:
        for index in range(start, len(bits)):
            position[:] = index.to_bytes(8, "little")
            signal.alarm(PATIENCE)
            changed = bytearray(content)
            byte, bit = bits[index]
            changed[byte] ^= 1 << bit
            pathlib.Path(path).write_bytes(changed)
            problem = _problem(path, expected)
            if problem:
                os.write(told, f"byte {byte}, bit {bit}: {problem}\n".encode())

    start = 0
    while start < len(bits):
        heard, told = os.pipe()
        code = in_child(lambda: serve(start, told))  # noqa: B023
        os.close(told)
        with open(heard) as pipe:
            lost += pipe.read().splitlines()
        if code == 0:
            break
        index = int.from_bytes(position[:], "little")
        byte, bit = bits[index]
        ending = "hang" if code == -signal.SIGALRM else f"crash ({code})"
        lost.append(f"byte {byte}, bit {bit}: {ending}")
        start = index + 1
    print(json.dumps(lost))


def _problem(path: str, expected: dict[str, np.ndarray]) -> str:
    """Return what is wrong with how a damaged file is read, an empty text if nothing is."""
    try:
        verify.verify_checkpoint(path)
    except (errors.CheckpointCorruptError, errors.CheckpointSchemaError):
        return ""
    except Exception as error:
        return f"raised {error!r}"
    try:
        found = small_files.read(path)
    except Exception as error:
        return f"verified, but cannot be read: {error!r}"
    same = {name: array.tobytes() for name, array in found.items()} == {
        name: array.tobytes() for name, array in expected.items()
    }
    return "" if same else "verified, but reads as something else"


def main(arguments: list[str]) -> None:
    """Run one fault and print its outcome."""
    fault, path, directory, tries, seed = arguments
    direct_io.SIZE = 2 * direct_io.BLOCK  # a small file takes as many writes as a large one does
    outcome = FAULTS[fault](Sample(path), directory, int(tries), int(seed))
    print(json.dumps(dataclasses.asdict(outcome)))


if __name__ == "__main__":
    main(sys.argv[1:])
