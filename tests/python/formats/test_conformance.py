"""What every form of a checkpoint does: one suite for all of them."""

import dataclasses
import json
import os
import pathlib
import shutil

import keras
import numpy as np
import pytest

import kerascheckpoint as kc
from kerascheckpoint.formats.forms import form_of, open_checkpoint
from kerascheckpoint.storage.places import storage_for
from support import training

pytestmark = pytest.mark.filterwarnings("ignore:Sharding info not provided")

SETTINGS = {
    ".keras": {},
    ".weights.h5": {"save_weights_only": True},
    ".h5": {},
    ".orbax": {},
}


@keras.saving.register_keras_serializable("tests")
class Words(keras.layers.Layer):
    """A layer with an asset."""

    words = "a b c"

    def call(self, inputs):
        """Change nothing."""
        return inputs

    def save_assets(self, dir_path):
        """Write the words."""
        pathlib.Path(dir_path, "words.txt").write_text(self.words)

    def load_assets(self, dir_path):
        """Read the words."""
        self.words = pathlib.Path(dir_path, "words.txt").read_text()


def new_model():
    """Return a model with two kinds of variables and, but for the legacy form, an asset."""
    layers = keras.layers
    inputs = keras.Input((3,), name="x")  # names: Keras finds what Orbax stored by them
    hidden = layers.BatchNormalization(name="norm")(layers.Dense(40, name="hidden")(inputs))
    outputs = layers.Dense(1, name="out")(Words(name="words")(hidden))
    model = keras.Model(inputs, outputs)
    model.compile("adam", "mse")
    return model


@dataclasses.dataclass
class Saved:
    """Two checkpoints of one form, and the model that they were saved of."""

    suffix: str
    directory: pathlib.Path
    model: object

    @property
    def newest(self):
        """The path of the newer one."""
        return self.directory / f"2{self.suffix}"

    def copy(self, directory):
        """Return copies of both, to be damaged."""
        shutil.copytree(self.directory, directory, dirs_exist_ok=True)
        return dataclasses.replace(self, directory=directory)

    def open(self):
        """Open the newer one."""
        return open_checkpoint(self.newest)

    @property
    def has_record(self):
        """Whether the form carries one."""
        return form_of(str(self.newest)).carries_record


@pytest.fixture(scope="module", params=SETTINGS)
def saved(request, tmp_path_factory):
    """Checkpoints of each form after two epochs."""
    if request.param == ".orbax":
        pytest.importorskip("orbax.checkpoint")
    directory = tmp_path_factory.mktemp("form")
    path = directory / f"{{epoch}}{request.param}"
    model = new_model()
    saving = kc.ModelCheckpoint(path, "loss", mode="max", **SETTINGS[request.param])
    training.train(model, training.Script(loss=[2.0, 1.0]), saving, epochs=2)
    return Saved(request.param, directory, model)


def stored_files(path):
    """Return the files of a checkpoint, the largest first."""
    files = [path] if path.is_file() else [p for p in path.rglob("*") if p.is_file()]
    return sorted(files, key=lambda p: -p.stat().st_size)


def file_of_arrays(path):
    """Return the file that holds the most bytes of arrays."""
    return path if path.is_file() else stored_files(next(path.glob("*/pytree")))[0]


