"""Checkpoints in Orbax' form: everything that files do, and nothing damaged goes unnoticed."""

import errno
import os
import pathlib
import resource
import shutil
import signal
import sys

import keras
import numpy as np
import pytest

import kerascheckpoint as kc
from kerascheckpoint.formats.forms import open_checkpoint
from support import training

pytest.importorskip("orbax.checkpoint")
pytestmark = pytest.mark.filterwarnings("ignore:Sharding info not provided")


def saved(directory, **settings):
    """Train for two epochs with a save each; return the model."""
    model = training.noisy_model()
    callback = kc.ModelCheckpoint(directory / "{epoch}.orbax", "loss", **settings)
    training.train(model, callback, epochs=2)
    return model


@pytest.mark.parametrize("background", [False, True], ids=["foreground", "background"])
def test_a_saved_model_is_restored_bit_for_bit_by_structure(background, tmp_path):
    """A model built anew has other automatic names, by which Keras' own loading finds nothing."""
    model = saved(tmp_path, save_on_background=background)
    assert training.names_in(tmp_path) == ["1.orbax", "2.orbax"]
    info = kc.verify_checkpoint(tmp_path / "2.orbax")
    assert (info.epoch, info.step, info.weights_only) == (2, 2 * training.STEPS, False)
    again = training.noisy_model()
    assert [v.path for v in again.variables] != [v.path for v in model.variables]
    kc.restore_checkpoint(again, tmp_path / "2.orbax")
    training.assert_same(training.arrays_of(again), training.arrays_of(model))


def test_paths_may_hold_characters_that_urls_and_patterns_use(tmp_path):
    directory = tmp_path / "lr[0.1]* #1? %41"
    model = saved(directory, save_weights_only=True)
    kc.verify_checkpoint(directory / "2.orbax")
    again = training.noisy_model()
    kc.restore_checkpoint(again, directory / "2.orbax")
    training.assert_same(training.arrays_of(again), training.arrays_of(model))


def test_a_resumed_run_equals_one_that_never_stopped(tmp_path):
    """From an epoch's end, dropout included."""
    whole = training.noisy_model()
    expected = training.train(whole, epochs=3).history
    saved(tmp_path)
    again = training.noisy_model()
    callback = kc.ModelCheckpoint(tmp_path / "{epoch}.orbax", "loss", resume=True)
    found = training.train(again, callback, epochs=3).history
    assert found == expected
    training.assert_same(training.arrays_of(again), training.arrays_of(whole))


def test_keras_itself_reads_it_as_it_reads_its_own_orbax_checkpoint(tmp_path):
    """Functional models load completely; Keras finds variables by name."""
    inputs = keras.Input((3,), name="x")
    hidden = keras.layers.Dense(4, name="hidden")(inputs)
    model = keras.Model(inputs, keras.layers.Dense(1, name="out")(hidden))
    model.compile("adam", "mse")
    training.train(model, kc.ModelCheckpoint(tmp_path / "m.orbax", "loss"))
    loaded = keras.saving.load_model(tmp_path / "m.orbax")
    training.assert_same(training.arrays_of(loaded), training.arrays_of(model))
    for variable in loaded.trainable_variables:
        variable.assign(keras.ops.zeros(variable.shape, variable.dtype))
    loaded.load_weights(tmp_path / "m.orbax")
    training.assert_same(training.arrays_of(loaded), training.arrays_of(model))


def test_weights_only_holds_no_model(tmp_path):
    """`save_weights_only` decides; the name fits either."""
    model = saved(tmp_path, save_weights_only=True)
    info = kc.verify_checkpoint(tmp_path / "2.orbax")
    assert info.weights_only
    assert kc.list_checkpoints(tmp_path)[-1] == info
    again = training.noisy_model()
    kc.restore_checkpoint(again, tmp_path / "2.orbax")
    training.assert_same(training.arrays_of(again), training.arrays_of(model))


def test_best_and_newest_are_kept_and_whole_directories_deleted(tmp_path):
    """Names, ranking and retention are those of files."""
    script = training.Script(score=[3.0, 1.0, 2.0, 2.5])
    callback = kc.ModelCheckpoint(
        tmp_path / "{epoch}-{score:.1f}.orbax", "score", mode="min", keep_last=1, keep_best=1
    )
    training.train(training.tiny_model(), script, callback, epochs=4)
    assert training.names_in(tmp_path) == ["2-1.0.orbax", "4-2.5.orbax"]
    assert kc.best_checkpoint(tmp_path).path == callback.best_filepath
    assert callback.best_filepath == str(tmp_path / "2-1.0.orbax")
    assert kc.latest_checkpoint(tmp_path).epoch == 4


