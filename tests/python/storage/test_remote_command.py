"""The command line over URLs: each verb takes what reaches them."""

import json

import pytest

from kerascheckpoint.__main__ import main
from support import training

pytestmark = pytest.mark.any_backend


@pytest.fixture
def run(s3, tmp_path):
    """The URL of a directory with two checkpoints and a stock file; and what reaches it."""
    import s3fs

    fs = s3fs.S3FileSystem(skip_instance_cache=True, **s3.options())
    url = f"s3://bucket/{tmp_path.name}"
    for epoch, loss in ((1, 0.5), (2, 0.25)):
        fields = {"epoch": epoch, "saved_at": f"2030-01-0{epoch}T00:00:00+00:00"}
        metrics = {"val_loss": loss}
        path = training.checkpoint_file(tmp_path / f"{epoch}.keras", metrics=metrics, **fields)
        fs.put_file(path, f"{url}/{epoch}.keras")
    fs.put_file(str(training.stock_file(tmp_path / "stock.weights.h5")), f"{url}/s/m.weights.h5")
    given = s3.options()
    pairs = [f"{key}={value}" for key, value in given.items()]
    return url, [text for pair in pairs for text in ("--storage-options", pair)], json.dumps(given)


def command(capsys, *arguments):
    try:
        status: int | str | None = main([str(argument) for argument in arguments])
    except SystemExit as stop:
        status = stop.code
    return status, *capsys.readouterr()


def test_every_verb_reaches_a_url(run, capsys, tmp_path):
    url, pairs, as_json = run
    one, two = f"{url}/1.keras", f"{url}/2.keras"
    assert command(capsys, "latest", url, *pairs)[:2] == (0, f"{two}\n")
    assert command(capsys, "best", url, "--storage-options", as_json)[:2] == (0, f"{two}\n")
    status, out, _ = command(capsys, "list", f"{url}/{{epoch}}.keras", "--json", *pairs)
    assert (status, [entry["path"] for entry in json.loads(out)]) == (0, [one, two])
    status, out, _ = command(capsys, "verify", url, tmp_path / "1.keras", f"{url}/s", *pairs)
    assert (status, len(out.splitlines())) == (0, 4)
    assert command(capsys, "compare", one, tmp_path / "2.keras", "--json", *pairs)[0] == 0
    mean = f"{url}/mean.keras"
    assert command(capsys, "average", one, two, "-o", mean, *pairs)[:2] == (0, f"{mean}\n")
    assert command(capsys, "verify", mean, *pairs)[0] == 0
    picture = tmp_path / "run.png"
    runs = [url, f"file://{tmp_path}/1.keras"]  # the options are for the first
    assert command(capsys, "plot", *runs, "--monitor", "val_loss", "-o", picture, *pairs)[0] == 0
    assert picture.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        (["here", "--storage-options", "{1"], "not a JSON object"),
        (["here", "--storage-options", "key"], "JSON or KEY=VALUE"),
        (["here", "--storage-options", "key=x"], "are for URLs"),
    ],
)
def test_unusable_options_are_a_usage_error(given, reason, capsys):
    status, _, error = command(capsys, "list", *given)
    assert (status, reason in error) == (2, True)


def test_numbers_and_flags_are_not_passed_as_text(sftp, tmp_path, capsys):
    """An sftp port has to be a number."""
    path = training.checkpoint_file(tmp_path / "1.keras")
    options = (f"{key}={json.dumps(value)}" for key, value in sftp.options().items())
    pairs = [text for option in options for text in ("--storage-options", option)]
    url = f"sftp://127.0.0.1{path}"
    assert command(capsys, "latest", url, *pairs)[:2] == (0, f"{url}\n")
