"""One thread that writes saves in order, with one more waiting at most."""

import atexit
import itertools
import os
import sys
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait

from .notify import warn
from .unshared import Unshared

_LIMIT = 2  # unfinished saves: one being written, one waiting
_NOTABLE = 0.1  # seconds; a shorter wait is not worth a warning

# The saves of this process whose outcome was not reported yet, in order.
_unreported: "dict[Future[None], None]" = {}


class BackgroundWriter(Unshared):
    """Runs jobs while training continues, and reports their outcomes in order.

    `concurrent.futures` finishes accepted jobs before the interpreter exits.
    """

    def __init__(self) -> None:
        self._jobs: deque[tuple[Future[None], Callable[[BaseException | None], None]]] = deque()
        self._executor: ThreadPoolExecutor | None = None
        self._process = os.getpid()
        self._said_full = False

    def wait_for_room(self) -> None:
        """Wait until fewer than two jobs are unfinished; warn once if that stalls training."""
        self._forget_parent()
        running = [future for future, _ in self._jobs if not future.done()]
        if len(running) < _LIMIT:
            return
        if not self._said_full and wait(running[:1], _NOTABLE).not_done:
            self._said_full = True
            warn(
                "saves come faster than they can be written: training waits for the disk. "
                "Save less often, or weights only."
            )
        wait(running[:1])

    def submit(self, job: Callable[[], None], done: Callable[[BaseException | None], None]) -> None:
        """Accept a job as soon as there is room for it.

        Args:
            job: What the thread runs.
            done: `report_finished` calls this with the job's exception, or `None`.
        """
        self.wait_for_room()
        if self._executor is None:
            self._executor = ThreadPoolExecutor(1, thread_name_prefix="kerascheckpoint")
        self._note(self._executor.submit(job), done)

    def run_here(
        self, job: Callable[[], None], done: Callable[[BaseException | None], None]
    ) -> None:
        """Run a job on the calling thread, after all jobs accepted before it.

        Args:
            job: What to run.
            done: As for `submit`.
        """
        self.drain()
        future: Future[None] = Future()
        try:
            job()
        except Exception as error:
            future.set_exception(error)
        else:
            future.set_result(None)
        self._note(future, done)

    def _note(self, future: "Future[None]", done: Callable[[BaseException | None], None]) -> None:
        _unreported[future] = None
        self._jobs.append((future, done))

    def drain(self) -> None:
        """Wait until every accepted job has run; `report_finished` still reports them."""
        self._forget_parent()
        wait([future for future, _ in self._jobs])

    @property
    def finished(self) -> int:
        """How many of the oldest jobs have run and are not reported yet."""
        self._forget_parent()
        return len(list(itertools.takewhile(lambda job: job[0].done(), self._jobs)))

    def report_finished(self, *, wait_for_all: bool = False, limit: int | None = None) -> None:
        """Report each finished job to its `done`, in order, on the calling thread.

        Args:
            wait_for_all: Whether to wait for all jobs first.
            limit: How many to report at most; `None` for no limit.

        Raises:
            Exception: Whatever a `done` raises; the next call reports the jobs after it.
        """
        if wait_for_all:
            self.drain()
        self._forget_parent()
        left = self.finished if limit is None else min(limit, self.finished)
        while left and self._jobs:
            left -= 1
            future, done = self._jobs.popleft()
            _unreported.pop(future, None)
            done(future.exception())

    def _forget_parent(self) -> None:
        """Start empty after a fork: the thread and its jobs belong to the parent process."""
        if self._process != os.getpid():
            self.__init__()  # type: ignore[misc]


def wait_all() -> None:
    """Wait until every accepted save of this process is written."""
    wait(list(_unreported))


def report_failures() -> None:
    """Print the failed saves that were never reported; runs when the interpreter exits."""
    wait_all()
    for future in list(_unreported):
        error = future.exception()
        if error is not None:
            print(f"kerascheckpoint: {error}", file=sys.stderr)


atexit.register(report_failures)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_unreported.clear)
