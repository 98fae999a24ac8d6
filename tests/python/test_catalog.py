"""Finding checkpoints: the newest and the best by what they say, never by what they are called."""

import math
import os
import pathlib
import re
from datetime import datetime, timedelta, timezone

import h5py
import pytest

from kerascheckpoint import (
    CheckpointWarning,
    best_checkpoint,
    latest_checkpoint,
    list_checkpoints,
    verify_checkpoint,
)
from kerascheckpoint.formats import forms
from support import small_files, training

START = datetime(2030, 1, 1, tzinfo=timezone.utc)


def add(directory, name, minute, **fields):
    """Write a checkpoint of the given minute."""
    saved_at = (START + timedelta(minutes=minute)).isoformat()
    fields = {"epoch": minute, "step": 10 * minute, "saved_at": saved_at} | fields
    return training.checkpoint_file(pathlib.Path(directory) / name, **fields)


def add_losses(directory, *losses, **fields):
    """Write one checkpoint for each loss, in this order."""
    return [
        add(directory, f"{minute}.keras", minute, metrics={"val_loss": loss}, **fields)
        for minute, loss in enumerate(losses, 1)
    ]


def names(infos):
    return [os.path.basename(info.path) for info in infos]


def test_epoch_ten_comes_after_epoch_nine_whatever_the_names_say(tmp_path):
    for epoch in (10, 9, 2):
        add(tmp_path, f"epoch-{epoch}.keras", epoch)
    listed = list_checkpoints(tmp_path)
    assert names(listed) == ["epoch-2.keras", "epoch-9.keras", "epoch-10.keras"]
    assert [info.epoch for info in listed] == [2, 9, 10]
    assert names([latest_checkpoint(tmp_path)]) == ["epoch-10.keras"]


def test_files_of_one_instant_are_ordered_by_their_step(tmp_path):
    add(tmp_path, "a.keras", 1, step=30)
    add(tmp_path, "b.keras", 1, step=4)
    assert names(list_checkpoints(tmp_path)) == ["b.keras", "a.keras"]


def test_a_copied_file_keeps_its_age(tmp_path):
    old, new = add(tmp_path, "old.keras", 1), add(tmp_path, "new.keras", 2)
    os.utime(old, (4e9, 4e9))
    assert latest_checkpoint(tmp_path).path == new


@pytest.mark.parametrize(
    ("template", "found"),
    [
        ("", ["1.keras", "2.keras", "m-3-0.25.keras", "4.weights.h5"]),
        ("{epoch}.keras", ["1.keras", "2.keras"]),
        ("{epoch:02d}.keras", ["1.keras", "2.keras"]),
        ("m-{epoch}-{val_loss:.2f}.keras", ["m-3-0.25.keras"]),
        ("{epoch}.weights.h5", ["4.weights.h5"]),
        ("2.keras", ["2.keras"]),
    ],
)
def test_a_directory_a_template_and_a_file_name_what_is_meant(tmp_path, template, found):
    for name, minute in (("1.keras", 1), ("2.keras", 2), ("m-3-0.25.keras", 3)):
        add(tmp_path, name, minute)
    add(tmp_path, "4.weights.h5", 4)
    (tmp_path / "sub").mkdir()
    add(tmp_path / "sub", "5.keras", 5)
    assert names(list_checkpoints(tmp_path / template)) == found


@pytest.mark.parametrize("name", ["best.keras", "none/{epoch}.keras", "none"])
def test_a_path_that_is_not_there_is_named_in_a_warning(tmp_path, name):
    """A mistyped directory must not look like a run without checkpoints."""
    add(tmp_path, "1.keras", 1)
    with pytest.warns(CheckpointWarning, match=r"there is no .*(best\.keras|none)'") as caught:
        assert list_checkpoints(tmp_path / name) == []
    assert len(training.texts(caught)) == 1


def test_a_mistyped_metric_is_named_with_those_there_are(tmp_path):
    add_losses(tmp_path, 0.5)
    with pytest.warns(CheckpointWarning, match=r"has a metric 'typo'; there are: 'val_loss'"):
        assert best_checkpoint(tmp_path, "typo") is None


def test_a_list_has_a_best_one_and_is_a_table(tmp_path):
    add_losses(tmp_path, 0.5, 0.2, math.nan)
    add(tmp_path, "4.keras", 4, metrics={"val_loss": 0.9, "size": 3.0, "<b>\x1b[31m": 1.0})
    listed = list_checkpoints(tmp_path)
    assert os.path.basename(listed.best) == "2.keras"
    frame = listed.to_pandas()
    assert frame["metric_size"].tolist()[3] == 3.0
    assert frame["val_loss"].tolist()[:2] == [0.5, 0.2]
    assert frame["path"].tolist() == [info.path for info in listed]
    shown = listed._repr_html_()
    assert shown.count("<tr>") == 5
    assert "&lt;b&gt;\\x1b[31m" in shown
    assert "saved at (UTC)" in shown and "+00:00" not in shown and " kB</td>" in shown
    assert list_checkpoints(tmp_path / "4.keras").best is not None
    assert type(listed)().best is None
    assert os.path.basename(listed[:1].best) == listed[0].path.rpartition("/")[2]


