"""The command line: scripts live by its exit codes, its JSON and its whole paths."""

import json
import math
import os
import subprocess
import sys

import pytest

from kerascheckpoint.__main__ import main
from support import training

pytestmark = pytest.mark.any_backend


@pytest.fixture
def run(tmp_path):
    """A directory with three checkpoints; the second is the best."""
    for epoch, loss in ((1, 0.5), (2, 0.25), (10, math.nan)):
        training.checkpoint_file(
            tmp_path / f"{epoch}.keras",
            epoch=epoch,
            step=4 * epoch,
            saved_at=f"2030-01-{epoch:02d}T00:00:00+00:00",
            metrics={"val_loss": loss, "loss": 1.0},
            best=epoch == 2,
        )
    return tmp_path


def command(*arguments):
    """Run the command as a shell does; return exit status, output and errors."""
    line = [sys.executable, "-m", "kerascheckpoint", *map(str, arguments)]
    done = subprocess.run(line, capture_output=True, text=True, timeout=120)
    return done.returncode, done.stdout, done.stderr


def inside(capsys, *arguments):
    """Run the command in this process, which is quicker."""
    try:
        status: int | str | None = main([str(argument) for argument in arguments])
    except SystemExit as stop:
        status = stop.code
    return status, *capsys.readouterr()


def test_as_a_shell_sees_it(run):
    assert command("latest", run) == (0, f"{run / '10.keras'}\n", "")
    assert command("best", run / "{epoch}.keras") == (0, f"{run / '2.keras'}\n", "")
    assert command("verify", run / "2.keras") == (0, f"{run / '2.keras'} is whole\n", "")
    status, out, error = command("list", run, "--json")
    assert (status, error) == (0, "")
    assert [entry["epoch"] for entry in json.loads(out)] == [1, 2, 10]


def test_a_damaged_file_fails_a_script(run):
    training.damage(run / "10.keras")
    status, out, error = command("verify", run / "10.keras")
    assert (status, out) == (1, "")
    assert "10.keras" in error
    assert "is damaged" in error
    status, out, error = command("latest", run)
    assert (status, out) == (0, f"{run / '2.keras'}\n")
    assert "warning: passed over" in error


def test_list_is_a_table_with_one_whole_line_for_each_file(run, capsys):
    status, out, error = inside(capsys, "list", run)
    heading, *lines = out.splitlines()
    assert (status, error) == (0, "")
    expected = ["epoch", "batch", "step", "val_loss", "loss", "best", "reason", "path"]
    assert [word for word in heading.split() if word in expected] == expected
    assert [line.split()[0] for line in lines] == ["1", "2", "10"]
    assert [line.split()[-1] for line in lines] == [
        str(run / name) for name in ("1.keras", "2.keras", "10.keras")
    ]
    assert ["*" in line for line in lines] == [False, True, False]


@pytest.mark.parametrize(
    "name",
    [
        "x" * 200,
        "[bold]run[/bold]",
        "a[/b]",
        "run:fire::100:",
        "with  blanks",
        "grün-実験-🧪",
        "{epoch}",
    ],
)
def test_paths_are_never_cut_short_or_changed(tmp_path, capsys, name):
    metrics = {"val_loss": 1.0}
    path = training.checkpoint_file(tmp_path / name / "m.keras", metrics=metrics)
    status, out, _ = inside(capsys, "list", tmp_path / name)
    assert status == 0
    assert [line.endswith(f" {path}") for line in out.splitlines()] == [False, True]
    for verb in ("latest", "best"):
        assert inside(capsys, verb, tmp_path / name) == (0, f"{path}\n", "")


def test_a_path_that_is_not_valid_text_is_printed_as_it_is(tmp_path):
    """A script must be able to open what it reads."""
    name = os.fsdecode(b"caf\xe9.keras")
    path = os.path.join(tmp_path, name)
    os.rename(training.checkpoint_file(tmp_path / "1.keras"), path)
    for verb in ("latest", "list"):
        line = [sys.executable, "-m", "kerascheckpoint", verb, str(tmp_path)]
        done = subprocess.run(line, capture_output=True, timeout=120, check=True)
        assert os.fsencode(path) in done.stdout


def test_a_closed_pipe_is_not_an_error(run):
    """As in `kerascheckpoint list run --json | head -1`."""
    line = [sys.executable, "-m", "kerascheckpoint", "list", str(run), "--json"]
    with subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 0


