"""Files at a URL are saved, reported, kept, deleted and resumed from like local ones."""

import uuid

import pytest

from kerascheckpoint import CheckpointWriteError, ModelCheckpoint, list_checkpoints
from support.resuming import assert_as_if_never_stopped, checkpoint_at, fitted
from support.training import Script, arrays_of, train

pytest.importorskip("fsspec")


@pytest.fixture
def place():
    """A directory of its own in the memory of this process."""
    return f"memory://{uuid.uuid4().hex}/run"


def files(template):
    return [info.path.rpartition("/")[2] for info in list_checkpoints(template)]


@pytest.mark.parametrize("background", [False, True])
@pytest.mark.filterwarnings("ignore:saves come faster than they can be written")
def test_the_best_and_the_newest_are_kept_and_reported(place, shared_model, background):
    heard = []
    template = f"{place}/{{epoch}}.keras"
    settings = {"keep_best": 1, "keep_last": 1, "save_on_background": background}
    checkpoint = ModelCheckpoint(template, after_save=heard.append, **settings)
    train(shared_model, Script(val_loss=[0.5, 0.1, 0.4, 0.3]), checkpoint, epochs=4)
    assert files(template) == ["2.keras", "4.keras"]
    assert (checkpoint.best, checkpoint.best_filepath) == (0.1, f"{place}/2.keras")
    assert [info.path for info in heard] == [f"{place}/{epoch}.keras" for epoch in (1, 2, 3, 4)]
    assert all(info.size > 0 for info in heard)


@pytest.mark.parametrize("suffix", [".keras", ".weights.h5"])
def test_a_run_is_resumed_bit_for_bit(place, suffix):
    model, history = fitted()
    expected = arrays_of(model), history.history
    template = f"{place}/{{epoch}}{suffix}"
    fitted(checkpoint_at(template), epochs=2)
    model, history = fitted(checkpoint_at(template, resume=True))
    assert_as_if_never_stopped(model, history, expected)
    assert len(files(template)) == 4


def test_the_best_survives_a_restart(place, shared_model):
    template = f"{place}/m.keras"
    settings = {"save_best_only": True, "resume": True}
    train(shared_model, Script(val_loss=[0.2]), ModelCheckpoint(template, **settings))
    resumed = ModelCheckpoint(template, **settings)
    train(shared_model, Script(val_loss=[9, 0.3]), resumed, epochs=2)
    assert (resumed.best, resumed.best_filepath) == (0.2, template)


def test_options_for_a_local_path_are_refused_at_once(tmp_path):
    with pytest.raises(ValueError, match=r"storage_options are for URLs"):
        ModelCheckpoint(tmp_path / "m.keras", storage_options={"key": "x"})


def test_a_url_that_nothing_serves_is_refused_at_once():
    with pytest.raises((ValueError, ImportError), match="nowhere"):
        ModelCheckpoint("nowhere://m.keras")


def test_a_place_that_cannot_be_written_is_found_before_the_first_batch(shared_model):
    pytest.importorskip("aiohttp")
    steps = int(shared_model.optimizer.iterations.numpy())
    checkpoint = ModelCheckpoint("http://127.0.0.1:9/m.keras")
    with pytest.raises(CheckpointWriteError):
        train(shared_model, checkpoint)
    assert int(shared_model.optimizer.iterations.numpy()) == steps
