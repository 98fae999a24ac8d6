"""Resume while another run writes: epoch and weights come from one and the same file."""

import os

from kerascheckpoint.restore import model as restoring
from support import training
from support.resuming import checkpoint_at
from support.training import arrays_of, assert_same, train


def test_a_file_replaced_while_it_is_read_does_not_mix_two_checkpoints(tmp_path, monkeypatch):
    old, new = tmp_path / "old.keras", tmp_path / "new.keras"
    model = training.tiny_model()
    train(model, checkpoint_at(old))
    expected = arrays_of(model)
    train(model, checkpoint_at(new), epochs=3)
    target = tmp_path / "run" / "m.keras"
    target.parent.mkdir()
    os.rename(old, target)
    restore_open = restoring.restore_open

    def replaced_first(*arguments):
        os.replace(new, target)
        return restore_open(*arguments)

    monkeypatch.setattr("kerascheckpoint.training.resume_point.restore_open", replaced_first)
    seen = {}
    resumed = training.tiny_model()
    look = training.At(1, lambda: None)
    look.on_epoch_begin = lambda epoch, logs=None: seen.setdefault(epoch, arrays_of(look.model))
    train(resumed, look, checkpoint_at(target, resume=True), epochs=2)
    assert min(seen) == 1
    assert_same(seen[1], expected)
