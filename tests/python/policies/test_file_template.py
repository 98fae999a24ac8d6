"""File names: errors must show before an epoch is lost, and every value must fit in."""

import math
import os
import pathlib

import keras
import numpy as np
import pytest

from kerascheckpoint import CheckpointNameError
from kerascheckpoint.policies.file_template import FileTemplate, check_suffix

COUNTERS = {"epoch": 3, "batch": 12, "step": 112}


def filled(text, **logs):
    """Return the file's name that a template gives."""
    return os.path.basename(FileTemplate.parse(f"/run/{text}").fill(COUNTERS, logs))


@pytest.mark.parametrize(
    ("text", "logs", "name"),
    [
        ("m.keras", {}, "m.keras"),
        ("m{epoch}.keras", {}, "m3.keras"),
        ("m{epoch:02d}-{batch:04d}-{step}.keras", {}, "m03-0012-112.keras"),
        ("{epoch}-{epoch}.keras", {}, "3-3.keras"),
        ("{epoch!s:>4}.keras", {}, "   3.keras"),
        ("{val_loss:.2f}.keras", {"val_loss": 0.126}, "0.13.keras"),
        ("{val_loss:.1e}.keras", {"val_loss": 123.0}, "1.2e+02.keras"),
        ("{loss:.2f}.keras", {"loss": np.float32(0.5)}, "0.50.keras"),
        ("{loss:.2f}.keras", {"loss": np.array([0.5])}, "0.50.keras"),
        ("{epoch:02d}.keras", {"epoch": 0.25}, "03.keras"),
        ("{note}.keras", {"note": "late"}, "late.keras"),
        ("{{kept}}.keras", {}, "{kept}.keras"),
        ("größe-{epoch}.keras", {}, "größe-3.keras"),
        ("{loss:.1f}.keras", {"loss": math.nan}, "nan.keras"),
    ],
)
def test_every_name_is_filled_with_any_format(text, logs, name):
    assert filled(text, **logs) == name


def test_a_tensor_is_filled_in_as_its_number():
    assert filled("{loss:.2f}.keras", loss=keras.ops.convert_to_tensor(0.5)) == "0.50.keras"


def test_validation_that_did_not_run_is_filled_in_as_nan():
    template = FileTemplate.parse("/run/{val_loss:.2f}-{val_other}.keras")
    assert template.missing_validation({"loss": 1.0, "val_other": 1}) == ["val_loss"]
    path = template.fill(COUNTERS, {"loss": 1.0, "val_other": 1})
    assert path == "/run/nan-1.keras"


@pytest.mark.parametrize(
    ("text", "logs", "word"),
    [
        ("{los}.keras", {"loss": 1.0}, "los"),
        ("{val_mae}.keras", {"loss": 1.0}, "val_mae"),
        ("{epoch.real}.keras", {}, "epoch.real"),
    ],
)
def test_an_unknown_placeholder_is_named_with_all_that_can_be_used(text, logs, word):
    with pytest.raises(CheckpointNameError) as caught:
        filled(text, **logs)
    message = str(caught.value)
    assert repr(word) in message
    assert all(name in message for name in [*COUNTERS, *logs])
    assert isinstance(caught.value, KeyError)


def test_a_value_that_does_not_fit_its_format_is_named():
    with pytest.raises(ValueError, match=r"loss=0\.5 does not fit 'd'"):
        filled("{loss:d}.keras", loss=0.5)


@pytest.mark.parametrize(
    "text",
    [
        "{}.keras",
        "{0}.keras",
        "{epoch.keras",
        "epoch}.keras",
        "{epoch:zz}.keras",
        "{epoch!q}.keras",
    ],
)
def test_a_malformed_template_is_refused_at_once(text):
    with pytest.raises(ValueError, match=r"filepath is not a valid template.*Received: filepath="):
        FileTemplate.parse(text)


@pytest.mark.parametrize("text", ["", "a\0b.keras"])
def test_what_names_no_file_is_refused_in_words(text):
    with pytest.raises(ValueError, match="filepath must"):
        FileTemplate.parse(text)


@pytest.mark.parametrize(
    ("text", "directory", "levels", "name"),
    [
        ("s3://bucket/run/{epoch}.keras", "s3://bucket/run", 1, "{epoch}.keras"),
        ("s3://bucket/run/{epoch}/m.keras", "s3://bucket/run", 2, "{epoch}/m.keras"),
        ("gs://bucket/{epoch}.keras", "gs://bucket", 1, "{epoch}.keras"),
        ("memory://m.keras", "memory://", 1, "m.keras"),
        ("simplecache::s3://bucket/a/{epoch}.keras", "simplecache::s3://bucket/a", 1, None),
        ("file:///run/{epoch}.keras", "/run", 1, "{epoch}.keras"),
    ],
)
def test_a_url_stays_a_url_and_a_file_url_is_a_local_path(text, directory, levels, name):
    template = FileTemplate.parse(text)
    assert (template.directory, template.levels) == (directory, levels)
    assert template.name == (name or "{epoch}.keras")
    filled = template.fill({"epoch": 3}, {})
    assert template.matches(filled)
    assert filled.startswith(directory)


@pytest.mark.parametrize("weights_only", [True, False])
def test_a_directory_of_orbax_may_hold_either(weights_only):
    template = FileTemplate.parse("/run/{epoch}.orbax")
    check_suffix(template, weights_only)
    assert template.matches("/run/3.orbax")
    assert template.interrupt_path("/run/3.orbax") == "/run/3.interrupt.orbax"


