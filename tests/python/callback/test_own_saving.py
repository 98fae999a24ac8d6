"""A model whose class saves in a way of its own: its method is called, its file published ours."""

import keras
import pytest

from kerascheckpoint import ModelCheckpoint, list_checkpoints, verify_checkpoint
from support import training


@pytest.fixture
def model():
    """A model that notes where it was asked to save itself."""

    class Noting(keras.Sequential):
        asked = None

        def save(self, filepath, overwrite=True, **settings):
            self.asked = str(filepath)
            super().save(filepath, overwrite=overwrite, **settings)

        def save_weights(self, filepath, overwrite=True, **settings):
            self.asked = str(filepath)
            super().save_weights(filepath, overwrite=overwrite, **settings)

    model = Noting([keras.Input((3,)), keras.layers.Dense(1)])
    model.compile(optimizer="sgd", loss="mse")
    return model


@pytest.mark.parametrize("suffix", [".keras", ".weights.h5"])
@pytest.mark.parametrize("background", [False, True])
def test_it_is_called_and_its_file_published_whole_with_a_record(
    tmp_path, model, suffix, background
):
    path = tmp_path / f"m{suffix}"
    settings = {"save_weights_only": suffix != ".keras", "save_on_background": background}
    training.train(model, ModelCheckpoint(path, **settings))
    assert model.asked is not None and model.asked != str(path)
    assert model.asked.endswith(suffix)
    assert training.names_in(tmp_path) == [path.name]
    assert verify_checkpoint(path) == list_checkpoints(path)[0]
    assert list_checkpoints(path)[0].step == training.STEPS


def test_a_method_of_keras_is_not_needed(tmp_path, shared_model):
    """The fast way writes the usual models; else each save would cost what Keras' own does."""
    from kerascheckpoint.keras_seam.own_saving import saves_itself

    assert not saves_itself(shared_model, weights_only=True)
    assert not saves_itself(shared_model, weights_only=False)