def test_a_better_model_takes_the_place_of_the_last(tmp_path):
    """One name for all: the directory is exchanged as a whole, and holds one step."""
    script = training.Script(score=[3.0, 1.0, 2.0])
    callback = kc.ModelCheckpoint(tmp_path / "m.orbax", "score", mode="min", save_best_only=True)
    training.train(training.tiny_model(), script, callback, epochs=3)
    assert training.names_in(tmp_path) == ["m.orbax"]
    assert training.names_in(tmp_path / "m.orbax") == [str(2 * training.STEPS)]
    assert kc.verify_checkpoint(tmp_path / "m.orbax").epoch == 2


def test_what_is_no_checkpoint_is_never_replaced(tmp_path):
    """A directory of other things, a file: refused when the callback is made and at a save."""
    path = tmp_path / "1.orbax"
    path.mkdir()
    (path / "notes").write_text("precious")
    with pytest.raises(IsADirectoryError, match="'notes'"):
        kc.ModelCheckpoint(path)
    with pytest.raises(kc.CheckpointWriteError, match="'notes'"):
        saved(tmp_path)
    assert (path / "notes").read_text() == "precious"
    (tmp_path / "file.orbax").write_text("")
    with pytest.raises(NotADirectoryError, match=r"file\.orbax"):
        kc.ModelCheckpoint(tmp_path / "file.orbax")


