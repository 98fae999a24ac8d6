"""The record inside each file: today's files have to be read by every later version."""

import dataclasses
import json
import math
import shutil
import zipfile
from datetime import datetime, timezone

import h5py
import keras
import numpy as np
import pytest

from kerascheckpoint import (
    CheckpointCorruptError,
    CheckpointInfo,
    CheckpointSchemaError,
    CheckpointWarning,
    ModelCheckpoint,
    list_checkpoints,
    restore_checkpoint,
    verify_checkpoint,
)
from kerascheckpoint.formats import record
from support import small_files, training
from support.small_files import read_record

FIELDS = {
    "epoch": 3,
    "batch": 0,
    "step": 30,
    "metrics": {"loss": 0.1, "val_loss": math.nan},
    "reason": "epoch",
    "saved_at": "2030-01-02T03:04:05+00:00",
    "value": math.inf,
    "history": {"loss": [math.nan, -math.inf, 0.1]},
}

SAVED_AT = {  # by schema and suffix
    (1, ".keras"): datetime(2026, 11, 23, 1, 25, 9, 609439, timezone.utc),
    (1, ".weights.h5"): datetime(2026, 11, 23, 1, 25, 9, 697075, timezone.utc),
    (2, ".keras"): datetime(2026, 11, 26, 10, 59, 17, 589791, timezone.utc),
    (2, ".weights.h5"): datetime(2026, 11, 26, 10, 59, 17, 816594, timezone.utc),
}


def encoded(fields):
    return json.loads(record.encode(fields))


def test_what_json_lacks_comes_back_as_the_number_it_was():
    fields = record.decode(encoded(FIELDS))
    assert math.isnan(fields["metrics"]["val_loss"])
    assert fields["value"] == math.inf
    assert math.isnan(fields["history"]["loss"][0])
    assert fields["history"]["loss"][1:] == [-math.inf, 0.1]


@pytest.mark.parametrize(
    ("name", "value"), [("mode", "sideways"), ("reason", "whim"), ("batch", 10**29), ("step", -1)]
)
def test_a_field_that_nobody_writes_so_is_refused(name, value):
    with pytest.raises(CheckpointCorruptError, match=f"no usable '{name}'"):
        record.decode(encoded(FIELDS | {name: value}))


def test_a_field_missing_for_a_resume_is_named():
    whole = read_record(str(training.golden(".keras")))
    assert record.missing_to_continue(whole) is None
    for name in ("epochs", "history", "runs", "template", "compiled", "states"):
        assert record.missing_to_continue(whole | {name: None}) == name
    assert record.missing_to_continue(whole | {"states": {}}) == "states.random"
    assert record.missing_to_continue(whole | {"runs": [1]}) == "runs"
    assert record.missing_to_continue(whole | {"epochs": ["a"]}) == "epochs"


def test_the_text_is_json_that_any_reader_takes():
    def refuse(constant):
        raise AssertionError(constant)

    json.loads(record.encode(FIELDS), parse_constant=refuse)


@pytest.mark.parametrize("metadata", [{}, {"keras_version": "3.0.0"}], ids=repr)
def test_metadata_with_a_record_in_it_is_json_whatever_else_it_holds(metadata):
    text = record.encode(FIELDS)
    found = json.loads(record.embed(metadata, text))
    assert found == metadata | {record.KEY: json.loads(text)}


def test_fields_of_a_later_version_are_kept_as_they_are():
    strange = {"list": [1, {"deep": None}], "text": "größe"}
    assert record.decode(encoded(FIELDS | {"strange": strange}))["strange"] == strange


def test_a_newer_schema_is_refused_with_what_to_do():
    newer = encoded(FIELDS) | {"schema": record.SCHEMA + 1}
    with pytest.raises(CheckpointSchemaError, match=r"newer than 2.*install a newer"):
        record.decode(newer)


@pytest.mark.parametrize(
    "change",
    [
        {"epoch": 4},
        {"metrics": {"loss": 0.1}},
        {"extra": True},
        {"crc32": "00000000"},
        {"crc32": None},
    ],
    ids=repr,
)
def test_a_changed_record_is_found_by_its_checksum(change):
    with pytest.raises(CheckpointCorruptError, match="checksum differs"):
        record.decode(encoded(FIELDS) | change)


@pytest.mark.parametrize("broken", [None, [], "text", 3, {}, {"schema": "1"}, {"schema": None}])
def test_values_that_are_not_records_are_refused(broken):
    with pytest.raises(CheckpointCorruptError, match="not one of kerascheckpoint"):
        record.decode(broken)


@pytest.mark.parametrize("name", ["epoch", "batch", "step", "metrics", "reason", "saved_at"])
@pytest.mark.parametrize("value", [None, [1]])
def test_a_record_without_a_needed_field_names_it(name, value):
    with pytest.raises(CheckpointCorruptError, match=f"no usable '{name}'"):
        record.decode(encoded(FIELDS | {name: value}))


