"""The deleter: one file too many and a night of training is gone."""

import os

import pytest

from kerascheckpoint.policies.best_value import BestTracker
from kerascheckpoint.policies.planned_save import PlannedSave
from kerascheckpoint.policies.retention import KeptFile, Retention
from kerascheckpoint.training.run_files import RunFiles

pytestmark = pytest.mark.any_backend


@pytest.fixture
def files():
    return RunFiles(Retention(keep_last=1), BestTracker("min"))


def published(path, content="ours"):
    """Let a new file appear at `path` by a rename, as ours do."""
    path.with_name("new").write_text(content)
    os.replace(path.with_name("new"), path)
    return path


def save(files, path):
    planned = PlannedSave(str(path))
    files.begin(planned)
    published(path)
    files.commit(planned)


def test_what_is_superfluous_is_deleted(tmp_path, files):
    for name in "abc":
        save(files, tmp_path / name)
    assert os.listdir(tmp_path) == ["c"]


@pytest.mark.parametrize("succeeds", [True, False])
def test_a_name_that_a_save_on_its_way_uses_again_is_not_deleted(tmp_path, files, succeeds):
    first, second = tmp_path / "a", tmp_path / "b"
    save(files, first)
    of_second, of_first = (PlannedSave(str(path)) for path in (second, first))
    for planned in (of_second, of_first):
        files.begin(planned)
    published(second)
    if succeeds:
        published(first, "newer")
    files.commit(of_second)
    assert first.exists()
    if succeeds:
        files.commit(of_first)
        assert os.listdir(tmp_path) == ["a"] and first.read_text() == "newer"
    else:
        files.abort(of_first)
        save(files, tmp_path / "c")
        assert os.listdir(tmp_path) == ["c"]


def test_a_file_that_somebody_else_has_put_in_the_place_of_ours_stays(tmp_path, files):
    save(files, tmp_path / "a")
    published(tmp_path / "a", "theirs")
    save(files, tmp_path / "b")
    assert (tmp_path / "a").read_text() == "theirs"


def test_files_of_the_runs_before_count_too(tmp_path):
    old = published(tmp_path / "old")
    files = RunFiles(Retention(keep_last=1), BestTracker("min"), [KeptFile(str(old), None)])
    save(files, tmp_path / "new file")
    assert os.listdir(tmp_path) == ["new file"]
