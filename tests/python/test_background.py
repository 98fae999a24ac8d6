"""The writing thread: saves in their order, two at most, and no failure without a word.

A job that waits for an event stands for a slow disk, so no test depends on how fast one is.
"""

import copy
import os
import pickle
import subprocess
import sys
import threading

import pytest

from kerascheckpoint import background, notify, verify_checkpoint
from kerascheckpoint.background import BackgroundWriter
from support import training


class Jobs:
    """Jobs for a writer: each notes when it runs and when its outcome is handed back."""

    def __init__(self, writer):
        self.writer = writer
        self.ran, self.reported, self.threads = [], [], set()

    def submit(self, name, error=None, until=None):
        """Submit a job that waits for an event, and then raises an error if one is given."""

        def job():
            if until is not None:
                until.wait()
            self.ran.append(name)
            self.threads.add(threading.current_thread())
            if error is not None:
                raise error

        def done(found):
            assert threading.current_thread() is threading.main_thread()
            self.reported.append((name, found))
            if found is not None:
                raise found

        self.writer.submit(job, done)


@pytest.fixture
def event():
    """An event that holds a job; it comes at the latest when the test ends."""
    event = threading.Event()
    yield event
    event.set()


@pytest.fixture
def jobs(event):
    jobs = Jobs(BackgroundWriter())
    yield jobs
    event.set()
    jobs.writer.drain()


def test_training_continues_while_a_job_runs(jobs, event):
    """`submit` returns before the file is written; nothing is reported before it is."""
    jobs.submit("a", until=event)
    jobs.writer.report_finished()
    assert (jobs.ran, jobs.reported) == ([], [])
    event.set()
    jobs.writer.report_finished(wait_for_all=True)
    assert (jobs.ran, jobs.reported) == (["a"], [("a", None)])


def test_files_appear_in_the_order_of_the_saves_by_one_thread(jobs, event):
    """An older model never replaces a newer one."""
    jobs.submit("a", until=event)
    jobs.submit("b")
    event.set()
    for name in "cdefg":
        with_warning(jobs, name)
    jobs.writer.report_finished(wait_for_all=True)
    assert jobs.ran == list("abcdefg")
    assert [name for name, _ in jobs.reported] == list("abcdefg")
    assert len(jobs.threads) == 1


def with_warning(jobs, name):
    """Submit a job that may or may not have to wait for room."""
    jobs.writer._said_full = True
    jobs.submit(name)


def test_a_third_save_waits_for_the_first_with_one_warning(jobs, event):
    """Memory stays bounded however slow the disk is; the user learns why training is slow."""
    ran_when_told = []

    def told(text):
        """The user is warned that training waits, before the disk continues."""
        ran_when_told.append((text, list(jobs.ran)))
        event.set()

    notify.set_warning_handler(told)
    try:
        jobs.submit("a", until=event)
        jobs.submit("b")
        jobs.submit("c")
        assert "a" in jobs.ran
        jobs.writer.report_finished(wait_for_all=True)
        again = threading.Event()
        jobs.submit("d", until=again)
        jobs.submit("e")
        threading.Thread(target=again.set).start()
        jobs.submit("f")
        jobs.writer.report_finished(wait_for_all=True)
    finally:
        notify.set_warning_handler(None)
    ((text, ran),) = ran_when_told
    assert "training waits for the disk" in text
    assert ran == []
    assert jobs.ran == list("abcdef")


def test_a_failure_is_raised_by_the_next_look_and_the_others_still_run(jobs):
    """One full disk does not take the saves behind it away."""
    jobs.submit("a", error=OSError("mine"))
    jobs.submit("b")
    with pytest.raises(OSError, match="mine"):
        jobs.writer.report_finished(wait_for_all=True)
    assert jobs.ran == ["a", "b"]
    jobs.writer.report_finished()
    assert [name for name, _ in jobs.reported] == ["a", "b"]


def test_of_several_failures_each_is_raised(jobs):
    """The second is not swallowed by the first, and keeps its place behind it."""
    jobs.submit("a", error=OSError("first"))
    jobs.submit("b", error=OSError("second"))
    with pytest.raises(OSError, match="first"):
        jobs.writer.report_finished(wait_for_all=True)
    with pytest.raises(OSError, match="second"):
        jobs.writer.report_finished()
    jobs.writer.report_finished(wait_for_all=True)


