"""The file system refuses to write: it is full, read-only, forbidden, limited or gone."""

import errno
import os
import resource
import shutil
import signal
import subprocess
import tempfile

from kerascheckpoint import errors
from kerascheckpoint.formats.keras_file.writer import KerasFileWriter
from support.faults.child import in_child
from support.faults.outcome import Outcome, check, expect, expect_refusal
from support.faults.sample import Sample
from support.faults.stepping import Stepper, at_lines, spread


def file_size_limited(sample: Sample, directory: str, tries: int, seed: int) -> Outcome:
    """The system refuses to let a file grow beyond some size, with and without a layout."""
    outcome = Outcome()
    sample.save(directory, 1)
    size = os.path.getsize(os.path.join(directory, sample.name))
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    for number, limit in enumerate(spread(size, tries, seed)):

        def body() -> None:
            if number % 2:  # noqa: B023
                sample.file_writer = KerasFileWriter()
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))  # noqa: B023
            expect_refusal(sample, directory)

        with outcome.attempt(f"limit {limit}"):
            expect(in_child(body) == 0, "not refused in the promised way")
            check(sample, directory, 1, may_stay=False)
    return outcome


def disk_full(sample: Sample, directory: str, tries: int, seed: int) -> Outcome:
    """A file system with room for one file and a part of the next."""
    sample.save(directory, 1)
    size = os.path.getsize(os.path.join(directory, sample.name))
    outcome = Outcome()
    for room in spread(size - 4096, tries, seed):
        total = (size + room) // 4096 * 4096 + 4096
        _mount(directory, f"size={total}")
        try:
            with outcome.attempt(f"{total} bytes for files of {size}"):
                sample.save(directory, 1)
                expect_refusal(sample, directory)
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
            expect_refusal(sample, directory, errno.EROFS)
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
            expect_refusal(sample, place, errno.EACCES)
            check(sample, place, 1, may_stay=False)

        for _ in range(tries):
            with outcome.attempt("no permission"):
                expect(in_child(body) == 0, "not refused in the promised way")
        os.chmod(place, 0o755)
    return outcome


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

    return at_lines(sample, directory, tries, seed, remove)
