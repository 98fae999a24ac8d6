"""Write a model's state as a `.orbax` directory, through Orbax: alone or with other processes.

Each process writes its shards. The first one makes the directory, joins the parts when all of them
are durable, and publishes; if anything goes wrong anywhere, every process says so.
"""

import os
import types
from collections.abc import Mapping
from typing import Any

from ...errors import CheckpointWriteError
from ...model_state import ModelSnapshot
from ..base import KerasSave, Target, Writers
from . import items, layout
from .publish import staged_directory


class OrbaxWriter:
    """Writes one directory after the other."""

    offsets: Mapping[str, int] = types.MappingProxyType({})

    def save(
        self, target: Target, content: "ModelSnapshot | KerasSave", fields: Mapping[str, Any]
    ) -> None:
        """Write a directory and publish it: see `base.CheckpointWriter`."""
        if isinstance(content, KerasSave):
            raise CheckpointWriteError(
                f"could not write checkpoint {target.path!r}: only Keras' own saving can store "
                "this model, so it has no Orbax form; end filepath in `.keras`"
            )
        if target.writers.index == 0:
            _write_as_first(target, content, fields)
        else:
            _write_part(target, content)


def _write_as_first(target: Target, content: ModelSnapshot, fields: Mapping[str, Any]) -> None:
    writers = target.writers
    try:
        with staged_directory(target.path, target.root) as root:
            step = os.path.join(root, str(fields["step"]))
            layout.make_directories(step, content)
            writers.hear_first({"step": step})
            items.finish(step, content, fields, _sums(target, writers, step, content))
    except BaseException as error:
        if writers.count > 1:
            writers.hear_first({"error": str(error) or type(error).__name__})
        raise
    if writers.count > 1:
        writers.hear_first({})


def _sums(target: Target, writers: Writers, step: str, content: ModelSnapshot) -> items.Sums:
    """Write the first process's part; return the checksums of all processes' chunks."""
    reports = writers.collect({"sums": items.write_shards(step, content, writers.index)})
    for index, report in enumerate(reports):
        if "error" in report:
            raise CheckpointWriteError(
                f"could not write checkpoint {target.path!r}: process {index} could not write its "
                f"part: {report['error']}"
            )
    return items.joined([report["sums"] for report in reports])


def _write_part(target: Target, content: ModelSnapshot) -> None:
    writers = target.writers
    begin = writers.hear_first()
    if "error" not in begin:
        writers.collect(_report(begin["step"], content, writers.index))
        begin = writers.hear_first()
    if "error" in begin:
        raise CheckpointWriteError(begin["error"])


def _report(step: str, content: ModelSnapshot, index: int) -> dict[str, Any]:
    try:
        if not os.path.isdir(step):
            raise FileNotFoundError(
                f"it does not see {step!r}, where the first process writes; all processes need one "
                "file system for a `.orbax` directory"
            )
        return {"sums": items.write_shards(step, content, index)}
    except Exception as error:
        return {"error": str(error) or type(error).__name__}
