"""One thread that writes accepted saves in their order: one in the works and one waiting."""

import atexit
import os
import sys
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Any

from .notify import warn

_LIMIT = 2  # saves that may be on their way: one being written, one waiting

# Every save of this process whose outcome nobody has looked at yet.
_open: "dict[Future[None], None]" = {}  # in their order


class BackgroundWriter:
    """Runs jobs behind the training and hands back their outcomes in order.

    `concurrent.futures` lets accepted jobs finish when the interpreter exits.
    """

    def __init__(self) -> None:
        self._jobs: deque[tuple[Future[None], Callable[[BaseException | None], None]]] = deque()
        self._executor: ThreadPoolExecutor | None = None
        self._process = os.getpid()
        self._said_full = False

    def __deepcopy__(self, memo: dict[int, Any]) -> "BackgroundWriter":
        return BackgroundWriter()

    def __reduce__(self) -> tuple[type["BackgroundWriter"], tuple[()]]:
        return BackgroundWriter, ()

    def wait_for_room(self) -> None:
        """Wait until fewer than two jobs are on their way, and say once that this stalls."""
        self._forget_parent()
        running = [future for future, _ in self._jobs if not future.done()]
        if len(running) < _LIMIT:
            return
        if not self._said_full:
            self._said_full = True
            warn(
                "saves come faster than they can be written: training waits for the disk. "
                "Save less often, or weights only."
            )
        wait(running[:1])

    def submit(self, job: Callable[[], None], done: Callable[[BaseException | None], None]) -> None:
        """Accept a job, when there is room for it.

        Args:
            job: What the thread runs.
            done: Called by `settle` with what the job raised, or `None`.
        """
        self.wait_for_room()
        if self._executor is None:
            self._executor = ThreadPoolExecutor(1, thread_name_prefix="kerascheckpoint")
        self._note(self._executor.submit(job), done)

    def run_here(
        self, job: Callable[[], None], done: Callable[[BaseException | None], None]
    ) -> None:
        """Run a job on the calling thread, behind all that were accepted before.

        Args:
            job: What to run.
            done: Called by `settle`, in its turn.
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
        _open[future] = None
        self._jobs.append((future, done))

    def drain(self) -> None:
        """Wait until every accepted job has run; `settle` still reports them."""
        self._forget_parent()
        wait([future for future, _ in self._jobs])

    def settle(self, *, wait_for_all: bool = False) -> None:
        """Hand back the outcome of each finished job, in order, on the calling thread.

        Raises:
            Exception: What a `done` raised; the outcomes behind it wait for the next call.
        """
        if wait_for_all:
            self.drain()
        self._forget_parent()
        while self._jobs and self._jobs[0][0].done():
            future, done = self._jobs.popleft()
            _open.pop(future, None)
            done(future.exception())

    def _forget_parent(self) -> None:
        """After a fork: the thread and its jobs belong to the parent process."""
        if self._process != os.getpid():
            self.__init__()  # type: ignore[misc]


def wait_all() -> None:
    """Wait until every accepted save of this process is written; for the end of a session."""
    wait(list(_open))


def report_failures() -> None:
    """At the exit of the interpreter: name the saves that failed and that nobody asked about."""
    wait_all()
    for future in list(_open):
        error = future.exception()
        if error is not None:
            print(f"kerascheckpoint: {error}", file=sys.stderr)


atexit.register(report_failures)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_open.clear)