def test_json_has_null_for_not_a_number(run, capsys):
    status, out, _ = inside(capsys, "list", run, "--json")
    entries = json.loads(out, parse_constant=lambda constant: pytest.fail(constant))
    assert status == 0
    assert [entry["metrics"]["val_loss"] for entry in entries] == [0.5, 0.25, None]
    assert entries[2]["value"] is None
    assert entries[1]["path"] == str(run / "2.keras")
    assert entries[1]["saved_at"] == "2030-01-02T00:00:00+00:00"
    assert entries[1]["size"] == (run / "2.keras").stat().st_size


@pytest.mark.parametrize("verb", ["latest", "best", "verify"])
def test_json_of_one_file_is_an_array_of_one(run, capsys, verb):
    status, out, _ = inside(capsys, verb, run / "2.keras", "--json")
    assert status == 0
    assert [entry["epoch"] for entry in json.loads(out)] == [2]


@pytest.mark.parametrize("verb", ["list", "latest", "best"])
@pytest.mark.parametrize("name", ["", "none", "{epoch}.keras", "none.keras"])
def test_nothing_found_exits_with_1_and_a_message(tmp_path, capsys, verb, name):
    path = tmp_path / name
    status, out, error = inside(capsys, verb, path)
    assert (status, out) == (1, "")
    warning = (
        f"warning: there is no file or directory {str(path)!r}\n" if name[:4] == "none" else ""
    )
    assert error == f"{warning}kerascheckpoint: no checkpoint found at {str(path)!r}\n"


def test_nothing_found_is_an_empty_array_in_json(tmp_path, capsys):
    status, out, _ = inside(capsys, "list", tmp_path, "--json")
    assert (status, json.loads(out)) == (1, [])


def test_verify_of_nothing_is_one(tmp_path, capsys):
    status, out, error = inside(capsys, "verify", tmp_path / "none.keras")
    assert (status, out) == (1, "")
    assert error.startswith("kerascheckpoint: there is no checkpoint at")


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["list"],
        ["look", "."],
        ["list", ".", "--yaml"],
        ["best", ".", "--mode", "sideways"],
        ["latest", "."] * 2,
        ["list", "{}.keras"],
    ],
    ids=" ".join,
)
def test_wrong_use_is_two(capsys, arguments):
    status, out, error = inside(capsys, *arguments)
    assert (status, out) == (2, "")
    assert error


def test_a_best_of_unknown_direction_is_wrong_use_that_says_what_to_add(tmp_path, capsys):
    training.checkpoint_file(tmp_path / "1.keras", metrics={"speed": 1.0})
    status, _, error = inside(capsys, "best", tmp_path, "--monitor", "speed")
    assert status == 2
    assert "pass mode='min' or 'max'" in error
    status, out, _ = inside(capsys, "best", tmp_path, "--monitor", "speed", "--mode", "max")
    assert (status, out) == (0, f"{tmp_path / '1.keras'}\n")


def test_several_files_and_directories_are_verified_and_a_damaged_one_stops_nobody(run, capsys):
    training.damage(run / "2.keras")
    status, out, error = inside(capsys, "verify", run, run / "1.keras")
    assert status == 1
    assert out.splitlines() == [
        f"{run / name} is whole" for name in ("1.keras", "10.keras", "1.keras")
    ]
    assert "2.keras" in error
    status, out, _ = inside(capsys, "verify", run, "--json")
    entries = json.loads(out)
    assert status == 1
    assert [entry.get("epoch") for entry in entries] == [1, 10, None]
    assert [entry["error"] is None for entry in entries] == [True, True, False]
    assert "is damaged" in entries[2]["error"]
    assert entries[2]["path"] == str(run / "2.keras")


def test_json_is_json_even_when_a_file_is_missing(tmp_path, capsys):
    status, out, _ = inside(capsys, "verify", tmp_path / "none", "--json")
    assert status == 1
    assert [entry["error"] for entry in json.loads(out)] == [
        f"there is no checkpoint at {str(tmp_path / 'none')!r}"
    ]
    status, out, _ = inside(capsys, "compare", tmp_path / "a.keras", tmp_path / "b.keras", "--json")
    assert (status, json.loads(out)) == (1, [])


def test_a_list_can_be_sorted_and_cut_to_columns(run, capsys):
    status, out, _ = inside(
        capsys, "list", run, "--sort", "val_loss", "--columns", "epoch,val_loss"
    )
    assert status == 0
    lines = [line.split() for line in out.splitlines()]
    assert lines == [["epoch", "val_loss"], ["2", "0.25"], ["1", "0.5"], ["10", "nan"]]
    status, _, error = inside(capsys, "list", run, "--sort", "typo")
    assert status == 2
    assert "'typo'" in error
    assert "val_loss" in error


