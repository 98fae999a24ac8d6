"""Compare our files with Keras' own files of the same model, member by member."""

import json
import zipfile
from typing import Any

import h5py
import keras

from kerascheckpoint.saving import Saver
from support.small_files import read_record

FIELDS: dict[str, Any] = {
    **{"epoch": 1, "batch": 0, "step": 2, "metrics": {}, "reason": "epoch"},
    **{"saved_at": "2030-01-01T00:00:00+00:00"},
}


def save_ours(saver: Saver, model: Any, path: Any) -> bool:
    """Save a model as the callback does; return whether our own writer did it."""
    outcome: list[BaseException | None] = []
    saver.save(model, str(path), FIELDS, outcome.append)
    assert outcome == [None]
    return "image" in read_record(str(path))


def save_theirs(model: Any, path: Any) -> None:
    """Save a model as Keras does; the suffix decides what."""
    model.save_weights(path) if path.name.endswith(".weights.h5") else model.save(path)


def content_of(file: Any) -> tuple[dict[str, Any], dict[tuple[str, str], Any], set[str]]:
    """Return arrays, attributes and groups of an HDF5 file; empty `vars` groups say nothing."""
    arrays: dict[str, Any] = {}
    attributes: dict[tuple[str, str], Any] = {}
    groups: set[str] = set()

    def visit(name: str, item: Any) -> None:
        if isinstance(item, h5py.Group):
            if item or not name.endswith("vars"):
                groups.add(name)
        else:
            assert item.chunks is None
            arrays[name] = (item.shape, item.dtype, item[()].tobytes())
        attributes.update({(name, key): value for key, value in item.attrs.items()})

    with h5py.File(file, "r") as h5_file:
        h5_file.visititems(visit)
        attributes.update({("", key): value for key, value in h5_file.attrs.items()})
    attributes.pop(("", "kerascheckpoint"), None)
    return arrays, attributes, groups


def assert_same_weights(ours: Any, theirs: Any) -> None:
    """Assert that weights of ours hold what Keras' hold, and nothing but empty groups more."""
    (arrays, attributes, groups), expected = content_of(ours), content_of(theirs)
    assert list(arrays) == list(expected[0])
    for name, array in arrays.items():
        assert array == expected[0][name], name
    added = {place: value for place, value in attributes.items() if place not in expected[1]}
    assert {place: attributes.get(place) for place in expected[1]} == expected[1]
    assert all(place.endswith("vars") for place, _ in added)
    assert groups >= expected[2]
    assert all(f"{group}/vars" not in expected[0] for group in groups - expected[2])


def assert_same_file(ours: Any, theirs: Any) -> None:
    """Assert that a file holds what Keras' file holds."""
    if ours.name.endswith(".weights.h5"):
        assert_same_weights(ours, theirs)
        return
    with zipfile.ZipFile(ours) as mine, zipfile.ZipFile(theirs) as reference:
        assert sorted(mine.namelist()) == sorted(reference.namelist())
        assert json.loads(mine.read("config.json")) == json.loads(reference.read("config.json"))
        metadata = json.loads(mine.read("metadata.json"))
        assert metadata["keras_version"] == keras.__version__
        assert set(metadata) - {"kerascheckpoint"} == {"keras_version", "date_saved"}
        for name in mine.namelist():
            if name.startswith("assets/"):
                assert mine.read(name) == reference.read(name)
        with mine.open("model.weights.h5") as a, reference.open("model.weights.h5") as b:
            assert_same_weights(a, b)
