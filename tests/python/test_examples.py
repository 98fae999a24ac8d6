"""The examples in both languages, and every block of code in the README, run as they are."""

import os
import pathlib
import re
import shutil
import subprocess
import sys

import pytest

from kerascheckpoint import list_checkpoints
from support import servers

pytestmark = [pytest.mark.any_backend, pytest.mark.slow]

ROOT = pathlib.Path(__file__).parents[2]
LIBRARY = ROOT / ".Rlibrary"
README = (ROOT / "README.md").read_text()
VIGNETTE = (ROOT / "vignettes" / "checkpoints-you-can-trust.Rmd").read_text()

ENVIRONMENT = os.environ | {
    "KERAS_BACKEND": "jax",  # starts fastest
    "PATH": os.pathsep.join([os.path.dirname(sys.executable), os.environ["PATH"]]),
    "R_LIBS": os.pathsep.join(filter(None, [str(LIBRARY), os.environ.get("R_LIBS")])),
    "RETICULATE_PYTHON": sys.executable,
}


@pytest.fixture(params=["py", "R"])
def language(request):
    """Each language, where it can run: R needs the installed R package."""
    if request.param == "R":
        needs_r()
    return request.param


def needs_r():
    """Skip where the R package is not installed, as under nox."""
    if shutil.which("Rscript") is None or not (LIBRARY / "kerascheckpoint").is_dir():
        pytest.skip("the R package is not installed in .Rlibrary")


def run(directory, *command, **environment):
    """Run a command in a directory; return what it printed."""
    done = subprocess.run(
        command,
        cwd=directory,
        capture_output=True,
        text=True,
        timeout=240,
        env=ENVIRONMENT | environment,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def example(directory, name, language, *arguments, **environment):
    """Run one of the examples."""
    program = {"py": sys.executable, "R": "Rscript"}[language]
    script = str(ROOT / "examples" / f"{name}.{language}")
    return run(directory, program, script, *map(str, arguments), **environment)


def blocks(heading, kind, text=README):
    """Return the blocks of code in a section of the README or another text."""
    section = re.search(rf"^## {heading}\n(.*?)(?=^## |\Z)", text, re.DOTALL | re.MULTILINE)
    assert section is not None
    return re.findall(rf"```{kind}\n(.*?)```", section.group(1), re.DOTALL)


def test_the_best_model_can_be_loaded(tmp_path, language):
    output = example(tmp_path, "best_model", language, tmp_path / "run")
    assert re.search(r"val_loss of the best model: \d", output)
    assert 3 <= len(os.listdir(tmp_path / "run")) <= 4


def test_a_killed_script_resumes_exactly(tmp_path, language):
    output = example(tmp_path, "resume_after_a_kill", language, tmp_path / "run")
    signal = {"py": "signal 9", "R": "status 137"}[language]
    assert f"the first process ended with {signal}" in output
    assert re.search(r"equals the one of an uninterrupted run: (True|TRUE)\s*$", output)


def test_of_several_processes_the_first_writes(tmp_path, language):
    output = example(tmp_path, "several_hosts", language, tmp_path / "run")
    lines = sorted(line.strip() for line in output.splitlines() if line.startswith("process"))
    assert lines == [f"process 0 wrote {tmp_path}/run/03.keras", "process 1 wrote None"]
    assert [info.epoch for info in list_checkpoints(tmp_path / "run")] == [2, 3]


def test_a_bucket_keeps_a_run_that_both_languages_continue(tmp_path):
    """R continues what Python began, and the README's lines for S3 run."""
    (tmp_path / "server").mkdir()
    with servers.running(servers.S3Server(tmp_path / "server")) as server:
        options = server.options()
        access = {
            "S3_ENDPOINT_URL": options["endpoint_url"],
            "AWS_ACCESS_KEY_ID": options["key"],
            "AWS_SECRET_ACCESS_KEY": options["secret"],
        }
        output = example(tmp_path, "s3", "py", "s3://bucket/run", 2, **access)
        assert "this history has 2 epochs" in output
        assert "the model is that of s3://bucket/run/0" in output

        code = blocks("First use", "python") + blocks("On S3, GCS, sftp", "python")
        text = "\n".join(code).replace("http://127.0.0.1:8333", options["endpoint_url"])
        run(tmp_path, sys.executable, "-c", text)
        assert list_checkpoints("s3://bucket/model", storage_options=options)[-1].epoch == 10
        (line,) = blocks("On S3, GCS, sftp", "sh")
        line = line.replace("http://127.0.0.1:8333", options["endpoint_url"])
        assert "s3://bucket/model/10.keras" in run(tmp_path, "sh", "-ec", line, **access)

        needs_r()
        output = example(tmp_path, "s3", "R", "s3://bucket/run", 3, **access)
        assert "this history has 3 epochs" in output
        assert "the model is that of s3://bucket/run/0" in output


def test_what_the_vignette_says_of_remote_places(tmp_path):
    """Its lines for S3 and sftp, in R; then its lines for what R saved, in Python."""
    needs_r()
    kind = r"\{r[^}\n]*\}"
    s3_lines, sftp_lines = blocks("On S3, GCS, sftp", kind, VIGNETTE)
    (python_lines,) = blocks("On S3, GCS, sftp", "python", VIGNETTE)
    before = blocks("A model, some data", kind, VIGNETTE)
    for name in ("s3", "sftp"):
        (tmp_path / name).mkdir()
    with (
        servers.running(servers.S3Server(tmp_path / "s3")) as s3,
        servers.running(servers.SftpServer(tmp_path / "sftp")) as sftp,
    ):
        own = sftp.options()
        given = {
            "http://127.0.0.1:8333": s3.options()["endpoint_url"],
            "port = 22": f"port = {own['port']}",
            '"me"': f'"{own["username"]}"',
            "~/.ssh/id_ed25519": own["key_filename"],
            "/home/me": str(tmp_path),
        }
        lines = "\n".join(["library(kerascheckpoint)", *before, s3_lines, sftp_lines])
        for old, new in given.items():
            assert old in lines
            lines = lines.replace(old, new)
            python_lines = python_lines.replace(old, new)
        output = run(tmp_path, "Rscript", "-e", lines)
        assert "3 checkpoints" in output or "2 checkpoints" in output
        assert f"{tmp_path}/trust/16.keras" in output
        output = run(tmp_path, sys.executable, "-c", python_lines)
        assert re.search(r"^16 \S+ s3://bucket/trust/16[.]keras$", output, re.MULTILINE)
    assert 3 <= len(os.listdir(tmp_path / "trust")) <= 4  # the three newest, and the best


def test_the_first_use_of_the_readme_and_its_commands(tmp_path):
    (code,) = blocks("First use", "python")
    assert run(tmp_path, sys.executable, "-c", code).rstrip().endswith(".keras")
    assert 3 <= len(os.listdir(tmp_path / "run")) <= 4
    (commands,) = blocks("First use", "sh")
    output = run(tmp_path, "sh", "-ec", commands)
    assert "is whole" in output
    assert (tmp_path / "mean.keras").exists()
    assert (tmp_path / "run.png").exists()


def test_the_first_use_of_the_readme_in_r(tmp_path):
    needs_r()
    (code,) = blocks("First use", "r")
    run(tmp_path, "Rscript", "-e", code)
    assert list_checkpoints(tmp_path / "run-r").best is not None
