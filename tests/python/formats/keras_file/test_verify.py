"""Verification finds and reports any damage to a file."""

import json
import shutil
import zipfile

import h5py
import numpy as np
import pytest

from kerascheckpoint import (
    CheckpointCorruptError,
    CheckpointNotFoundError,
    CheckpointWarning,
    latest_checkpoint,
    list_checkpoints,
    verify_checkpoint,
)
from kerascheckpoint.formats import forms
from kerascheckpoint.formats.keras_file import array_places
from support import faults, small_files

pytestmark = pytest.mark.any_backend

KINDS = pytest.mark.parametrize("kind", small_files.SUFFIXES)

ARRAYS = {
    "layers/dense/vars/0": np.arange(6, dtype="float32").reshape(2, 3),
    "layers/dense/vars/1": np.arange(6, dtype="float32").reshape(2, 3) * 2,
    "layers/mask/vars/0": np.array([True, False, True]),
    "optimizer/vars/0": np.array(7, "int64"),
}


@pytest.fixture
def path(kind, tmp_path):
    """A whole file of four small arrays."""
    path = tmp_path / f"model{kind}"
    small_files.write(path, ARRAYS)
    verify_checkpoint(path)
    return path


def damaged(path, content):
    """Return what verification says of the file with this content."""
    path.write_bytes(content)
    with pytest.raises(CheckpointCorruptError) as caught:
        verify_checkpoint(path)
    assert str(path) in str(caught.value)
    return str(caught.value)