def damage(saved):
    """Flip a bit of a stored array; if its bytes are packed, one amid the file of arrays."""
    kernel = keras.ops.convert_to_numpy(saved.model.get_layer("hidden").kernel).tobytes()
    path = file_of_arrays(saved.newest)
    content = bytearray(path.read_bytes())
    start = content.find(kernel)
    content[len(content) // 2 if start < 0 else start + len(kernel) // 2] ^= 16
    path.write_bytes(content)


def test_it_says_what_it_is(saved):
    """The record survives as it was given; a form without one says what the file system knows."""
    with saved.open() as checkpoint:
        info = checkpoint.info
        assert (checkpoint.record is not None) == saved.has_record
    assert info.path == str(saved.newest)
    assert info.weights_only == (saved.suffix == ".weights.h5")
    assert info.size == sum(path.stat().st_size for path in stored_files(saved.newest))
    if saved.has_record:
        assert (info.epoch, info.step, info.metrics) == (2, 2 * training.STEPS, {"loss": 1.0})
        assert (info.monitor, info.mode, info.value, info.best) == ("loss", "max", 1.0, False)


def test_arrays_are_the_models_and_are_read_whole_in_pieces_and_in_parts(saved):
    """Each by the name that `.weights.h5` files give it."""
    if not saved.has_record:
        pytest.skip("a legacy file has no arrays by name")
    with saved.open() as checkpoint:
        arrays = checkpoint.arrays()
        read = {name: checkpoint.read(array) for name, array in arrays.items()}
        for name, array in arrays.items():
            pieces = [piece.copy() for piece in checkpoint.pieces(array)]
            assert b"".join(piece.tobytes() for piece in pieces) == read[name].tobytes()
            middle = tuple(slice(length // 2, length) for length in array.shape)
            np.testing.assert_array_equal(
                checkpoint.part_reader(array)(middle), read[name][middle], strict=True
            )
    for index, variable in enumerate(saved.model.optimizer.variables):
        stored = read[f"optimizer/vars/{index}"]
        np.testing.assert_array_equal(stored, keras.ops.convert_to_numpy(variable))
    kernel = keras.ops.convert_to_numpy(saved.model.get_layer("hidden").kernel)
    assert any(each.shape == (3, 40) and (each == kernel).all() for each in read.values())


def test_it_is_listed_verified_and_found(saved):
    """By directory and by template; best and newest."""
    assert training.files(saved.directory) == [f"{n}{saved.suffix}" for n in (1, 2)]
    assert len(kc.list_checkpoints(saved.directory / f"{{epoch}}{saved.suffix}")) == 2
    if saved.has_record:
        assert kc.verify_checkpoint(saved.newest).epoch == 2
        assert kc.latest_checkpoint(saved.directory).path == str(saved.newest)
        assert kc.best_checkpoint(saved.directory).epoch == 1
    else:
        with pytest.warns(kc.CheckpointWarning, match="no checksums"):
            kc.verify_checkpoint(saved.newest)


def test_assets_and_config_are_kept(saved, tmp_path):
    """By forms that hold whole models, and only by them."""
    with saved.open() as checkpoint:
        if saved.suffix in (".keras", ".orbax"):
            (name,) = checkpoint.assets()
            checkpoint.extract_assets(str(tmp_path))
            assert (tmp_path / name).read_text() == "a b c"
            assert json.loads(checkpoint.config())["class_name"] == "Functional"
        else:
            assert checkpoint.assets() == []


def test_keras_itself_loads_it(saved, tmp_path):
    """Whole models; weights into a model of the same names."""
    expected = [keras.ops.convert_to_numpy(v) for v in saved.model.trainable_variables]
    if saved.suffix == ".weights.h5":
        loaded = new_model()
        loaded.optimizer.build(loaded.trainable_variables)
        loaded.load_weights(saved.newest)
    else:
        is_compiled = saved.suffix != ".h5"  # Keras cannot read its own "mse" back from there
        loaded = keras.saving.load_model(saved.newest, compile=is_compiled)
    for variable, array in zip(loaded.trainable_variables, expected, strict=True):
        np.testing.assert_array_equal(keras.ops.convert_to_numpy(variable), array)


def test_a_new_model_restores_all_of_it(saved):
    """By structure, whatever the names of its variables."""
    model = new_model()
    if not saved.has_record:
        with pytest.raises(kc.CheckpointMismatchError, match="load_model"):
            kc.restore_checkpoint(model, saved.newest)
        return
    info = kc.restore_checkpoint(model, saved.newest)
    assert info.epoch == 2
    training.assert_same(training.arrays_of(model), training.arrays_of(saved.model))


def test_a_changed_byte_is_found_and_the_file_passed_over(saved, tmp_path):
    """Among the bytes of arrays."""
    if not saved.has_record:
        pytest.skip("a legacy file has no checksums")
    copy = saved.copy(tmp_path)
    damage(copy)
    with pytest.raises(kc.CheckpointCorruptError, match=f"2{saved.suffix}"):
        kc.verify_checkpoint(copy.newest)
    with pytest.warns(kc.CheckpointWarning, match="passed over"):
        assert kc.latest_checkpoint(copy.directory).path.endswith(f"1{saved.suffix}")


def test_what_is_cut_short_is_damaged_and_what_is_missing_is_not_found(saved, tmp_path):
    """Its arrays' file, cut to half; nothing at all."""
    copy = saved.copy(tmp_path)
    largest = file_of_arrays(copy.newest)
    os.truncate(largest, largest.stat().st_size // 2)
    with pytest.raises(kc.CheckpointCorruptError, match=f"2{saved.suffix}"):
        kc.verify_checkpoint(copy.newest)
    storage_for(str(copy.newest)).delete(str(copy.newest))
    assert training.files(copy.directory) == [f"1{saved.suffix}"]
    assert training.names_in(copy.directory) == [f"1{saved.suffix}"]
    with pytest.raises(kc.CheckpointNotFoundError):
        open_checkpoint(copy.newest)


def test_something_else_with_that_suffix_is_not_a_checkpoint(saved, tmp_path):
    """A text where a file should be, an empty directory where one should be."""
    path = tmp_path / f"x{saved.suffix}"
    if saved.newest.is_dir():
        path.mkdir()
    else:
        path.write_text("no checkpoint")
    with pytest.raises(kc.CheckpointCorruptError, match=f"x{saved.suffix}"):
        open_checkpoint(path)