@pytest.mark.parametrize(("schema", "suffix"), SAVED_AT)
def test_golden_file_says_exactly_what_it_said_when_it_was_written(schema, suffix):
    path = training.golden(suffix, schema)
    expected = CheckpointInfo(
        path=str(path),
        epoch=2,
        batch=0,
        step=6,
        metrics={"loss": 0.5, "val_loss": 0.25},
        monitor="val_loss",
        mode="min",
        value=0.25,
        best=True,
        reason="epoch",
        saved_at=SAVED_AT[schema, suffix],
        size=path.stat().st_size,
        weights_only=suffix == ".weights.h5",
        keras_version="3.15.1",
        backend="jax",
        schema=schema,
    )
    assert verify_checkpoint(path) == expected
    assert list_checkpoints(path) == [expected]
    fields = read_record(str(path))
    assert fields["epochs"] == [0, 1]
    assert fields["best_value"] == 0.25
    assert fields["history"]["loss"] == [0.75, 0.5]
    assert math.isnan(fields["history"]["val_loss"][0])
    assert fields["history"]["val_loss"][1] == 0.25


def test_a_file_of_schema_1_has_its_states_where_those_of_today_are():
    old, new = (read_record(str(training.golden(".keras", schema))) for schema in (1, 2))
    assert record.missing_to_continue(old) is None
    assert old["states"]["random"].keys() >= {"version", "python", "numpy", "keras", "layers"}
    assert new["states"].keys() >= old["states"].keys()


@pytest.mark.parametrize("schema", [1, 2])
def test_training_resumes_from_a_golden_file(tmp_path, schema):
    path = tmp_path / "schema.keras"
    shutil.copy(training.golden(".keras", schema), path)
    model = golden_model()
    checkpoint = ModelCheckpoint(path, resume=True)
    x, y = np.ones((6, 2)), np.ones((6, 1))
    history = model.fit(x, y, batch_size=2, epochs=3, verbose=0, callbacks=[checkpoint])
    assert history.epoch == [0, 1, 2]
    assert history.history["loss"][:2] == [0.75, 0.5]


KERNEL, BIAS = [[1.0], [2.0]], [0.5]


def golden_model():
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1, name="dense")], name="tiny")
    model.compile(optimizer=keras.optimizers.SGD(0.0), loss="mse")
    return model


def test_golden_model_loads_in_stock_keras():
    model = keras.saving.load_model(training.golden(".keras"))
    kernel, bias = model.get_weights()
    assert (kernel.tolist(), bias.tolist()) == (KERNEL, BIAS)
    assert training.steps_of(model) == 6
    assert model.predict(np.ones((1, 2)), verbose=0) == 3.5


def test_golden_weights_load_in_stock_keras():
    model = golden_model()
    model.load_weights(training.golden(".weights.h5"))
    kernel, bias = model.get_weights()
    assert (kernel.tolist(), bias.tolist()) == (KERNEL, BIAS)


@pytest.mark.parametrize("suffix", small_files.SUFFIXES)
def test_golden_file_restores_whatever_the_backend(suffix):
    model = golden_model()
    assert restore_checkpoint(model, training.golden(suffix)).epoch == 2
    kernel, bias = model.get_weights()
    assert (kernel.tolist(), bias.tolist()) == (KERNEL, BIAS)
    assert training.steps_of(model) == 6


def rewritten(source, path, change):
    """Copy a checkpoint, with its record changed."""
    if path.suffix == ".h5":
        shutil.copy(source, path)
        with h5py.File(path, "r+") as file:
            found = json.loads(file.attrs[record.KEY])
            file.attrs[record.KEY] = json.dumps(change(found))
        return path
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(path, "w") as new:
        for member in old.infolist():
            content = old.read(member)
            if member.filename == "metadata.json":
                metadata = json.loads(content)
                metadata[record.KEY] = change(metadata[record.KEY])
                content = json.dumps(metadata).encode()
            new.writestr(member.filename, content)
    return path


@pytest.mark.parametrize("suffix", small_files.SUFFIXES)
def test_a_file_of_a_newer_schema_is_refused_in_words_and_left_out_of_lists(tmp_path, suffix):
    path = rewritten(
        training.golden(suffix), tmp_path / f"new{suffix}", lambda found: found | {"schema": 3}
    )
    with pytest.raises(CheckpointSchemaError, match=r"new.*schema 3, newer than 2.*install"):
        verify_checkpoint(path)
    with pytest.warns(CheckpointWarning, match=r"new.*schema 3"):
        assert list_checkpoints(tmp_path) == []


@pytest.mark.parametrize("suffix", small_files.SUFFIXES)
def test_a_file_with_fields_of_a_later_version_is_read_and_they_are_kept(tmp_path, suffix):
    def change(found):
        return encoded(found | {"later": [1, {"a": None}]})

    path = rewritten(training.golden(suffix), tmp_path / f"new{suffix}", change)
    info = list_checkpoints(path)[0]
    golden = list_checkpoints(training.golden(suffix))[0]
    same = {"path": "", "size": 0, "schema": record.SCHEMA}
    assert dataclasses.replace(info, **same) == dataclasses.replace(golden, **same)
    assert read_record(str(path))["later"] == [1, {"a": None}]
