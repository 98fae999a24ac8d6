"""Checks at the beginning of training, before the first batch."""

from typing import Any

from ..formats.base import Form
from ..notify import warn
from ..policies.file_template import FileTemplate
from ..snapshot import model_objects
from ..storage.base import Storage


def check_target(template: FileTemplate, form: Form, storage: Storage, model_size: int) -> None:
    """Check that files of `template` can be written, and remove what killed runs left.

    Args:
        template: The template of the files.
        form: The form of the files.
        storage: The place of the files.
        model_size: Approximate size of one file in bytes.

    Raises:
        CheckpointWriteError: If the directory cannot be made or written, or the target is a
            directory.
    """
    directory = template.directory
    free = storage.prepare(directory, template.levels, template.only_path)
    form.try_out(directory, storage)
    if free is not None and free < model_size:
        warn(
            f"{directory!r} has {free:,} bytes free, but one checkpoint takes about "
            f"{model_size:,}: saves will fail unless you free some space"
        )


def state_size(model: Any) -> int:
    """Return the size of a model's variables in bytes, including those of its optimizer.

    An unbuilt optimizer counts as two variables for each trainable one, as in Adam.
    """
    optimizer = getattr(model, "optimizer", None)
    variables = list(model.variables)
    if optimizer is not None:
        variables += optimizer.variables if optimizer.built else 2 * model.trainable_variables
    return model_objects.size_of(variables)
