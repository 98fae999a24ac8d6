"""The deleter: one file too many and a night of training is gone."""

import itertools
import os

import pytest

from kerascheckpoint import list_checkpoints
from kerascheckpoint.policies.best_value import BestTracker
from kerascheckpoint.policies.planned_save import PlannedSave
from kerascheckpoint.policies.retention import KeptFile, Retention
from kerascheckpoint.storage.local import LocalStorage
from kerascheckpoint.training.run_files import RunFiles
from support import training

pytestmark = pytest.mark.any_backend

clock = itertools.count()


@pytest.fixture
def files():
    return run_files()


def run_files(*earlier):
    return RunFiles(Retention(keep_last=1), BestTracker("min"), LocalStorage(), earlier)


def published(path, step=1):
    """Let a checkpoint appear at `path` by a rename, as ours do; return what is known of it."""
    saved_at = f"2026-01-01T00:00:00.{next(clock):06d}+00:00"
    new = training.checkpoint_file(path.with_name("new.keras"), saved_at=saved_at, step=step)
    os.replace(new, path)
    return PlannedSave(str(path), saved_at=saved_at)


def save(files, path):
    planned = published(path)
    files.begin(planned)
    files.commit(planned)


def step_of(path):
    (info,) = list_checkpoints(path)
    return info.step


def test_what_is_superfluous_is_deleted(tmp_path, files):
    for name in "abc":
        save(files, tmp_path / f"{name}.keras")
    assert os.listdir(tmp_path) == ["c.keras"]


@pytest.mark.parametrize("succeeds", [True, False])
def test_a_name_that_a_save_on_its_way_uses_again_is_not_deleted(tmp_path, files, succeeds):
    first, second = tmp_path / "a.keras", tmp_path / "b.keras"
    save(files, first)
    of_second, of_first = published(second), PlannedSave(str(first))
    for planned in (of_second, of_first):
        files.begin(planned)
    files.commit(of_second)
    assert first.exists()
    if succeeds:
        published(first, step=2)
        files.commit(of_first)
        assert os.listdir(tmp_path) == ["a.keras"] and step_of(first) == 2
    else:
        files.abort(of_first)
        save(files, tmp_path / "c.keras")
        assert os.listdir(tmp_path) == ["c.keras"]


def test_a_file_that_somebody_else_has_put_in_the_place_of_ours_stays(tmp_path, files):
    save(files, tmp_path / "a.keras")
    published(tmp_path / "a.keras", step=7)
    save(files, tmp_path / "b.keras")
    assert step_of(tmp_path / "a.keras") == 7


def test_a_file_that_replaced_ours_before_we_looked_stays(tmp_path, files):
    """A save in the background is reported a batch later: by then another run may have its own."""
    ours = published(tmp_path / "a.keras")
    published(tmp_path / "a.keras", step=7)
    files.begin(ours)
    files.commit(ours)
    save(files, tmp_path / "b.keras")
    assert step_of(tmp_path / "a.keras") == 7


def test_a_file_without_a_record_stays(tmp_path, files):
    save(files, tmp_path / "a.keras")
    training.stock_file(tmp_path / "a.keras")
    save(files, tmp_path / "b.keras")
    assert sorted(os.listdir(tmp_path)) == ["a.keras", "b.keras"]


def test_legacy_files_are_recognized_by_their_identity(tmp_path, files):
    for name in "ab":
        path = tmp_path / f"{name}.h5"
        path.write_bytes(b"whole model")
        planned = PlannedSave(str(path), saved_at="2026-01-01T00:00:00+00:00")
        files.begin(planned)
        files.commit(planned)
    assert os.listdir(tmp_path) == ["b.h5"]


def test_files_of_the_runs_before_count_too(tmp_path):
    old = published(tmp_path / "old.keras")
    files = run_files(KeptFile(old.path, None, old.saved_at))
    save(files, tmp_path / "new file.keras")
    assert os.listdir(tmp_path) == ["new file.keras"]