@pytest.mark.parametrize("value", [None, 3, b"m.keras", ["m.keras"]])
def test_a_value_that_is_not_a_path_is_a_type_error(value):
    with pytest.raises(TypeError, match=r"^filepath must be .*Received: filepath="):
        FileTemplate.parse(value)


def test_home_and_paths_are_accepted_and_a_relative_path_is_fixed(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert str(FileTemplate.parse("~/m.keras")) == str(tmp_path / "m.keras")
    assert str(FileTemplate.parse(tmp_path / "a b" / "m.keras")) == str(tmp_path / "a b/m.keras")
    monkeypatch.chdir(tmp_path)
    template = FileTemplate.parse(pathlib.Path("run") / "m.keras")
    monkeypatch.chdir("/")
    assert str(template) == str(tmp_path / "run" / "m.keras")


def test_braces_in_the_current_directory_are_not_placeholders(tmp_path, monkeypatch):
    odd = tmp_path / "{run}"
    odd.mkdir()
    monkeypatch.chdir(odd)
    assert FileTemplate.parse("{epoch}.keras").fill(COUNTERS, {}) == str(odd / "3.keras")


@pytest.mark.parametrize(
    ("text", "directory"),
    [
        ("/a/b/m.keras", "/a/b"),
        ("/a/b/{epoch}.keras", "/a/b"),
        ("/a/b{epoch}/m.keras", "/a"),
        ("/{epoch}.keras", "/"),
        ("/a/{{b}}/m.keras", "/a/{b}"),
    ],
)
def test_the_directory_that_all_files_lie_under(text, directory):
    assert FileTemplate.parse(text).directory == directory


@pytest.mark.parametrize(
    ("text", "name", "matches"),
    [
        ("m.keras", "m.keras", True),
        ("m.keras", "mm.keras", False),
        ("m.keras", "m.interrupt.keras", True),
        ("{epoch:02d}.keras", "07.keras", True),
        ("{epoch:02d}.keras", "117.keras", True),
        ("{epoch:02d}.keras", "best.keras", False),
        ("{epoch:4d}.keras", "   7.keras", True),
        ("m-{epoch}-{val_loss:.2f}.keras", "m-7-0.33.keras", True),
        ("m-{epoch}-{val_loss:.2f}.keras", "m-7-nan.keras", True),
        ("m-{epoch}-{val_loss:.2f}.keras", "m-7.keras", False),
        ("{epoch}.weights.h5", "7.weights.h5", True),
        ("{epoch}.weights.h5", "7.h5", False),
        ("a+b.{epoch}.keras", "aab.7.keras", False),
        ("{val_loss}.keras", "x/y.keras", False),
    ],
)
def test_files_of_a_template_are_told_apart_from_others(text, name, matches):
    assert FileTemplate.parse(f"/run/{text}").matches(f"/run/{name}") is matches


@pytest.mark.parametrize("suffix", [".keras", ".weights.h5", ".h5"])
def test_an_interrupt_beside_the_best_keeps_the_suffix(suffix):
    template = FileTemplate.parse(f"/run/m{suffix}")
    aside = template.interrupt_path(f"/run/m{suffix}")
    assert aside == f"/run/m.interrupt{suffix}"
    assert template.matches(aside)


@pytest.mark.parametrize(
    ("one", "other", "epochs", "same"),
    [
        ("m", "m", 1, True),
        ("m", "n", 1, False),
        ("{epoch}", "{epoch:1d}", 9, True),
        ("{epoch}", "{epoch:02d}", 9, False),
        ("{epoch}", "{epoch:02d}", 10, True),
        ("{epoch}", "{step}", 1, False),
        ("{epoch}-{loss:.2f}", "{epoch}-{loss:0.2f}", 3, True),
        ("{epoch}-{loss:.2f}", "{epoch}-{loss:.3f}", 3, False),
        ("{epoch}-{loss:.2f}", "{epoch}-{val_loss:.2f}", 3, False),
        ("{name:s}", "{name:s}", 1, True),
        ("{name:s}", "{name:9s}", 1, False),
    ],
)
def test_templates_that_give_one_name_to_two_saves_are_told(one, other, epochs, same):
    first, second = (FileTemplate.parse(f"/run/{text}.keras") for text in (one, other))
    assert first.fills_like(second, epochs) is same
    assert second.fills_like(first, epochs) is same


@pytest.mark.parametrize(
    ("text", "weights_only", "words"),
    [
        ("m.keras", False, None),
        ("m.h5", False, None),
        ("m.weights.h5", True, None),
        ("m.keras", True, r"`save_weights_only=True`.*end in `\.weights\.h5`"),
        ("m.h5", True, r"`save_weights_only=True`.*end in `\.weights\.h5`"),
        ("m.weights.h5", False, r"set `save_weights_only=True`"),
        ("m", False, r"must end in `\.keras`"),
        ("m.hdf5", False, r"must end in `\.keras`"),
        ("m.KERAS", False, r"must end in `\.keras`"),
        ("m\x1b[2J", False, r"filepath=.*m\\x1b\[2J$"),
    ],
)
def test_a_suffix_that_does_not_fit_says_what_to_do(text, weights_only, words):
    template = FileTemplate.parse(text)
    if words is None:
        check_suffix(template, weights_only)
        return
    with pytest.raises(ValueError, match=words):
        check_suffix(template, weights_only)