@KINDS
def test_every_flipped_bit_of_every_array_is_found(path):
    """Not one of all bits can turn over without a word, and the word names the array."""
    content = path.read_bytes()
    flipped = 0
    for name, (start, length) in small_files.places_of(path).items():
        for bit in range(8 * length):
            changed = bytearray(content)
            changed[start + bit // 8] ^= 1 << bit % 8
            assert repr(name) in damaged(path, changed)
            flipped += 1
    assert flipped == 8 * sum(array.nbytes for array in ARRAYS.values())


@pytest.mark.slow
@KINDS
def test_a_damaged_byte_anywhere_else_is_found_or_harms_nobody(path):
    """Between the arrays, too, damage neither changes what is read nor stops the reader.

    Two bytes on the way to the record are tried bit by bit, the others by samples. On some of
    these bits the HDF5 library itself crashes or never returns: they must not reach it.
    """
    content = path.read_bytes()
    marker = content.find(b"kerascheckpoint\0")
    near = {marker + 17, marker + 73} if marker > 0 else set(range(20))
    others = [i for i in range(len(content)) if content[i] not in b"\0 " and i not in near]
    bits = [(i, bit) for i in sorted(near) for bit in range(8)]
    bits += [(i, i % 8) for i in others[:: max(1, len(others) // 40)]]
    assert faults.damage(path, bits) == []


@pytest.mark.slow
@KINDS
def test_a_file_that_ends_early_is_found(path):
    """Whatever length is left: none, a header, half an array, all but a byte."""
    content = path.read_bytes()
    edges = {0, 1, 7, 8, 100, 512, 4095, 4096, 4097, len(content)}
    for start, length in small_files.places_of(path).values():
        edges |= {start, start + length, start + length // 2}
    edges |= set(range(0, len(content), len(content) // 30))
    edges |= set(range(len(content) - 4, len(content)))
    with forms.reading_many():
        for length in {edge + step for edge in edges for step in (-1, 0)}:
            if 0 <= length < len(content):
                damaged(path, content[:length])


@KINDS
def test_an_empty_and_a_blank_file(path):
    """What a file system leaves of a file that was never flushed."""
    damaged(path, b"")
    damaged(path, bytes(path.stat().st_size))


@KINDS
def test_bytes_of_another_file_in_the_middle(path):
    """A block that the disk wrote to the wrong place."""
    content = bytearray(path.read_bytes())
    start, length = small_files.places_of(path)["layers/dense/vars/0"]
    content[start : start + length] = bytes(length)
    assert "'layers/dense/vars/0' is damaged" in damaged(path, content)


@KINDS
def test_two_arrays_that_changed_places(path):
    """Each is whole, and the model would be another one."""
    content = bytearray(path.read_bytes())
    (a, length), (b, _) = [small_files.places_of(path)[f"layers/dense/vars/{n}"] for n in (0, 1)]
    first = bytes(content[a : a + length])
    content[a : a + length] = content[b : b + length]
    content[b : b + length] = first
    assert "is damaged" in damaged(path, content)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda file: file.__delitem__("optimizer/vars/0"), "'optimizer/vars/0' is missing"),
        (lambda file: file.move("layers/mask", "layers/other"), "is missing"),
        (lambda file: file.create_dataset("layers/more", data=[1.0]), "not one that was saved"),
        (lambda file: file["layers/dense/vars/0"].write_direct(np.ones((2, 3))), "is damaged"),
    ],
    ids=["deleted", "renamed", "added", "overwritten"],
)
def test_a_file_that_another_program_changed(change, words, tmp_path):
    """An edit in good faith is still a difference."""
    path = tmp_path / "model.weights.h5"
    small_files.write(path, ARRAYS)
    with h5py.File(path, "r+") as file:
        change(file)
    assert words in damaged(path, path.read_bytes())


@pytest.mark.parametrize(
    "change",
    [
        lambda file: file["layers/dense/vars"].attrs.create("name", "x"),
        lambda file: file.attrs.create("note", "the best of Tuesday"),
        lambda file: file.create_group("layers/empty"),
    ],
    ids=["attribute", "root attribute", "group"],
)
def test_a_file_changed_without_harm_is_usable_with_a_warning(change, tmp_path):
    """An attribute added by h5py does not make the weights unusable."""
    path = tmp_path / "model.weights.h5"
    small_files.write(path, ARRAYS)
    with h5py.File(path, "r+") as file:
        change(file)
    with pytest.warns(CheckpointWarning, match="was changed since it was written") as caught:
        assert verify_checkpoint(path).epoch == 1
    assert len(caught) == 1
    assert list_checkpoints(path)[0].epoch == 1
    with forms.open_checkpoint(path) as checkpoint:
        for name, array in checkpoint.arrays().items():
            assert checkpoint.read(array).tobytes() == ARRAYS[name].tobytes()


def test_missing_members(tmp_path):
    """The zip is a good one, and the model is not in it."""
    path = tmp_path / "model.keras"
    small_files.write(path, ARRAYS, assets={"layers/lookup/words.txt": b"a"})
    with zipfile.ZipFile(path) as file:
        members = {name: file.read(name) for name in file.namelist()}
    for missing in ("model.weights.h5", "config.json", "metadata.json"):
        with zipfile.ZipFile(path, "w") as file:
            for name, content in members.items():
                if name != missing:
                    file.writestr(name, content)
        assert missing in damaged(path, path.read_bytes())


@pytest.mark.parametrize("member", ["config.json", "metadata.json", "assets/words.txt"])
def test_a_flipped_bit_in_the_text_of_a_model(member, tmp_path):
    """Config, metadata and assets are guarded as the arrays are."""
    path = tmp_path / "model.keras"
    small_files.write(
        path, ARRAYS, config='{"some": "config"}', assets={"words.txt": b"some words"}
    )
    with zipfile.ZipFile(path) as file:
        text = file.read(member)
    content = bytearray(path.read_bytes())
    start = bytes(content).index(text)
    for bit in range(0, 8 * min(len(text), 60)):
        changed = bytearray(content)
        changed[start + bit // 8] ^= 1 << bit % 8
        damaged(path, changed)


def test_a_model_whose_weights_keras_would_not_find(tmp_path):
    """The zip's directory is whole, but the header before the weights is not."""
    path = tmp_path / "model.keras"
    small_files.write(path, ARRAYS)
    content = path.read_bytes()
    for position in (0, 3, 30, 45):
        changed = bytearray(content)
        changed[position] ^= 1
        damaged(path, changed)


@KINDS
def test_files_that_are_not_checkpoints(kind, tmp_path):
    """Text, another program's zip, another program's HDF5."""
    path = tmp_path / f"model{kind}"
    damaged(path, b"not a checkpoint")
    damaged(path, b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 12345\n")
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("word/document.xml", "<document/>")
    damaged(path, path.read_bytes())
    if kind == ".keras":
        with h5py.File(path, "w") as h5_file:
            h5_file["data"] = np.arange(3)
        damaged(path, path.read_bytes())


def test_a_foreign_h5_file_is_not_a_checkpoint(tmp_path):
    """Keras stores its arrays in groups called `vars`, whatever the model."""
    path = tmp_path / "model.weights.h5"
    for name in ("data", "layers/dense/kernel"):
        with h5py.File(path, "w") as file:
            file[name] = np.arange(3)
        with pytest.raises(CheckpointCorruptError, match="not where Keras stores arrays"):
            verify_checkpoint(path)
    with h5py.File(path, "w"):
        pass
    with pytest.raises(CheckpointCorruptError, match="does not hold weights"):
        verify_checkpoint(path)
    with h5py.File(tmp_path / "legacy.h5", "w") as file:
        file["data"] = np.arange(3)
    with pytest.raises(CheckpointCorruptError, match="does not hold a Keras model"):
        verify_checkpoint(tmp_path / "legacy.h5")


@KINDS
def test_nothing_at_the_path(kind, tmp_path):
    with pytest.raises(CheckpointNotFoundError):
        verify_checkpoint(tmp_path / f"model{kind}")
    with pytest.raises(FileNotFoundError):
        verify_checkpoint(tmp_path / "absent" / f"model{kind}")


@KINDS
def test_verification_looks_at_one_file_even_if_the_path_changes_under_it(
    path, tmp_path, monkeypatch
):
    """A training that saves the next model meanwhile does not make a whole file look damaged."""
    other = tmp_path / f"other{path.name}"
    small_files.write(other, {name: array * 0 for name, array in ARRAYS.items()})
    find = array_places.guards

    def replaced_before(*arguments):
        if other.exists():
            shutil.move(other, path)
        return find(*arguments)

    monkeypatch.setattr(array_places, "guards", replaced_before)
    assert verify_checkpoint(path).epoch == 1
    assert not other.exists()


@KINDS
def test_the_newest_whole_file_is_found_behind_damaged_ones(kind, tmp_path):
    """One bad block does not cost the run: training can resume from an earlier file."""
    for epoch in (1, 2, 3):
        saved_at = f"2026-01-02T03:04:0{epoch}+00:00"
        fields = {"epoch": epoch, "saved_at": saved_at}
        small_files.write(tmp_path / f"{epoch}{kind}", ARRAYS, fields=fields)
    for name, place in ((f"3{kind}", "layers/dense/vars/1"), (f"2{kind}", "optimizer/vars/0")):
        start, _ = small_files.places_of(tmp_path / name)[place]
        with open(tmp_path / name, "r+b") as file:
            file.seek(start)
            file.write(b"\xff")
    assert len(list_checkpoints(tmp_path)) == 3
    with pytest.warns(CheckpointWarning, match="passed over") as caught:
        assert latest_checkpoint(tmp_path).epoch == 1
    assert len(caught) == 2


def test_a_record_that_was_changed_by_hand(tmp_path):
    """Nobody can make an old file the newest by an edit that leaves its checksum."""
    path = tmp_path / "model.keras"
    small_files.write(path, ARRAYS)
    with zipfile.ZipFile(path) as file:
        members = {name: file.read(name) for name in file.namelist()}
    metadata = json.loads(members["metadata.json"])
    metadata["kerascheckpoint"]["epoch"] = 99
    with zipfile.ZipFile(path, "w") as file:
        for name, content in members.items():
            file.writestr(name, json.dumps(metadata) if name == "metadata.json" else content)
    assert "record is damaged" in damaged(path, path.read_bytes())
