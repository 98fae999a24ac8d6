"""A forked child that runs one function."""

import os
import signal
import traceback
from collections.abc import Callable


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
