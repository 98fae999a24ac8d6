"""Averages and comparisons of checkpoints: the numbers that come out, and that Keras loads them."""

import math

import keras
import ml_dtypes
import numpy as np
import pytest

from kerascheckpoint import CheckpointMismatchError, CheckpointWarning, verify_checkpoint
from kerascheckpoint.average import average_checkpoints
from kerascheckpoint.compare import compare_checkpoints
from support import small_files, training
from support.small_files import read_record

SUFFIXES = pytest.mark.parametrize("suffix", small_files.SUFFIXES)


def of(value):
    """Return the arrays of a small model that are all made of `value`."""
    return {
        "layers/dense/vars/0": np.full((2, 3), value, "float32"),
        "layers/dense/vars/1": np.full(3, value, ml_dtypes.bfloat16),
        "layers/seed/vars/0": np.array([value, 7], "uint32"),
        "layers/spectrum/vars/0": np.full(2, value * 1j, "complex64"),
        "layers/empty/vars/0": np.zeros((0, 4), "float32"),
    }


@SUFFIXES
def test_floats_are_averaged_and_whole_numbers_come_from_the_newest(suffix, tmp_path):
    paths = []
    for value in (1, 2, 6):
        paths.append(tmp_path / f"{value}{suffix}")
        fields = {"epoch": value, "step": value, "saved_at": f"2026-01-0{value}T00:00:00+00:00"}
        small_files.write(paths[-1], of(value), fields=fields)
    info = average_checkpoints(reversed(paths), tmp_path / f"mean{suffix}")
    assert (info.epoch, info.metrics, info.monitor, info.best) == (6, {}, None, None)
    assert verify_checkpoint(info.path) == info
    found = small_files.read(info.path)
    assert found["layers/dense/vars/0"].tolist() == [[3.0] * 3] * 2
    assert found["layers/dense/vars/1"].view(ml_dtypes.bfloat16).tolist() == [3.0] * 3
    assert found["layers/seed/vars/0"].tolist() == [6, 7]
    assert found["layers/spectrum/vars/0"].tolist() == [3j, 3j]
    sources = read_record(info.path)["sources"]
    assert [source["name"] for source in sources] == [path.name for path in reversed(paths)]


@SUFFIXES
def test_keras_itself_loads_the_mean_of_real_models(suffix, tmp_path):
    paths, weights = [], []
    for seed in (1, 2):
        keras.utils.set_random_seed(seed)
        model = training.tiny_model(optimizer="adam")
        training.train(model)
        paths.append(tmp_path / f"{seed}{suffix}")
        (model.save_weights if suffix == ".weights.h5" else model.save)(paths[-1])
        weights.append(model.get_weights())
    with pytest.warns(CheckpointWarning, match="optimizer's state is left out"):
        average_checkpoints(paths, tmp_path / f"mean{suffix}")
    if suffix == ".keras":
        with pytest.warns(UserWarning, match="Skipping variable loading for optimizer"):
            mean = keras.saving.load_model(tmp_path / "mean.keras")
        assert mean.compiled and not int(mean.optimizer.iterations.numpy())
    else:
        mean = training.tiny_model(compiled=False)
        mean.load_weights(tmp_path / "mean.weights.h5")
    for found, one, two in zip(mean.get_weights(), *weights, strict=True):
        np.testing.assert_allclose(found, (one.astype("float64") + two) / 2, rtol=1e-6)


def test_models_that_differ_are_an_error_that_names_the_first_difference(tmp_path):
    small_files.write(tmp_path / "a.keras", of(1))
    small_files.write(tmp_path / "b.keras", of(1) | {"layers/dense/vars/0": np.zeros((3, 2))})
    with pytest.raises(CheckpointMismatchError, match=r"'layers/dense/vars/0' is .*\(3, 2\)"):
        average_checkpoints([tmp_path / "a.keras", tmp_path / "b.keras"], tmp_path / "mean.keras")
    assert not (tmp_path / "mean.keras").exists()


@pytest.mark.parametrize(
    ("paths", "output", "words"),
    [
        ([], "mean.keras", "at least one"),
        (["a.keras"], "mean.weights.h5", "must have the same suffix"),
        (["a.h5"], "mean.h5", "output must end in"),
    ],
)
def test_wrong_use_is_refused_before_a_file_is_read(tmp_path, paths, output, words):
    with pytest.raises(ValueError, match=words):
        average_checkpoints([tmp_path / path for path in paths], tmp_path / output)


def test_a_comparison_says_by_how_much_each_array_differs(tmp_path):
    first, second = of(1), of(1)
    first["layers/dense/vars/0"][0, 0] = math.nan
    second["layers/dense/vars/0"][1] += [0.0, 0.5, 2.0]
    second["layers/new/vars/0"] = np.zeros(2)
    del second["layers/seed/vars/0"]
    small_files.write(tmp_path / "a.keras", first)
    small_files.write(tmp_path / "b.weights.h5", second)
    found = {
        d.name: d for d in compare_checkpoints(tmp_path / "a.keras", tmp_path / "b.weights.h5")
    }
    kernel = found["layers/dense/vars/0"]
    assert (kernel.shape, kernel.dtype, kernel.equal) == ((2, 3), "float32", False)
    assert (kernel.max_abs, kernel.mean_abs, kernel.not_finite) == (2.0, 0.5, 1)
    assert found["layers/dense/vars/1"].equal
    assert found["layers/dense/vars/1"].dtype == "bfloat16"
    assert found["layers/spectrum/vars/0"].max_abs == 0.0
    for alone in ("layers/new/vars/0", "layers/seed/vars/0"):
        assert not found[alone].equal
        assert math.isnan(found[alone].max_abs)
    assert all(d.equal for d in compare_checkpoints(tmp_path / "a.keras", tmp_path / "a.keras"))


def test_what_cannot_be_averaged_is_refused_by_the_name_of_the_argument(tmp_path):
    path = tmp_path / "a.keras"
    small_files.write(path, of(1))
    with pytest.raises(TypeError, match="paths must be a list of paths"):
        average_checkpoints(str(path), tmp_path / "mean.keras")
    with pytest.raises(ValueError, match="output must end in"):
        average_checkpoints([path], tmp_path / "mean.txt")