def test_every_flipped_bit_is_found_or_harms_no_array(tmp_path):
    """One bit in each of many places of each file, one after the other."""
    saved(tmp_path)
    original = tmp_path / "2.orbax"
    with open_checkpoint(original) as checkpoint:
        expected = {name: checkpoint.read(a) for name, a in checkpoint.arrays().items()}
    found = 0
    files = sorted(p.relative_to(original) for p in original.rglob("*") if p.is_file())
    for index, file in enumerate(files):
        size = (original / file).stat().st_size
        for offset in sorted({0, size // 3, size // 2, size - 1}) if size else ():
            copy = tmp_path / f"copy-{index}-{offset}.orbax"
            shutil.copytree(original, copy)
            content = bytearray((copy / file).read_bytes())
            content[offset] ^= 4
            (copy / file).write_bytes(content)
            try:
                kc.verify_checkpoint(copy)
            except kc.CheckpointError as error:
                assert str(copy) in str(error)
                found += 1
                continue
            with open_checkpoint(copy) as checkpoint:
                for name, array in expected.items():
                    again = checkpoint.read(checkpoint.arrays()[name])
                    assert again.tobytes() == array.tobytes(), (file, offset, name)
    assert found > len(files)


def test_missing_files_are_found(tmp_path):
    """Without any one of its files that holds an array's bytes it is damaged, and stepped over."""
    saved(tmp_path)
    whole, names = tmp_path / "2.orbax", []
    for file in sorted(p.relative_to(whole) for p in whole.rglob("*") if p.is_file()):
        copy = tmp_path / "copy.orbax"
        shutil.copytree(whole, copy)
        (copy / file).unlink()
        try:
            kc.verify_checkpoint(copy)
        except kc.CheckpointCorruptError:
            names.append(str(file))
        shutil.rmtree(copy)
    assert any("/d/" in name for name in names)
    assert any(name.endswith("manifest.ocdbt") for name in names)
    for file in whole.rglob("manifest.ocdbt"):
        file.unlink()
    with pytest.warns(kc.CheckpointWarning, match=r"2\.orbax"):
        assert kc.latest_checkpoint(tmp_path).epoch == 1


KILL = """
import os, signal, sys
import kerascheckpoint as kc
from kerascheckpoint.formats.orbax import publish
from support import training
def dies(staged, target):
    if target.endswith("2.orbax"):
        os.kill(os.getpid(), signal.SIGKILL)
    return move(staged, target)
move, publish._move = publish._move, dies
training.train(training.tiny_model(), kc.ModelCheckpoint(sys.argv[1], "loss"), epochs=3)
"""


def test_a_killed_save_is_no_checkpoint_and_its_leftovers_are_removed(tmp_path):
    """Even when all is written and only the name is missing."""
    template = tmp_path / "run" / "{epoch}.orbax"
    search = os.pathsep.join([*filter(None, sys.path), os.environ.get("PYTHONPATH", "")])
    ended = training.in_python(KILL, str(template), env=os.environ | {"PYTHONPATH": search})
    assert ended.returncode == -signal.SIGKILL, ended.stderr
    left = training.names_in(tmp_path / "run")
    assert len(left) == 3
    assert [pathlib.Path(i.path).name for i in kc.list_checkpoints(tmp_path / "run")] == ["1.orbax"]
    callback = kc.ModelCheckpoint(template, "loss", resume=True)
    training.train(training.tiny_model(), callback, epochs=2)
    assert training.names_in(tmp_path / "run") == ["1.orbax", "2.orbax"]


@pytest.mark.parametrize("background", [False, True], ids=["foreground", "background"])
def test_what_a_disk_refuses_is_named_and_the_last_checkpoint_stays(background, tmp_path):
    """TensorStore's own errors name neither the checkpoint nor, in a few words, the reason."""
    model, path = saved(tmp_path), tmp_path / "2.orbax"
    files = training.names_in(tmp_path)
    again = kc.ModelCheckpoint(path, "loss", save_on_background=background)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (256, limits[1]))  # bytes
    try:
        with pytest.raises(kc.CheckpointWriteError) as caught:
            training.train(model, again)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert str(caught.value).endswith(f"checkpoint {str(path)!r}: {os.strerror(errno.EFBIG)}")
    assert caught.value.errno == errno.EFBIG
    assert training.names_in(tmp_path) == files
    assert kc.verify_checkpoint(path).epoch == 2


def test_a_directory_of_keras_own_is_listed_and_never_resumed_from(tmp_path):
    """It has no record: nothing is known of it but its time."""
    model = training.tiny_model()
    own = keras.callbacks.OrbaxCheckpoint(
        str(tmp_path / "keras.orbax"), monitor="loss", save_on_background=False
    )
    training.train(model, own)
    (info,) = kc.list_checkpoints(tmp_path)
    assert (info.epoch, info.schema, info.weights_only) == (None, None, False)


def test_arrays_are_those_of_a_weights_file(tmp_path):
    """With equal names, so that both forms of one state compare equal."""
    model = training.noisy_model()
    both = [kc.ModelCheckpoint(tmp_path / f"m{end}", "loss") for end in (".orbax", ".keras")]
    training.train(model, *both)
    with (
        open_checkpoint(tmp_path / "m.orbax") as one,
        open_checkpoint(tmp_path / "m.keras") as other,
    ):
        assert one.arrays().keys() == other.arrays().keys()
        for name, array in one.arrays().items():
            np.testing.assert_array_equal(one.read(array), other.read(other.arrays()[name]))


def test_directories_are_drawn_and_compared_as_files_are(tmp_path):
    """And averaged, several of them into one file for one host."""
    pytest.importorskip("matplotlib")
    saved(tmp_path)
    axes = kc.plot_checkpoints(tmp_path, "loss")
    assert [1.0, 2.0] in [list(line.get_xdata()) for line in axes.get_lines()]
    paths = [tmp_path / "1.orbax", tmp_path / "2.orbax"]
    assert not all(each.equal for each in kc.compare_checkpoints(*paths))
    with pytest.warns(kc.CheckpointWarning, match="optimizer's state is left out"):
        kc.average_checkpoints(paths, tmp_path / "mean.keras")
    mean = kc.verify_checkpoint(tmp_path / "mean.keras")
    with open_checkpoint(mean.path) as averaged, open_checkpoint(paths[0]) as source:
        assert averaged.arrays().keys() < source.arrays().keys()


def test_an_average_of_one_is_a_file_for_one_host(tmp_path):
    """With the very same weights and optimizer's state."""
    model = saved(tmp_path)
    info = kc.average_checkpoints([tmp_path / "2.orbax"], tmp_path / "one.keras")
    assert (info.epoch, info.weights_only) == (2, False)
    loaded = keras.saving.load_model(tmp_path / "one.keras")
    own = [*model.weights, *model.optimizer.variables]
    for one, other in zip([*loaded.weights, *loaded.optimizer.variables], own, strict=True):
        np.testing.assert_array_equal(*map(keras.ops.convert_to_numpy, (one, other)))
    with pytest.raises(ValueError, match="same suffix"):
        kc.average_checkpoints([tmp_path / "one.keras"], tmp_path / "two.orbax")


MISSING = """
import sys
class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("orbax", "tensorstore"):
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Missing())
import kerascheckpoint as kc
print(len(kc.list_checkpoints(sys.argv[1])))
for act in (kc.ModelCheckpoint, kc.verify_checkpoint):
    try:
        act(sys.argv[2])
    except ImportError as error:
        print(error)
"""


def test_a_missing_package_is_named_before_any_training(tmp_path):
    """With the extra that brings it; a list needs none."""
    saved(tmp_path)
    ended = training.in_python(MISSING, str(tmp_path), str(tmp_path / "2.orbax"))
    number, *texts = ended.stdout.splitlines()
    assert (number, len(texts)) == ("2", 2), ended.stderr
    assert all("pip install kerascheckpoint[orbax]" in text for text in texts)


def test_a_url_is_refused_when_the_callback_is_made():
    """Processes write into one directory of a file system."""
    with pytest.raises(ValueError, match=r"Received: filepath='memory://run/{epoch}.orbax'"):
        kc.ModelCheckpoint("memory://run/{epoch}.orbax")
