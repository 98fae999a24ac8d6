"""Resume: a stopped training that goes on must end where one that never stopped ends."""

import json
import os
import signal
import subprocess
import sys
import threading
import zipfile

import keras
import numpy as np
import pytest

from kerascheckpoint import (
    CheckpointMismatchError,
    CheckpointSchemaError,
    CheckpointWarning,
    ModelCheckpoint,
    list_checkpoints,
)
from kerascheckpoint.formats.keras_file import reader
from support import small_files, training
from support.training import At, Script, arrays_of, assert_same, noisy_model, train

SUFFIXES = pytest.mark.parametrize("suffix", small_files.SUFFIXES)


def checkpoint_at(path, **settings):
    weights_only = str(path).endswith(".weights.h5")
    return ModelCheckpoint(path, save_weights_only=weights_only, **settings)


def fitted(*callbacks, epochs=4, model=None, **settings):
    """Train a model that depends on all kinds of state; return it and its history."""
    model = model or noisy_model()
    settings = {"steps": 5} | settings
    return model, train(model, *callbacks, epochs=epochs, **settings)


@pytest.fixture(scope="module")
def uninterrupted():
    """Where four epochs end that are never stopped: arrays and history."""
    model, history = fitted()
    return arrays_of(model), history.history


def assert_as_if_never_stopped(model, history, uninterrupted):
    arrays, expected = uninterrupted
    assert_same(arrays_of(model), arrays)
    assert list(history.history) == list(expected)
    assert {name: list(map(float, values)) for name, values in history.history.items()} == {
        name: list(map(float, values)) for name, values in expected.items()
    }
    assert history.epoch == list(range(len(expected["loss"])))


@pytest.mark.parametrize(
    ("suffix", "background"), [(".keras", False), (".weights.h5", False), (".keras", True)]
)
def test_from_an_epochs_end_bit_for_bit(tmp_path, uninterrupted, suffix, background):
    path = tmp_path / f"{{epoch}}{suffix}"
    fitted(checkpoint_at(path, save_on_background=background), epochs=2)
    keras.utils.set_random_seed(99)
    resumed = checkpoint_at(path, resume=True, save_on_background=background)
    model, history = fitted(resumed)
    assert_as_if_never_stopped(model, history, uninterrupted)
    assert [(i.epoch, i.step) for i in list_checkpoints(tmp_path)] == [
        (1, 5),
        (2, 10),
        (3, 15),
        (4, 20),
    ]


@pytest.mark.parametrize(
    ("suffix", "stopped_after"),
    [(".keras", 1), (".weights.h5", 3), (".keras", 5), (".weights.h5", 7), (".keras", 10)],
)
def test_from_the_middle_of_an_epoch_bit_for_bit(tmp_path, uninterrupted, suffix, stopped_after):
    path = tmp_path / f"m{suffix}"
    epoch, batch = divmod(stopped_after - 1, 5)
    with pytest.raises(training.Stop):
        fitted(checkpoint_at(path, save_freq=1), At(epoch, training.stop, batch))
    (info,) = list_checkpoints(tmp_path)
    assert (info.epoch, info.batch, info.step) == (epoch, batch + 1, stopped_after)
    keras.utils.set_random_seed(99)
    model, history = fitted(checkpoint_at(path, save_freq=1, resume=True))
    assert_as_if_never_stopped(model, history, uninterrupted)
    assert list_checkpoints(tmp_path)[0].step == 20


def test_with_validation_the_history_is_whole_as_well(tmp_path):
    model, history = fitted(steps=8, validation_split=0.25, validation_freq=2)
    expected = arrays_of(model), history.history
    assert len(history.history["val_loss"]) == 2
    settings = {"steps": 8, "validation_split": 0.25, "validation_freq": 2}
    with pytest.raises(training.Stop):
        fitted(
            checkpoint_at(tmp_path / "m.keras", save_freq=5), At(2, training.stop, 4), **settings
        )
    model, history = fitted(checkpoint_at(tmp_path / "m.keras", resume=True), **settings)
    arrays, logs = expected
    assert_same(arrays_of(model), arrays)
    assert {name: list(map(float, values)) for name, values in history.history.items()} == {
        name: list(map(float, values)) for name, values in logs.items()
    }