def test_what_runs_on_this_thread_keeps_its_turn(jobs, event):
    """A save that only Keras can write waits for those before it, and is reported behind them."""
    jobs.submit("a", error=OSError("mine"), until=event)
    threading.Timer(0.1, event.set).start()
    here = []
    jobs.writer.run_here(lambda: here.append(list(jobs.ran)), here.append)
    assert here == [["a"]]
    with pytest.raises(OSError, match="mine"):
        jobs.writer.report_finished()
    jobs.writer.report_finished()
    assert here == [["a"], None]


def test_a_copy_and_a_pickle_start_empty(jobs, event):
    """Keras and tuners copy callbacks; a copy has no part in what the original writes."""
    jobs.submit("a", until=event)
    for other in (copy.deepcopy(jobs.writer), pickle.loads(pickle.dumps(jobs.writer))):
        other.report_finished(wait_for_all=True)
        others = Jobs(other)
        others.submit("other")
        other.report_finished(wait_for_all=True)
        assert others.ran == ["other"]
    assert jobs.ran == []


EXIT = """
import concurrent.futures, contextlib, sys
from support import small_files
from kerascheckpoint import background

path, outcome = sys.argv[1:]
pool = concurrent.futures.ThreadPoolExecutor(1)


def write():
    with contextlib.suppress(RuntimeError):
        while True:  # until the interpreter is on its way out: then it takes no more work
            pool.submit(int).result()
    small_files.write(path, {"vars/0": small_files.np.ones(3)})
    if outcome == "failing":
        raise OSError("the disk is full")


def write_behind():
    small_files.write(path + "2.keras", {"vars/0": small_files.np.ones(3)})


writer = background.BackgroundWriter()
writer.submit(write, print)
writer.submit(write_behind, print)
if outcome == "raising":
    raise SystemExit(3)
"""


@pytest.mark.parametrize("outcome", ["whole", "failing", "raising"])
def test_the_end_of_the_interpreter_finishes_what_was_accepted(outcome, tmp_path):
    """A script that ends right after `fit` failed still leaves its last files."""
    path, here = str(tmp_path / "1.keras"), os.path.dirname(__file__)
    done = training.in_python(EXIT, path, outcome, cwd=here)
    assert done.returncode == (3 if outcome == "raising" else 0), done.stderr
    assert verify_checkpoint(path).epoch == 1
    assert verify_checkpoint(path + "2.keras").epoch == 1
    assert ("the disk is full" in done.stderr) is (outcome == "failing")


@pytest.mark.parametrize("strict", [[], ["-W", "error"]], ids=["default", "warnings are errors"])
def test_an_unreported_failure_is_printed_at_exit(strict):
    """Also by an interpreter whose warnings are errors: nothing can be raised any more."""
    code = """
from kerascheckpoint import background

def write():
    raise OSError("the disk is full")

background.BackgroundWriter().submit(write, print)
"""
    command = [sys.executable, *strict, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert "the disk is full" in done.stderr


FORK = """
import os, sys, threading
from kerascheckpoint import background

release = threading.Event()
writer = background.BackgroundWriter()
ran = []
writer.submit(lambda: (release.wait(), ran.append("parent")), lambda error: None)
pid = os.fork()
if pid == 0:
    background.wait_all()
    writer.report_finished(wait_for_all=True)
    writer.submit(lambda: ran.append("child"), lambda error: None)
    writer.report_finished(wait_for_all=True)
    sys.exit(0 if ran == ["child"] else 1)
status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
release.set()
writer.report_finished(wait_for_all=True)
sys.exit(status or ran != ["parent"])
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_fork_neither_waits_for_its_parents_saves_nor_repeats_them():
    """Data loaders fork while a file is being written; the child must be able to end."""
    done = training.in_python(FORK)
    assert done.returncode == 0, done.stderr


def test_wait_all_waits_for_every_writer(event):
    """The end of an R session waits for the saves of all callbacks there were."""
    several = [Jobs(BackgroundWriter()) for _ in range(3)]
    for jobs in several:
        jobs.submit("a", until=event)
    event.set()
    background.wait_all()
    assert [jobs.ran for jobs in several] == [["a"]] * 3
    for jobs in several:
        jobs.writer.report_finished()
        assert jobs.reported == [("a", None)]


def test_a_settled_writer_is_forgotten():
    """Callbacks that are done do not stay in memory because their saves once were open."""
    before = len(background._unreported)
    jobs = Jobs(BackgroundWriter())
    jobs.submit("a")
    jobs.writer.report_finished(wait_for_all=True)
    assert len(background._unreported) == before
    assert sys.getrefcount(jobs.writer) < 5
