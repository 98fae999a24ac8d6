"""A run clears the directory at the very moment at which a save claims its temporary name."""

import contextlib
import itertools
import os
import pathlib
import sys
import threading

import numpy as np

from kerascheckpoint.storage import leftovers
from kerascheckpoint.storage.local import LocalStorage
from support import small_files
from support.faults.child import in_child
from support.faults.outcome import Outcome, check, expect
from support.faults.sample import Sample
from support.faults.stepping import PUBLISHING, Stepper, lines_of, spread

atomic_write = LocalStorage().atomic_write


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
    for before, pause in [pairs[index] for index in spread(len(pairs), tries, seed)]:
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
    sys.settrace(stepper.trace)
    with atomic_write(path) as staged:
        sys.settrace(None)
        os.write(resume, b"!")
        if cleaner:
            os.waitpid(cleaner, 0)
        sample.file_writer.write(staged.fd, content, small_files.FIELDS | {"step": 2})
