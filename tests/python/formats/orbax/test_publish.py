"""Directories appear and disappear as a whole, even after a power failure."""

import os

import pytest

from kerascheckpoint.formats.orbax.publish import staged_directory
from kerascheckpoint.storage import leftovers
from support.faults.crash_points import states_of
from support.faults.disk import write_tree

pytestmark = pytest.mark.any_backend


def save(path, version):
    with staged_directory(str(path), None) as staged:
        for name in ("a", "b/c"):
            os.makedirs(os.path.dirname(os.path.join(staged, name)), exist_ok=True)
            with open(os.path.join(staged, name), "w") as file:
                file.write(f"version {version}")


def version_in(directory):
    """Return the one version that all files of a directory have."""
    assert sorted(os.listdir(directory)) == ["a", "b"]
    (version,) = {(directory / name).read_text() for name in ("a", "b/c")}
    return int(version.removeprefix("version "))


def test_a_power_failure_leaves_whole_directories(tmp_path):
    """Replaced by a newer one, or deleted: a half one must never stand under its name."""
    root = tmp_path / "root"
    root.mkdir()
    steps = [
        lambda: save(root / "one.orbax", 1),
        lambda: save(root / "one.orbax", 2),
        lambda: save(root / "other.orbax", 3),
        lambda: leftovers.delete(str(root / "one.orbax")),
    ]
    states = states_of(str(root), steps, 1)
    assert len(states) > 100
    for number, (saved, tree) in enumerate(states):
        place = tmp_path / str(number)
        place.mkdir()
        write_tree(str(place), tree)
        leftovers.remove_leftovers(str(place))
        names = sorted(os.listdir(place))
        found = {name: version_in(place / name) for name in names}
        newest = max(found.values(), default=0)
        assert min(saved, 3) <= newest <= saved + 1, (saved, found)
