"""What a resume could not reproduce exactly is named in one warning when training begins."""

import keras
import pytest

from kerascheckpoint import CheckpointWarning, ModelCheckpoint
from kerascheckpoint.state.host import set_host_state
from support import training


def fit(path, data, *others, **settings):
    model = training.tiny_model()
    ours = ModelCheckpoint(path / "{epoch}.keras", "loss", resume=True)
    model.fit(data, epochs=1, verbose=0, shuffle=False, callbacks=[*others, ours], **settings)


def test_a_pipeline_without_a_seed_and_a_log_that_is_overwritten_are_named(tmp_path):
    tf = pytest.importorskip("tensorflow")
    tf.random.set_seed(None)
    data = tf.data.Dataset.from_tensor_slices(training.samples())
    log = keras.callbacks.CSVLogger(tmp_path / "log.csv")
    with pytest.warns(CheckpointWarning, match="will not be bit-exact") as caught:
        fit(tmp_path / "run", data.shuffle(8).batch(2).prefetch(1), log)
    assert len(caught) == 1
    text = str(caught[0].message)
    assert "shuffles without a seed (pass seed= to shuffle()" in text
    assert "append=True" in text


@pytest.mark.filterwarnings("ignore:'set_vital' is deprecated")
@pytest.mark.parametrize(
    ("kind", "settings", "named"),
    [
        ("DataLoader", {"num_workers": 1, "persistent_workers": True}, "persistent_workers=False"),
        ("DataLoader", {"num_workers": 1}, None),
        ("StatefulDataLoader", {"num_workers": 1}, "num_workers=0"),
        ("StatefulDataLoader", {}, None),
    ],
)
def test_workers_whose_random_numbers_are_lost_are_named(tmp_path, kind, settings, named):
    torch = pytest.importorskip("torch")
    module = torch.utils.data
    if kind == "StatefulDataLoader":
        module = pytest.importorskip("torchdata.stateful_dataloader")
    samples = torch.utils.data.TensorDataset(*map(torch.tensor, training.samples()))
    data = getattr(module, kind)(samples, batch_size=2, **settings)
    if named is None:
        fit(tmp_path, data)  # warnings are errors
        return
    with pytest.warns(CheckpointWarning, match=f"workers of the {kind} .*{named}"):
        fit(tmp_path, data)


@pytest.mark.parametrize("is_global", [True, False])
def test_a_pipeline_with_a_seed_gives_no_warning(tmp_path, is_global):
    tf = pytest.importorskip("tensorflow")
    tf.random.set_seed(1 if is_global else None)
    data = tf.data.Dataset.from_tensor_slices(training.samples())
    fit(tmp_path, data.shuffle(8, seed=None if is_global else 3).batch(2))  # warnings are errors


@pytest.mark.filterwarnings("ignore:.*update Keras to 3.6")
@pytest.mark.parametrize("has_host", [True, False])
def test_a_generator_that_may_call_r_in_its_own_way_is_named(tmp_path, has_host):
    def generator():
        while True:
            yield training.samples()

    def train():
        fit(tmp_path, generator(), steps_per_epoch=1)

    if has_host:
        set_host_state(lambda: "[1]", lambda state: None)
    try:
        if has_host and keras.config.backend() == "tensorflow":
            with pytest.warns(CheckpointWarning, match="pass the R function itself"):
                train()
        else:
            train()  # warnings are errors
    finally:
        set_host_state(None, None)