class Seen(keras.callbacks.Callback):
    """Notes after which trained step count each batch ended."""

    def __init__(self):
        super().__init__()
        self.steps = []

    def on_train_batch_end(self, batch, logs=None):
        self.steps.append(int(self.model.optimizer.iterations))


def test_no_batch_is_trained_twice(tmp_path):
    path = tmp_path / "m.keras"
    with pytest.raises(training.Stop):
        fitted(checkpoint_at(path, save_freq=1), At(0, training.stop, 2))
    seen = Seen()
    fitted(checkpoint_at(path, resume=True), seen, epochs=1)
    assert seen.steps == [3, 3, 3, 4, 5]


@pytest.mark.parametrize("background", [False, True])
@pytest.mark.filterwarnings("ignore:saves come faster than they can be written")
def test_a_resume_from_an_epochs_last_batch_goes_on_saving(tmp_path, shared_model, background):
    path = tmp_path / "{step}.keras"
    settings = {"save_freq": training.STEPS // 2, "resume": True, "save_on_background": background}
    train(shared_model, checkpoint_at(path, **settings), epochs=1)
    train(shared_model, checkpoint_at(path, **settings), epochs=3)
    places = [(info.epoch, info.batch) for info in list_checkpoints(tmp_path)]
    assert places == [
        (epoch, batch) for epoch in range(3) for batch in (training.STEPS // 2, training.STEPS)
    ]


def test_it_can_be_stopped_and_resumed_again_and_again(tmp_path, uninterrupted):
    path = tmp_path / "m.keras"
    for epoch, batch in ((0, 1), (1, 0), (2, 4), (3, 3)):
        with pytest.raises(training.Stop):
            fitted(checkpoint_at(path, save_freq=1, resume=True), At(epoch, training.stop, batch))
    model, history = fitted(checkpoint_at(path, resume=True))
    assert_as_if_never_stopped(model, history, uninterrupted)


@pytest.mark.parametrize(
    ("suffix", "stopped_after"), [(".keras", 4), (".weights.h5", 8), (".keras", 10)]
)
def test_with_several_steps_per_execution(tmp_path, suffix, stopped_after):
    if keras.config.backend() == "torch":
        pytest.skip("PyTorch runs one step per execution")
    settings = {"steps": 10, "epochs": 2}
    model, history = fitted(model=noisy_model(steps_per_execution=4), **settings)
    expected = arrays_of(model), history.history
    path = tmp_path / f"m{suffix}"
    with pytest.raises(training.Stop):
        fitted(
            checkpoint_at(path, save_freq=1),
            At(1, training.stop, stopped_after - 1),
            model=noisy_model(steps_per_execution=4),
            **settings,
        )
    assert list_checkpoints(tmp_path)[0].step == 10 + stopped_after
    resumed = checkpoint_at(path, save_freq=1, resume=True)
    model, history = fitted(resumed, model=noisy_model(steps_per_execution=4), **settings)
    assert_as_if_never_stopped(model, history, expected)


def test_nothing_there_trains_from_the_start(tmp_path, uninterrupted):
    model, history = fitted(checkpoint_at(tmp_path / "run" / "m.keras", resume=True))
    assert_as_if_never_stopped(model, history, uninterrupted)


def test_a_stock_file_is_never_resumed_from(tmp_path, uninterrupted):
    noisy_model().save(tmp_path / "0.keras")
    model, history = fitted(checkpoint_at(tmp_path / "{epoch}.keras", resume=True))
    assert_as_if_never_stopped(model, history, uninterrupted)


@pytest.mark.parametrize("epochs", [1, 2])
def test_training_that_is_done_already_is_left_alone_and_says_so(tmp_path, capsys, epochs):
    path = tmp_path / "{epoch}.keras"
    model, history = fitted(checkpoint_at(path), epochs=2)
    other = noisy_model()
    with pytest.warns(CheckpointWarning, match="2 epochs already") as caught:
        _, again = fitted(checkpoint_at(path, resume=True), epochs=epochs, model=other)
    assert len(caught) == 1
    assert capsys.readouterr().out == ""
    assert_same(arrays_of(other), arrays_of(model))
    assert again.history == history.history
    assert [info.epoch for info in list_checkpoints(tmp_path)] == [1, 2]


def test_the_files_epoch_counts_and_not_the_one_given_to_fit(tmp_path, uninterrupted, capsys):
    path = tmp_path / "m.keras"
    fitted(checkpoint_at(path), epochs=2)
    resumed = checkpoint_at(path, resume=True, verbose=1)
    model, history = fitted(resumed, initial_epoch=3)
    assert_as_if_never_stopped(model, history, uninterrupted)
    said = capsys.readouterr().out
    assert f"Resuming after epoch 2, batch 0, from {path}" in said
    assert "initial_epoch given to fit is not used" in said


def test_a_resume_from_the_first_epochs_middle_ignores_initial_epoch_too(tmp_path, uninterrupted):
    path = tmp_path / "m.keras"
    with pytest.raises(training.Stop):
        fitted(checkpoint_at(path, save_freq=1), At(0, training.stop, 2))
    model, history = fitted(checkpoint_at(path, resume=True), initial_epoch=2)
    assert_as_if_never_stopped(model, history, uninterrupted)


@pytest.mark.parametrize("done", [False, True])
@pytest.mark.filterwarnings("ignore:.*epochs already")
def test_no_trace_is_left_on_the_model(tmp_path, done):
    path = tmp_path / "m.keras"
    model, _ = fitted(checkpoint_at(path), epochs=2)
    fitted(checkpoint_at(path, resume=True), epochs=2 if done else 3, model=model)
    before = int(model.optimizer.iterations)
    _, history = fitted(epochs=2, model=model)
    assert history.epoch == [0, 1]
    assert int(model.optimizer.iterations) == before + 10


def test_an_error_in_the_resumed_epoch_leaves_no_trace_either(tmp_path):
    path = tmp_path / "m.keras"
    model, _ = fitted(checkpoint_at(path), epochs=2)
    with pytest.raises(training.Stop):
        fitted(checkpoint_at(path, resume=True), At(2, training.stop, 0), model=model)
    _, history = fitted(epochs=2, model=model)
    assert history.epoch == [0, 1]


def test_the_best_survives_and_a_worse_model_never_replaces_it(tmp_path):
    path, settings = tmp_path / "m.keras", {"save_best_only": True, "resume": True}
    model = training.tiny_model()
    train(model, Script(val_loss=[0.5, 0.2]), checkpoint_at(path, **settings), epochs=2)
    resumed = checkpoint_at(path, **settings)
    bars = []
    look = At(2, lambda: bars.append((resumed.best, list_checkpoints(path)[0].epoch)))
    train(model, Script(val_loss=[None, None, 0.3, 0.1]), resumed, look, epochs=4)
    assert bars == [(0.2, 2)]
    assert (resumed.best, list_checkpoints(path)[0].epoch) == (0.1, 4)
    again = checkpoint_at(path, **settings)
    train(model, Script(val_loss=[0.0] * 4 + [0.15]), again, epochs=5)
    assert again.best == 0.1
    assert again.best_filepath == str(path)
    assert list_checkpoints(path)[0].epoch == 4


@pytest.mark.parametrize(
    ("mode", "threshold", "bar"), [("min", 0.3, 0.2), ("min", 0.1, 0.1), ("max", 0.3, 0.5)]
)
def test_the_bar_is_the_better_of_threshold_and_restored_best(tmp_path, mode, threshold, bar):
    path, model = tmp_path / "{epoch}.keras", training.tiny_model()
    train(model, Script(val_loss=[0.5, 0.2]), checkpoint_at(path, mode=mode), epochs=2)
    settings = {"mode": mode, "resume": True, "initial_value_threshold": threshold}
    resumed = checkpoint_at(path, save_best_only=True, **settings)
    train(model, Script(val_loss=[9, 9, bar]), resumed, epochs=3)
    assert resumed.best == bar
    assert len(list_checkpoints(tmp_path)) == 2


def test_the_best_is_known_from_the_record_when_its_file_is_gone(tmp_path):
    path, model = tmp_path / "{epoch}.keras", training.tiny_model()
    train(model, Script(val_loss=[0.2, 0.5]), checkpoint_at(path), epochs=2)
    (tmp_path / "1.keras").unlink()
    resumed = checkpoint_at(path, resume=True, save_best_only=True)
    train(model, Script(val_loss=[9, 9, 0.3]), resumed, epochs=3)
    assert resumed.best == 0.2
    assert [info.epoch for info in list_checkpoints(tmp_path)] == [2]


def test_a_damaged_newest_file_is_stepped_back_from_with_a_warning(tmp_path, uninterrupted):
    path = tmp_path / "{epoch}.keras"
    fitted(checkpoint_at(path), epochs=3)
    training.damage(tmp_path / "3.keras")
    with pytest.warns(CheckpointWarning, match=r"passed over: .*3\.keras.*damaged") as caught:
        model, history = fitted(checkpoint_at(path, resume=True))
    assert len(caught) == 1
    assert_as_if_never_stopped(model, history, uninterrupted)


@pytest.mark.parametrize("content", [b"", b"junk"])
def test_an_unreadable_newest_file_is_stepped_back_from_with_a_warning(
    tmp_path, uninterrupted, content
):
    path = tmp_path / "{epoch}.keras"
    fitted(checkpoint_at(path), epochs=3)
    (tmp_path / "3.keras").write_bytes(content)
    with pytest.warns(CheckpointWarning, match=r"3\.keras"):
        model, history = fitted(checkpoint_at(path, resume=True))
    assert_as_if_never_stopped(model, history, uninterrupted)


@pytest.mark.parametrize("values", [[0.5, 0.3, 0.1], [0.5, 0.1, 0.3]])
def test_a_damaged_best_is_no_bar_and_no_best(tmp_path, shared_model, values):
    path = tmp_path / "{epoch}.keras"
    train(shared_model, Script(val_loss=values), checkpoint_at(path), epochs=3)
    training.damage(tmp_path / f"{values.index(0.1) + 1}.keras")
    resumed = checkpoint_at(path, resume=True, save_best_only=True)
    with pytest.warns(CheckpointWarning, match="passed over"):
        train(shared_model, Script(val_loss=[9, 9, 0.2, 0.15]), resumed, epochs=4)
    assert resumed.best == 0.15
    assert resumed.best_filepath == str(tmp_path / "4.keras")


def test_a_damaged_file_takes_no_place_among_those_to_keep(tmp_path, shared_model):
    path = tmp_path / "{epoch}-{val_loss}.keras"
    train(shared_model, Script(val_loss=[0.5, 0.3, 0.1]), checkpoint_at(path), epochs=3)
    training.damage(tmp_path / "3-0.1.keras")
    resumed = checkpoint_at(path, resume=True, keep_best=2)
    with pytest.warns(CheckpointWarning, match="passed over"):
        train(shared_model, Script(val_loss=[9, 9, 0.4, 0.7]), resumed, epochs=4)
    kept = {"2-0.3.keras", "3-0.4.keras", "4-0.7.keras", "3-0.1.keras"}
    assert set(training.names_in(tmp_path)) == kept


def test_a_change_smaller_than_min_delta_is_no_bar_after_a_restart_either(tmp_path, shared_model):
    def bests(directory, stops):
        for epochs in stops:
            checkpoint = checkpoint_at(directory / "{epoch}.keras", min_delta=0.1, resume=True)
            train(shared_model, Script(val_loss=[0.5, 0.45, 0.39]), checkpoint, epochs=epochs)
        return checkpoint.best, [info.best for info in list_checkpoints(directory)]

    expected = (0.39, [True, False, True])
    assert bests(tmp_path / "one", [3]) == bests(tmp_path / "two", [2, 3]) == expected


@SUFFIXES
def test_a_model_that_differs_is_told_the_first_difference_and_not_changed(tmp_path, suffix):
    path = tmp_path / f"m{suffix}"
    train(training.tiny_model(), checkpoint_at(path))
    other = keras.Sequential([keras.Input((3,)), keras.layers.Dense(7), keras.layers.Dense(1)])
    other.compile(optimizer="sgd", loss="mse")
    before = [np.array(weight) for weight in other.get_weights()]
    with pytest.raises(CheckpointMismatchError, match=r"has shape \(3, 4\).*\(3, 7\) in the model"):
        train(other, checkpoint_at(path, resume=True))
    for found, expected in zip(other.get_weights(), before, strict=True):
        np.testing.assert_array_equal(found, expected)
    history = train(other)
    assert history.epoch == [0]


def test_a_model_that_fit_has_to_build_is_resumed(tmp_path):
    def make():
        keras.utils.set_random_seed(3)
        model = keras.Sequential([keras.layers.Dense(4), keras.layers.Dense(1)])
        model.compile(optimizer="adam", loss="mse")
        return model

    expected = make()
    train(expected, epochs=3)
    path, model = tmp_path / "m.keras", make()
    train(make(), checkpoint_at(path), epochs=1)
    train(model, checkpoint_at(path, resume=True), epochs=3)
    assert_same(arrays_of(model), arrays_of(expected))


def test_a_second_fit_with_the_same_callback_goes_on_from_its_own_files(tmp_path, uninterrupted):
    checkpoint, model = checkpoint_at(tmp_path / "m.keras", resume=True), noisy_model()
    fitted(checkpoint, epochs=2, model=model)
    _, history = fitted(checkpoint, epochs=4, model=model)
    assert_as_if_never_stopped(model, history, uninterrupted)


@pytest.mark.filterwarnings("ignore:saves come faster than they can be written")
def test_two_callbacks_of_one_fit_go_on_from_the_newest_file_of_both(tmp_path, uninterrupted):
    def both():
        steps = checkpoint_at(tmp_path / "steps" / "{step}.keras", save_freq=1, resume=True)
        return [steps, checkpoint_at(tmp_path / "epochs" / "{epoch}.keras", resume=True)]

    for order in (1, -1):
        with pytest.raises(training.Stop):
            fitted(*both()[::order], At(1, training.stop, batch=2))
        checkpoints = both()[::order]
        model, history = fitted(*checkpoints)
        assert_as_if_never_stopped(model, history, uninterrupted)
        assert {info.step for info in list_checkpoints(tmp_path / "steps")} == set(range(1, 21))
        assert [info.step for info in list_checkpoints(tmp_path / "epochs")] == [5, 10, 15, 20]
        for kind in ("steps", "epochs"):
            for path in (tmp_path / kind).iterdir():
                path.unlink()


@pytest.mark.parametrize("order", [1, -1])
def test_the_last_and_the_best_are_resumed_side_by_side(tmp_path, uninterrupted, order):
    def both():
        best = checkpoint_at(tmp_path / "best.keras", save_best_only=True, resume=True)
        return [checkpoint_at(tmp_path / "last.keras", resume=True), best][::order]

    losses = Script(val_loss=[0.1, 0.5, 0.4, 0.3])
    fitted(losses, *both(), epochs=2)
    checkpoints = both()
    model, history = fitted(losses, *checkpoints)
    history.history.pop("val_loss")
    assert_as_if_never_stopped(model, history, uninterrupted)
    assert [checkpoint.best for checkpoint in checkpoints] == [0.1, 0.1]


def test_the_history_of_a_file_written_behind_the_training_ends_with_its_epoch(
    tmp_path, monkeypatch
):
    disk, pwrite = threading.Event(), os.pwrite
    monkeypatch.setattr(os, "pwrite", lambda *arguments: disk.wait(60) and pwrite(*arguments))
    slow = checkpoint_at(tmp_path / "{epoch}.keras", save_on_background=True)
    fitted(slow, At(1, disk.set), epochs=2)
    (tmp_path / "2.keras").unlink()
    _, history = fitted(checkpoint_at(tmp_path / "{epoch}.keras", resume=True), epochs=3)
    assert history.epoch == [0, 1, 2] and len(history.history["loss"]) == 3


# Retention over runs ----------------------------------------------------------------------------


def epochs_kept(directory):
    return [info.epoch for info in list_checkpoints(directory)]


@pytest.mark.parametrize(
    ("settings", "kept"),
    [
        ({"keep_last": 2}, [2, 5, 6]),
        ({"keep_best": 2}, [2, 4, 6]),
        ({"keep_best": 1, "keep_last": 1}, [2, 6]),
        ({"keep_best": 1, "keep_last": 1, "save_best_only": True}, [2]),
        ({"keep_best": 2, "save_on_background": True}, [2, 4, 6]),
    ],
    ids=str,
)
@pytest.mark.parametrize("runs", [1, 2, 3])
@pytest.mark.filterwarnings("ignore:saves come faster than they can be written")
def test_the_best_and_the_newest_are_kept_over_all_runs(
    tmp_path, shared_model, settings, kept, runs
):
    losses = [0.5, 0.1, 0.4, 0.2, 0.9, 0.8]
    for run in range(1, runs + 1):
        checkpoint = checkpoint_at(tmp_path / "{epoch}.keras", resume=True, **settings)
        train(shared_model, Script(val_loss=losses), checkpoint, epochs=6 * run // runs)
    assert epochs_kept(tmp_path) == kept


def test_files_of_others_are_never_deleted(tmp_path, shared_model):
    path = tmp_path / "{epoch}.keras"
    train(shared_model, checkpoint_at(path), epochs=2)
    shared_model.save(tmp_path / "77.keras")
    (tmp_path / "88.keras").write_bytes(b"not ours")
    train(shared_model, checkpoint_at(tmp_path / "x{epoch}.keras", keep_last=1), epochs=3)
    assert training.names_in(tmp_path) == ["1.keras", "2.keras", "77.keras", "88.keras", "x3.keras"]


def test_files_of_another_template_are_not_deleted(tmp_path, shared_model):
    train(shared_model, checkpoint_at(tmp_path / "a-{epoch:02d}.keras"), epochs=2)
    other = checkpoint_at(tmp_path / "a-{epoch}.keras", resume=True, keep_last=1)
    train(shared_model, other, epochs=4)
    assert training.names_in(tmp_path) == ["a-01.keras", "a-02.keras", "a-4.keras"]


def test_a_fresh_run_deletes_nothing_of_an_earlier_one(tmp_path, shared_model):
    path = tmp_path / "{step}.keras"
    train(shared_model, checkpoint_at(path), epochs=2)
    train(shared_model, checkpoint_at(path, keep_last=1), epochs=3, steps=3)
    assert training.names_in(tmp_path) == ["4.keras", "8.keras", "9.keras"]


@pytest.mark.filterwarnings("ignore:val_loss is nan")
def test_not_a_number_takes_no_place_among_the_best(tmp_path, shared_model):
    script = Script(val_loss=[float("nan"), 0.3, 0.2, 0.25, 0.9])
    train(shared_model, script, checkpoint_at(tmp_path / "{epoch}.keras", keep_best=2), epochs=5)
    assert epochs_kept(tmp_path) == [3, 4, 5]


def test_a_failed_deletion_is_a_warning_and_training_goes_on(tmp_path, shared_model):
    first = tmp_path / "1.keras"

    def put_a_directory_there():
        first.unlink()
        first.mkdir()

    checkpoint = checkpoint_at(tmp_path / "{epoch}.keras", keep_last=1, monitor="none")
    with pytest.warns(CheckpointWarning, match=r"could not be deleted.*1\.keras"):
        train(shared_model, checkpoint, At(0, put_a_directory_there), epochs=3)
    assert training.names_in(tmp_path) == ["1.keras", "3.keras"]


def test_a_file_that_somebody_else_deleted_is_nothing_to_speak_of(tmp_path, shared_model):
    checkpoint = checkpoint_at(tmp_path / "{epoch}.keras", keep_last=1)
    train(shared_model, checkpoint, At(0, (tmp_path / "1.keras").unlink), epochs=3)
    assert training.names_in(tmp_path) == ["3.keras"]


# Interrupts -------------------------------------------------------------------------------------

VICTIM = """
import os, signal, sys
import keras
from support import training
from kerascheckpoint import ModelCheckpoint

directory, number, epoch, batch, times, suffix, best_only = sys.argv[1:]
number, epoch, batch, times = int(number), int(epoch), int(batch), int(times)
earlier = lambda *_: print("earlier", flush=True)
for each in (signal.SIGINT, signal.SIGTERM):
    signal.signal(each, signal.default_int_handler if each == signal.SIGINT else signal.SIG_DFL)
before = [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)]

def send():
    for _ in range(times):
        os.kill(os.getpid(), number)

checkpoint = ModelCheckpoint(
    f"{directory}/m{suffix}", "loss",
    save_weights_only=suffix != ".keras", save_on_interrupt=True, resume=True,
    save_best_only=bool(int(best_only)),
)
at = training.At(epoch, send, batch if batch >= 0 else None)
model = training.noisy_model()
history = training.train(model, at, checkpoint, epochs=4, steps=5)
after = [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)]
print("returned", before == after, len(history.epoch), model.stop_training, flush=True)
"""


def victim(directory, number, epoch, batch, times=1, suffix=".keras", best_only=0):
    """Train in a process of its own that gets a signal after a batch (-1: after the epoch)."""
    arguments = (directory, int(number), epoch, batch, times, suffix, best_only)
    search = os.pathsep.join([os.path.dirname(training.__file__), os.environ["PYTHONPATH"]])
    return subprocess.run(
        [sys.executable, "-c", VICTIM, *map(str, arguments)],
        env=os.environ | {"PYTHONPATH": search},
        capture_output=True,
        text=True,
        timeout=240,
    )


@pytest.mark.parametrize(
    ("number", "suffix"), [(signal.SIGINT, ".keras"), (signal.SIGTERM, ".weights.h5")]
)
def test_a_signal_ends_training_with_a_checkpoint_to_resume_from(
    tmp_path, uninterrupted, number, suffix
):
    done = victim(tmp_path, number, 1, 2, suffix=suffix)
    assert (done.returncode, done.stdout.splitlines()) == (0, ["returned True 2 True"]), done.stderr
    (info,) = list_checkpoints(tmp_path)
    assert (info.reason, info.epoch, info.batch, info.step) == ("interrupt", 1, 3, 8)
    model, history = fitted(checkpoint_at(tmp_path / f"m{suffix}", resume=True))
    assert_as_if_never_stopped(model, history, uninterrupted)


def test_a_second_signal_ends_at_once(tmp_path):
    done = victim(tmp_path, signal.SIGTERM, 1, 2, times=2)
    assert (done.returncode, done.stdout) == (-signal.SIGTERM, "")
    assert [info.epoch for info in list_checkpoints(tmp_path)] == [1]
    assert training.names_in(tmp_path) == ["m.keras"]


def interrupted(directory, shared_model, epoch, batch, **settings):
    """Train in this process with a signal to itself; return the callback."""
    checkpoint = ModelCheckpoint(directory / "m.keras", save_on_interrupt=True, **settings)
    send = At(epoch, lambda: os.kill(os.getpid(), signal.SIGTERM), batch)
    before = signal.getsignal(signal.SIGTERM)
    train(shared_model, Script(val_loss=[0.5, 0.4, 0.3]), send, checkpoint, epochs=3)
    assert signal.getsignal(signal.SIGTERM) is before
    return checkpoint


def test_a_signal_at_an_epochs_end_needs_no_second_save(tmp_path, shared_model):
    interrupted(tmp_path, shared_model, 1, None)
    (info,) = list_checkpoints(tmp_path)
    assert (info.reason, info.epoch, info.batch) == ("interrupt", 2, 0)


def test_the_state_of_an_interrupt_does_not_replace_the_best(tmp_path, shared_model):
    interrupted(tmp_path, shared_model, 1, 1, save_best_only=True)
    assert training.names_in(tmp_path) == ["m.interrupt.keras", "m.keras"]
    best, last = list_checkpoints(tmp_path)
    assert (best.reason, best.value, best.best) == ("epoch", 0.5, True)
    assert (last.reason, last.epoch, last.batch) == ("interrupt", 1, 2)
    fields = reader.read_record(last.path)
    assert (fields["best_value"], fields["best_name"]) == (0.5, "m.keras")


def test_a_resume_from_an_interrupt_beside_the_best_knows_the_best(tmp_path, shared_model):
    interrupted(tmp_path, shared_model, 1, 1, save_best_only=True)
    resumed = ModelCheckpoint(tmp_path / "m.keras", save_best_only=True, resume=True)
    train(shared_model, Script(val_loss=[9, 0.6, 0.7]), resumed, epochs=3)
    assert (resumed.best, resumed.best_filepath) == (0.5, str(tmp_path / "m.keras"))
    assert list_checkpoints(tmp_path / "m.keras")[0].value == 0.5


def test_a_fit_that_raised_leaves_signals_to_whom_they_belong(tmp_path, shared_model):
    received = []
    before = signal.signal(signal.SIGTERM, lambda *_: received.append(1))
    try:
        checkpoint = ModelCheckpoint(tmp_path / "m.keras", save_on_interrupt=True)
        with pytest.raises(training.Stop):
            train(shared_model, checkpoint, At(0, training.stop))
        os.kill(os.getpid(), signal.SIGTERM)
        assert received == [1]
    finally:
        signal.signal(signal.SIGTERM, before)


@pytest.mark.parametrize("place", ["on_train_begin", "on_epoch_begin", "on_train_batch_begin"])
@pytest.mark.parametrize("freq", ["epoch", 3])
def test_a_fit_that_dies_early_leaves_no_trace(tmp_path, shared_model, freq, place):
    """Whoever fixes the error in the same session trains from where they say."""
    path = tmp_path / "m.keras"
    train(shared_model, ModelCheckpoint(path, save_freq=freq), epochs=2, steps=4)

    class Dying(keras.callbacks.Callback):
        pass

    setattr(Dying, place, lambda self, *given, **logs: training.stop())
    with pytest.raises(training.Stop):
        train(shared_model, ModelCheckpoint(path, resume=True), Dying(), epochs=5)
    steps = int(shared_model.optimizer.iterations)
    shared_model.train_on_batch(*training.samples(1))
    assert int(shared_model.optimizer.iterations) == steps + 1
    assert train(shared_model, epochs=2).epoch == [0, 1]


def test_a_newer_schema_is_refused_and_not_overwritten(tmp_path, shared_model):
    path = tmp_path / "m.keras"
    training.checkpoint_file(path)
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    metadata = json.loads(members["metadata.json"])
    metadata["kerascheckpoint"]["schema"] = 99
    with zipfile.ZipFile(path, "w") as archive:
        for name, member in (members | {"metadata.json": json.dumps(metadata)}).items():
            archive.writestr(name, member)
    content = path.read_bytes()
    with pytest.raises(CheckpointSchemaError, match="schema 99"):
        train(shared_model, ModelCheckpoint(path, resume=True))
    assert path.read_bytes() == content


@pytest.mark.parametrize("freq", ["epoch", 3])
def test_a_loop_of_ones_own_resumes_too(tmp_path, shared_model, freq):
    """It is given the state; where to go on in its data is its own affair."""
    path = tmp_path / "m.keras"
    train(shared_model, ModelCheckpoint(path, save_freq=freq), epochs=1, steps=4)
    (info,) = list_checkpoints(path)
    model = training.tiny_model()
    saving = ModelCheckpoint(path, resume=True)
    saving.set_model(model)
    saving.on_train_begin()
    assert_same(arrays_of(model), arrays_of(shared_model))
    for batch in range(2):
        saving.on_train_batch_begin(batch)
        model.train_on_batch(*training.samples(1))
        saving.on_train_batch_end(batch)
    saving.on_epoch_end(info.epoch)
    saving.on_train_end()
    (last,) = list_checkpoints(path)
    assert (last.epoch, last.step) == (info.epoch + 1, info.step + 2)
    assert train(model, epochs=2).epoch == [0, 1]
