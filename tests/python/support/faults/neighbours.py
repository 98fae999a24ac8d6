"""Other writers and other runs work in the same directory."""

import os
import signal
import threading

import numpy as np

from kerascheckpoint import catalog, verify
from kerascheckpoint.formats.keras_file.writer import KerasFileWriter
from kerascheckpoint.storage import leftovers
from support import small_files
from support.faults.child import in_child
from support.faults.outcome import Outcome, expect
from support.faults.sample import Sample
from support.faults.stepping import Stepper, at_lines


def two_writers(sample: Sample, directory: str, tries: int, seed: int) -> Outcome:
    """Two processes save to one path without end, a third reads without end."""
    outcome = Outcome()
    sample.save(directory, 0)
    path = os.path.join(directory, sample.name)

    def write_on(start: int) -> None:
        sample.file_writer = KerasFileWriter()
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
        while outcome.attempts < tries or (len(seen) < 2 and outcome.attempts < 100 * tries):
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


def another_run_begins(sample: Sample, directory: str, tries: int, seed: int) -> Outcome:
    """Another process clears the directory before each line of a save: only leftovers may go."""

    def begin(at: int) -> None:
        def clear() -> None:
            in_child(lambda: leftovers.remove_leftovers(directory))

        Stepper(at, clear).run(lambda: sample.save(directory, 2))
        expect(sample.version_in(directory) == 2, "the save did not succeed")

    return at_lines(sample, directory, tries, seed, begin)


def another_thread_begins(sample: Sample, directory: str, tries: int, seed: int) -> Outcome:
    """A thread of the same process clears the directory before each line of a save."""

    def begin(at: int) -> None:
        def clear() -> None:
            thread = threading.Thread(target=leftovers.remove_leftovers, args=(directory,))
            thread.start()
            thread.join()

        Stepper(at, clear).run(lambda: sample.save(directory, 2))
        expect(sample.version_in(directory) == 2, "the save did not succeed")

    return at_lines(sample, directory, tries, seed, begin)