def test_a_checkpoint_is_a_path(tmp_path):
    path = add(tmp_path, "1.keras", 1)
    (info,) = list_checkpoints(tmp_path)
    assert os.fspath(info) == path
    with open(info, "rb") as file:
        assert file.read(2) == b"PK"


def test_a_template_may_have_placeholders_in_its_directories(tmp_path):
    for epoch in (2, 1):
        add(tmp_path / f"run-{epoch}", "m.keras", epoch)
    add(tmp_path / "run-x", "m.keras", 3)
    listed = list_checkpoints(tmp_path / "run-{epoch}" / "m.keras")
    assert [os.path.relpath(info.path, tmp_path) for info in listed] == [
        "run-1/m.keras",
        "run-2/m.keras",
    ]


def test_home_and_relative_paths_are_found(tmp_path, monkeypatch):
    path = add(tmp_path / "run", "1.keras", 1)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    assert [info.path for info in list_checkpoints("~/run")] == [path]
    assert [info.path for info in list_checkpoints("run/{epoch}.keras")] == [path]


def test_unfinished_and_foreign_files_are_passed_over_without_a_word(tmp_path):
    add(tmp_path, "1.keras", 1)
    (tmp_path / ".1.keras.0123456789ab.kerascheckpoint-tmp").write_bytes(b"half")
    (tmp_path / ".1.keras.0123456789ab.kerascheckpoint-tmp.keras").write_bytes(b"half")
    (tmp_path / "notes.txt").write_text("hello")
    (tmp_path / "notes.h5").write_bytes(b"not a model")
    with h5py.File(tmp_path / "data.h5", "w") as file:
        file["x"] = [1.0, 2.0]
    (tmp_path / "directory.keras").mkdir()
    assert names(list_checkpoints(tmp_path)) == ["1.keras"]


@pytest.mark.parametrize("name", ["x.keras", "x.weights.h5"])
@pytest.mark.parametrize("content", [b"", b"junk" * 100, b"PK\x03\x04" + bytes(50)])
def test_a_file_that_cannot_be_read_is_named_in_one_warning(tmp_path, name, content):
    add(tmp_path, "1.keras", 1)
    (tmp_path / name).write_bytes(content)
    with pytest.warns(CheckpointWarning, match=name) as caught:
        assert names(list_checkpoints(tmp_path)) == ["1.keras"]
    assert len(training.texts(caught)) == 1


