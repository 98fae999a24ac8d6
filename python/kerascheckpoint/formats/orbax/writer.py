"""Write a model's state as a `.orbax` directory through Orbax, alone or with other processes.

Each process writes its shards. The first one creates the directory, joins the parts when all are
durable, and publishes. If one process fails, all of them raise.
"""

import contextlib
import dataclasses
import os
import types
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from ...errors import CheckpointWriteError
from ...file_kind import COMMIT_MARK
from ...location import is_url
from ...model_state import ModelSnapshot
from ..base import KerasSave, Target
from ..writers import BEGIN, END, PARTS, Writers
from . import items, layout
from .marked_step import marked_step
from .publish import check_replaceable, staged_directory


class OrbaxWriter:
    """Writes one directory after the other."""

    offsets: Mapping[str, int] = types.MappingProxyType({})

    def save(
        self, target: Target, content: "ModelSnapshot | KerasSave", fields: Mapping[str, Any]
    ) -> None:
        """Write a directory and publish it; see `base.CheckpointWriter`."""
        if isinstance(content, KerasSave):
            raise CheckpointWriteError(
                f"could not write checkpoint {target.path!r}: only Keras itself can save this "
                "model, which it cannot do as `.orbax`; end filepath in `.keras`"
            )
        if target.writers.index == 0:
            _write_as_first(target, _lasting(content), fields)
        else:
            _write_part(target, content)


def _lasting(content: ModelSnapshot) -> ModelSnapshot:
    """Return the content with arrays that stay valid when others are read."""
    if content.is_lasting:
        return content
    arrays = {name: np.array(content.arrays[name]) for name in content.arrays}
    return dataclasses.replace(content, arrays=arrays, is_lasting=True)


def _write_as_first(target: Target, content: ModelSnapshot, fields: Mapping[str, Any]) -> None:
    writers, phase = target.writers, BEGIN
    try:
        with _new_step(target, content, int(fields["step"])) as step:
            writers.broadcast(BEGIN, {"step": step})
            phase = END
            reports = writers.collect(PARTS, _part(step, content, writers))
            sums = _joined(target.path, reports)
            items.finish(step, target.storage, content, fields, sums)
    except BaseException as error:
        writers.broadcast(phase, {"error": str(error) or type(error).__name__})
        raise
    writers.broadcast(END, {})


@contextlib.contextmanager
def _new_step(target: Target, content: ModelSnapshot, number: int) -> Iterator[str]:
    """Yield the directory or URL of a new step; the end of the block publishes it."""
    if not target.storage.is_local:
        with marked_step(target.path, target.storage, number) as step:
            yield step
        return
    with staged_directory(target.path, target.root) as root:
        check_replaceable(target.path)
        step = os.path.join(root, str(number))
        layout.make_directories(step, content)
        yield step
        with open(os.path.join(step, COMMIT_MARK), "w") as file:  # for copies in object stores
            file.write("The step is complete.\n")


def _write_part(target: Target, content: ModelSnapshot) -> None:
    writers = target.writers
    told = writers.broadcast(BEGIN)
    if "error" not in told:
        writers.collect(PARTS, _part(told["step"], content, writers))
        told = writers.broadcast(END)
    if "error" in told:
        raise CheckpointWriteError(told["error"])


def _part(step: str, content: ModelSnapshot, writers: Writers) -> dict[str, Any]:
    """Write the part of this process; return its checksums, or the error."""
    try:
        if not is_url(step) and not os.path.isdir(step):
            raise FileNotFoundError(
                f"it cannot see {step!r}, where the first process writes; a `.orbax` directory "
                "needs a file system that all processes share"
            )
        return {"sums": items.write_shards(step, content, writers.index)}
    except Exception as error:
        if writers.count == 1:
            raise
        return {"error": str(error) or type(error).__name__}


def _joined(path: str, reports: list[dict[str, Any]]) -> items.Sums:
    """Return the checksums of all processes.

    Raises:
        CheckpointWriteError: If one of them could not write its part.
    """
    for index, report in enumerate(reports):
        if "error" in report:
            raise CheckpointWriteError(
                f"could not write checkpoint {path!r}: process {index} could not write its part: "
                f"{report['error']}"
            )
    return items.joined([report["sums"] for report in reports])
