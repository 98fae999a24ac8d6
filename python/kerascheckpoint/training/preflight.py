"""What is checked when training begins, before the first batch costs anything."""

from typing import Any

from ..notify import warn
from ..policies.file_template import FileTemplate
from ..snapshot import model_objects
from ..storage.base import Storage


def check_target(template: FileTemplate, storage: Storage, model_size: int) -> None:
    """Check that files of `template` can be written, and clear up after killed runs.

    Args:
        template: Where files will go.
        storage: The place that it belongs to.
        model_size: Bytes that one file takes, about.

    Raises:
        CheckpointWriteError: If the directory cannot be made or written, or a directory stands
            where the file should go.
    """
    directory = template.directory
    free = storage.prepare(directory, template.levels, template.only_path)
    if free is not None and free < model_size:
        warn(
            f"{directory!r} has {free:,} bytes free and one checkpoint takes about "
            f"{model_size:,}: saves will fail unless room is made"
        )


def state_size(model: Any) -> int:
    """Return the bytes of a model's variables, those of its optimizer included.

    An optimizer that is not built yet counts as two variables for each that it trains: Adam's.
    """
    optimizer = getattr(model, "optimizer", None)
    variables = list(model.variables)
    if optimizer is not None:
        variables += optimizer.variables if optimizer.built else 2 * model.trainable_variables
    return model_objects.size_of(variables)