def test_averages_of_the_best_and_the_last(run, capsys):
    for choice in ("--best", "--last"):
        target = run.parent / f"mean{choice}.keras"
        assert inside(capsys, "average", choice, 2, run, "-o", target)[:2] == (0, f"{target}\n")
        assert inside(capsys, "verify", target)[0] == 0
    status, _, error = inside(capsys, "average", "--last", 9, run, "-o", target)
    assert (status, "only 3 checkpoints to average, not 9" in error) == (0, True)
    assert inside(capsys, "average", "--best", 0, run, "-o", "x.keras")[0] == 2
    training.checkpoint_file(run / "3.keras", metrics={"mae": 1.0})
    for more, lacking in ((["--monitor", "speed"], "--monitor"), (["--monitor", "mae"], "--mode")):
        status, _, error = inside(capsys, "average", "--best", 2, run, "-o", "x.keras", *more)
        assert (status, f"pass {lacking}" in error, "'mae'" in error) == (2, True, True)


def test_many_gigabytes_are_verified_behind_a_bar(run, monkeypatch, capsys):
    """On a terminal; the bar counts the bytes of each file, and results do not mix with it."""
    from kerascheckpoint import verify_bar

    shown = []
    show = verify_bar.VerifyBar._show

    def watched(bar, count):
        show(bar, count)
        (task,) = bar._bar.tasks
        shown.append((count, task.completed, task.total))

    monkeypatch.setattr(verify_bar, "_FROM", 1)
    monkeypatch.setattr(verify_bar.VerifyBar, "_show", watched)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    sizes = [os.path.getsize(run / name) for name in ("1.keras", "2.keras")]
    status, out, _ = inside(capsys, "verify", run / "1.keras", run / "2.keras")
    assert (status, out) == (0, f"{run / '1.keras'} is whole\n{run / '2.keras'} is whole\n")
    counts, done, totals = zip(*shown, strict=True)
    assert set(totals) == {sum(sizes)}
    assert list(done) == sorted(done)
    assert {sizes[0], sum(sizes)} <= set(done)
    assert sum(count > 0 for count in counts) > 2  # also in the middle of a file


def test_a_comparison_is_a_table_and_json(run, capsys):
    status, out, _ = inside(capsys, "compare", run / "1.keras", run / "2.keras")
    assert status == 0
    assert out.splitlines()[0].split()[:2] == ["array", "shape"]
    status, out, _ = inside(capsys, "compare", run / "1.keras", run / "2.keras", "--json")
    assert all(entry["equal"] for entry in json.loads(out))
    assert json.loads(out)


def test_a_picture_is_written(run, capsys):
    target = run.parent / "run.png"
    assert inside(capsys, "plot", run, "--monitor", "loss", "-o", target)[:2] == (0, f"{target}\n")
    assert target.read_bytes().startswith(b"\x89PNG")


def test_the_version_is_printed(capsys):
    from kerascheckpoint import __version__

    assert inside(capsys, "--version")[:2] == (0, f"kerascheckpoint {__version__}\n")


def test_nothing_from_a_file_reaches_the_terminal_that_it_would_obey(tmp_path, capsys):
    """A name with an escape sequence could rewrite the screen or hide a damaged file."""
    evil = "\x1b[2J\u202eloss\x07"
    training.checkpoint_file(tmp_path / "1.keras", metrics={evil: 1.0}, monitor=evil, mode="min")
    (tmp_path / "\x1b[31m.keras").write_bytes(b"junk")
    for verb in ("list", "verify"):
        _, out, error = inside(capsys, verb, tmp_path)
        assert not {"\x1b", "\x07", "\u202e"} & set(out + error)
    assert "x1b" in error


def test_a_path_is_as_it_is_for_a_script_and_escaped_for_a_terminal(tmp_path, capsys, monkeypatch):
    path = training.checkpoint_file(tmp_path / "\x1b[31m.keras", metrics={"val_loss": 0.5})
    assert inside(capsys, "latest", tmp_path) == (0, f"{path}\n", "")
    assert inside(capsys, "verify", path) == (0, f"{tmp_path}/\\x1b[31m.keras is whole\n", "")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    for verb in ("latest", "best"):
        assert inside(capsys, verb, tmp_path) == (0, f"{tmp_path}/\\x1b[31m.keras\n", "")