def test_a_legacy_model_that_was_cut_off_is_named_in_one_warning(tmp_path):
    with h5py.File(tmp_path / "whole.h5", "w") as file:
        file.create_group("model_weights")["x"] = [1.0] * 1000
    whole = (tmp_path / "whole.h5").read_bytes()
    (tmp_path / "cut.h5").write_bytes(whole[: len(whole) // 2])
    with pytest.warns(CheckpointWarning, match=r"cut\.h5") as caught:
        assert names(list_checkpoints(tmp_path)) == ["whole.h5"]
    assert len(training.texts(caught)) == 1


def test_a_dangling_link_is_no_checkpoint(tmp_path):
    (tmp_path / "1.keras").symlink_to(tmp_path / "gone.keras")
    assert list_checkpoints(tmp_path) == []


@pytest.mark.parametrize("suffix", small_files.SUFFIXES)
def test_a_stock_file_is_listed_with_none_for_what_cannot_be_known(tmp_path, suffix):
    path = training.stock_file(tmp_path / f"stock{suffix}")
    os.utime(path, (1e9, 1e9))
    (info,) = list_checkpoints(tmp_path)
    unknown = ("epoch", "batch", "step", "monitor", "mode", "value", "best", "reason", "schema")
    assert {getattr(info, name) for name in unknown} == {None}
    assert info.metrics == {}
    assert info.saved_at == datetime.fromtimestamp(1e9, timezone.utc)
    assert info.size == path.stat().st_size
    assert info.weights_only is (suffix == ".weights.h5")
    assert info.keras_version == (None if info.weights_only else "3.15.1")
    assert latest_checkpoint(tmp_path) == info
    assert best_checkpoint(tmp_path) is None


@pytest.mark.parametrize(
    ("losses", "mode", "best"),
    [
        ([0.5, 0.2, 0.9], None, "2.keras"),
        ([0.5, 0.2, 0.9], "min", "2.keras"),
        ([0.5, 0.2, 0.9], "max", "3.keras"),
        ([0.5, 0.2, 0.2], None, "2.keras"),
        ([math.nan, 0.2, math.nan], "max", "2.keras"),
        ([-math.inf, 0.2, math.inf], "min", "2.keras"),
    ],
)
def test_the_best_is_the_earliest_of_the_best_finite_values(tmp_path, losses, mode, best):
    add_losses(tmp_path, *losses)
    assert names([best_checkpoint(tmp_path, mode=mode)]) == [best]


@pytest.mark.parametrize("losses", [[], [math.nan], [math.inf, math.nan]])
def test_without_a_finite_value_there_is_no_best(tmp_path, losses):
    add_losses(tmp_path, *losses)
    assert best_checkpoint(tmp_path) is None


def test_the_direction_is_the_one_the_files_were_saved_with(tmp_path):
    add_losses(tmp_path, 0.5, 0.9, monitor="val_loss", mode="max")
    assert names([best_checkpoint(tmp_path)]) == ["2.keras"]
    assert names([best_checkpoint(tmp_path, "val_loss")]) == ["2.keras"]


@pytest.mark.parametrize(
    ("monitor", "mode", "best"),
    [
        ("val_accuracy", None, "1.keras"),
        ("loss", None, "2.keras"),
        ("speed", "max", "2.keras"),
        ("speed", "min", "1.keras"),
    ],
)
def test_any_metric_of_the_files_can_be_asked_for(tmp_path, monitor, mode, best):
    add(tmp_path, "1.keras", 1, metrics={"val_accuracy": 0.9, "loss": 0.5, "speed": 1.0})
    add(tmp_path, "2.keras", 2, metrics={"val_accuracy": 0.8, "loss": 0.4, "speed": 2.0})
    found = best_checkpoint(tmp_path, monitor, mode)
    assert (found and names([found])[0]) == best


def test_a_metric_of_unknown_direction_is_not_guessed_at(tmp_path):
    add(tmp_path, "1.keras", 1, metrics={"speed": 1.0})
    with pytest.raises(
        ValueError, match=r"'speed' should be low or high: pass mode='min' or 'max'"
    ):
        best_checkpoint(tmp_path, "speed")


@pytest.mark.parametrize("mode", ["auto", "MIN", "", 3])
def test_an_unknown_mode_is_refused(tmp_path, mode):
    with pytest.raises(ValueError, match=r"^mode must be 'min', 'max' or None\. Received: mode="):
        best_checkpoint(tmp_path, mode=mode)


def test_files_that_did_not_know_what_they_monitored_do_not_hide_those_that_did(tmp_path):
    add_losses(tmp_path, 0.5, 0.2)
    add(tmp_path, "3.keras", 3, monitor=None, mode=None, metrics={"val_loss": 0.4})
    assert names([best_checkpoint(tmp_path)]) == ["2.keras"]


def test_damaged_files_are_passed_over_with_a_warning(tmp_path):
    first, second, third = add_losses(tmp_path, 0.5, 0.3, 0.1)
    training.damage(third)
    assert names(list_checkpoints(tmp_path)) == ["1.keras", "2.keras", "3.keras"]
    with pytest.warns(CheckpointWarning, match=r"passed over: .*3\.keras.*is damaged"):
        assert latest_checkpoint(tmp_path).path == second
    with pytest.warns(CheckpointWarning, match=r"passed over: .*3\.keras.*is damaged"):
        assert best_checkpoint(tmp_path).path == second
    training.damage(second)
    with pytest.warns(CheckpointWarning) as caught:
        assert latest_checkpoint(tmp_path).path == first
    assert len(training.texts(caught)) == 2


def test_when_every_file_is_damaged_there_is_none(tmp_path):
    training.damage(add(tmp_path, "1.keras", 1, metrics={"val_loss": 1.0}))
    for find in (latest_checkpoint, best_checkpoint):
        with pytest.warns(CheckpointWarning, match=r"1\.keras"):
            assert find(tmp_path) is None


@pytest.mark.parametrize(
    "function",
    [list_checkpoints, latest_checkpoint, best_checkpoint, verify_checkpoint],
)
@pytest.mark.parametrize("path", [None, 3, b"run", ["run"]])
def test_a_value_that_is_not_a_path_is_named(function, path):
    with pytest.raises(TypeError, match=rf"must be a str .*Received: {re.escape(repr(path))}"):
        function(path)


@pytest.mark.parametrize("when", ["before it is opened", "after the list"])
def test_a_file_that_vanishes_meanwhile_is_passed_over(tmp_path, monkeypatch, when):
    """Another run may delete files during a list; that is neither damage nor an error."""
    first, _, third = add_losses(tmp_path, 0.5, 0.3, 0.1)
    opened = []

    def open_(path, storage=None):
        opened.append(path)
        if opened.count(third) == (1 if when == "before it is opened" else 2):
            pathlib.Path(third).unlink(missing_ok=True)
        return forms.open_checkpoint(path, storage)

    for module in ("catalog", "finding"):
        monkeypatch.setattr(f"kerascheckpoint.{module}.open_checkpoint", open_)
    if when == "before it is opened":
        assert names(list_checkpoints(tmp_path)) == ["1.keras", "2.keras"]
    else:
        with pytest.warns(CheckpointWarning, match=r"passed over: there is no .*3\.keras"):
            assert names([latest_checkpoint(tmp_path)]) == ["2.keras"]
    assert pathlib.Path(first).exists()
