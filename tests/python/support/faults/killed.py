"""The process that saves is killed or interrupted."""

import itertools
import os
import random
import signal
import time
from typing import Any

from kerascheckpoint.storage import direct_io
from support.faults.child import die, in_child
from support.faults.outcome import Outcome, check, expect
from support.faults.sample import Sample
from support.faults.stepping import PUBLISHING, Stepper, at_lines


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

    return at_lines(sample, directory, tries, seed, kill)


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

    return at_lines(sample, directory, tries, seed, press)
