"""The power fails at any point of a save, and the disk holds anything that POSIX permits."""

import copy
import io
import itertools
import os
import tempfile
import warnings
import zipfile
from collections.abc import Callable

import h5py
import numpy as np

from kerascheckpoint import catalog, verify
from kerascheckpoint.formats import forms
from kerascheckpoint.formats.base import KerasSave, Target
from kerascheckpoint.formats.keras_file import writer
from kerascheckpoint.storage import leftovers
from kerascheckpoint.storage.local import LocalStorage
from support import small_files
from support.faults.crash_points import states_of
from support.faults.disk import Tree, write_tree
from support.faults.outcome import Outcome, expect
from support.faults.sample import Sample
from support.faults.stepping import spread

_NUMBERS = 5000  # of each array: enough for blocks of their own
_PLACE = os.path.join("made", "for", "this")  # directories that the first save has to make

Save = Callable[[Sample, str, int], None]  # saves a version of a sample at a path


def power_failure(sample: Sample, directory: str, tries: int, seed: int) -> Outcome:
    """Power failure at each point of saves, with each state of the disk (or `tries` of them)."""
    small, outcome = copy.copy(sample), Outcome()
    small.arrays = {name: array.reshape(-1)[:_NUMBERS] for name, array in sample.arrays.items()}
    ways = itertools.product((by_ourselves, by_keras), ("m", "m{}"))  # replaced; each by itself
    with forms.reading_many():
        for save, name in ways:
            with tempfile.TemporaryDirectory(dir=directory) as root:
                path = os.path.join(root, _PLACE, f"{name}{sample.suffix}")
                steps = [_step(save, small, path, version) for version in (1, 2, 3)]
                states = states_of(root, steps, seed)
            for index in spread(len(states), tries, seed):
                with outcome.attempt(f"{save.__name__}, {name!r}, state {index}"):
                    _check(small, directory, *states[index])
    sample.save(directory, 1)
    return outcome


def _step(save: Save, sample: Sample, path: str, version: int) -> Callable[[], None]:
    """Return what saves a version, and deletes the one before if that is another file."""

    def step() -> None:
        save(sample, path.format(version), version)
        if "{}" in path and version > 1:
            LocalStorage().delete(path.format(version - 1))

    return step


def by_ourselves(sample: Sample, path: str, version: int) -> None:
    """Save with our own writer."""
    sample.save_at(path, version)


def by_keras(sample: Sample, path: str, version: int) -> None:
    """Save as for a model that only Keras can write: its file gets our record."""
    form = forms.form_of(path).written_by_keras
    keras_save = KerasSave(lambda sibling: _stock_file(sample, sibling, version))
    fields = small_files.FIELDS | {"step": version}
    form.writer().save(Target(path, LocalStorage()), keras_save, fields)


def _stock_file(sample: Sample, path: str, version: int) -> None:
    content = io.BytesIO()
    with h5py.File(content, "w") as h5_file:
        for name, array in sample.arrays.items():
            h5_file[name] = np.full_like(array, version)
    with open(path, "wb") as file:
        if path.endswith(".weights.h5"):
            file.write(content.getvalue())
            return
        with zipfile.ZipFile(file, "w") as archive:
            archive.writestr(writer.METADATA, '{"keras_version":"3.0.0"}')
            archive.writestr(writer.CONFIG, "{}")
            archive.writestr(writer.WEIGHTS, content.getvalue())


def _check(sample: Sample, directory: str, saved: int, tree: Tree) -> None:
    """Check that a state holds the newest durable checkpoint, and that no half one is taken."""
    with tempfile.TemporaryDirectory(dir=directory) as root:
        write_tree(root, tree)
        place = os.path.join(root, _PLACE)
        expect(saved == 0 or os.path.isdir(place), "its directory is not there")
        if not os.path.isdir(place):
            return
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            for info in catalog.list_checkpoints(place):
                verify.verify_checkpoint(info)
            latest = catalog.latest_checkpoint(place)
        step = latest.step if latest else 0
        expect(step in (saved, saved + 1), f"the newest is version {step} after {saved} saves")
        leftovers.remove_leftovers(place)
        stayed = [name for name in os.listdir(place) if not name.endswith(sample.suffix)]
        expect(not stayed, f"not removed by the next run: {stayed}")
