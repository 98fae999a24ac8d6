"""Retry after temporary failures, for a limited time."""

import errno
import random
import threading
import time
from collections.abc import Callable
from typing import TypeVar

PATIENCE = 120.0  # seconds; no attempt begins later
FIRST_ANSWER = 60.0  # seconds for the first answer of a place
LONGEST_PAUSE = 10.0  # seconds between two attempts

_Result = TypeVar("_Result")

# Errors that the same request would meet again every time.
_LASTING = (
    PermissionError,
    FileNotFoundError,
    FileExistsError,
    IsADirectoryError,
    NotADirectoryError,
    ValueError,
    TypeError,
    ImportError,
    NotImplementedError,
)
_LASTING_NAMES = {"NoCredentialsError", "AuthenticationException", "BadHostKeyException"}
_LASTING_NUMBERS = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.ENAMETOOLONG}


def may_pass(error: Exception) -> bool:
    """Tell whether the same request may succeed later."""
    names = {kind.__name__ for kind in type(error).__mro__}
    return not (
        isinstance(error, _LASTING)
        or names & _LASTING_NAMES
        or getattr(error, "errno", None) in _LASTING_NUMBERS
    )


def run(
    action: Callable[[], _Result],
    *,
    before_retry: Callable[[], object],
    attempts: int | None = None,
) -> _Result:
    """Run `action` until it succeeds or its failure is permanent, and return its result.

    Args:
        action: A function without arguments.
        before_retry: Called before each further attempt.
        attempts: Largest number of attempts; `None` sets no limit but `PATIENCE`.

    Raises:
        Exception: The failure of the last attempt.
    """
    deadline = time.monotonic() + PATIENCE
    pause, number = 0.2, 1
    while True:
        try:
            return action()
        except Exception as error:
            is_last = number == attempts or time.monotonic() + pause > deadline
            if is_last or not may_pass(error):
                raise
        time.sleep(pause * random.uniform(0.5, 1.0))
        pause, number = min(2 * pause, LONGEST_PAUSE), number + 1
        before_retry()


def within(seconds: float, action: Callable[[], _Result]) -> _Result:
    """Run `action` in a thread of its own, and return its result or raise its exception.

    Some clients wait without a limit for a server that accepts a connection and never answers.

    Args:
        seconds: How long to wait. The thread is left behind then; it ends with the process.
        action: A function without arguments.

    Raises:
        TimeoutError: If `action` is not done in time.
    """
    results: list[_Result] = []
    failures: list[BaseException] = []

    def work() -> None:
        try:
            results.append(action())
        except BaseException as error:
            failures.append(error)

    thread = threading.Thread(target=work, name="kerascheckpoint first answer", daemon=True)
    thread.start()
    thread.join(seconds)
    if failures:
        raise failures[0]
    if not results:
        raise TimeoutError(None, f"no answer within {seconds:g} seconds")
    return results[0]
