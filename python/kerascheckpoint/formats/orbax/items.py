"""The items of a step: arrays, written by all processes, and texts, written by the first one."""

import importlib
import json
import time
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from ...file_kind import COMMIT_MARK
from ...model_state import ModelSnapshot, Shard, ShardedArray
from ...storage.base import Storage
from ...storage.checksum import crc32
from .. import record
from . import access, layout
from .array_handler import Registry, new_array_handler
from .chunks import chunk_shape, chunks_within, count_of, number_of, whole

Sums = dict[str, dict[int, str]]
"""For each array, the CRC-32 of its chunks by number."""


def write_shards(step: str, content: ModelSnapshot, process: int) -> Sums:
    """Write the shards that a process has.

    Returns:
        The checksums of the chunks that this process wrote.

    Raises:
        OSError: If the disk or the server refuses them.
    """
    ocp = importlib.import_module("orbax.checkpoint")
    arrays = {name: _sharded(array, process) for name, array in content.arrays.items()}
    for item, tree in _trees(content, arrays, process).items():
        chunks = {
            ".".join(place[1:]): _chunk_of(arrays[name])
            for name, place in places(content).items()
            if place[0] == item
        }
        handler = _item_handler(ocp, process, chunks if item != layout.ASSETS else None)
        with access.system_errors():
            handler.save(_path(step, item), args=ocp.args.PyTreeSave(tree))
    return {name: _sums_of(array) for name, array in arrays.items()}


def joined(parts: "Iterable[Mapping[str, Mapping[Any, str]]]") -> Sums:
    """Return the checksums of all processes together."""
    sums: Sums = {}
    for part in parts:
        for name, own in part.items():
            sums.setdefault(name, {}).update({int(number): crc for number, crc in own.items()})
    return sums


def finish(
    step: str, storage: Storage, content: ModelSnapshot, fields: Mapping[str, Any], sums: Sums
) -> None:
    """Join the parts of all processes and write the texts; for the first process.

    Args:
        step: The directory of the step.
        storage: Its place.
        content: The content of the checkpoint.
        fields: The record's fields, without checksums.
        sums: The checksums of all chunks.

    Raises:
        OSError: If no process wrote some chunk, or the disk or the server refuses something.
    """
    ocp = importlib.import_module("orbax.checkpoint")
    names = layout.array_items(content)
    for item in names:
        with access.system_errors(), access.without_pattern(_path(step, item)) as path:
            _item_handler(ocp, 0, None).finalize(path)
        if not _path(step, item, layout.MANIFEST).exists():  # Orbax only logs this
            raise OSError(None, "Orbax did not find the parts that the processes have written")
    texts = {} if content.config is None else {layout.CONFIG: {"config": content.config}}
    for item, text in texts.items():
        ocp.JsonCheckpointHandler().save(_path(step, item), args=ocp.args.JsonSave(text))
    names += [*texts, layout.RECORD]
    for item in names:  # in a bucket, Orbax looks for this in every item; it may be copied there
        _path(step, item, COMMIT_MARK).write_text("The item is complete.\n")
    _path(step, layout.CONTENTS).write_text(_contents(ocp, names))
    described = _record(step, storage, content, fields, sums)
    _path(step, layout.RECORD, layout.RECORD_FILE).write_text(described)


def places(content: ModelSnapshot) -> dict[str, list[str]]:
    """Return the item and the keys of each array: Keras' keys, or a number if it has none."""
    found: dict[str, list[str]] = {}
    others = 0
    for name in content.arrays:
        keys = content.tree.get(name)
        if keys is None:
            found[name] = [layout.OTHER, str(others)]
            others += 1
        else:
            found[name] = [layout.PYTREE, *keys]
    return found


def _trees(
    content: ModelSnapshot, arrays: Mapping[str, ShardedArray], process: int
) -> dict[str, dict[str, Any]]:
    """Return the nested arrays of each item to which a process writes."""
    trees: dict[str, dict[str, Any]] = {}
    for name, (item, *keys) in places(content).items():
        _put(trees.setdefault(item, {}), keys, arrays[name])
    if content.assets and process == 0:
        tree = trees.setdefault(layout.ASSETS, {})
        for name, asset in content.assets.items():
            _put(tree, name.split("/"), np.frombuffer(asset, np.uint8))
    return trees


def _put(tree: dict[str, Any], keys: list[str], value: Any) -> None:
    for key in keys[:-1]:
        tree = tree.setdefault(key, {})
    tree[keys[-1]] = value


def _sharded(array: Any, process: int) -> ShardedArray:
    """Return an array as shards; if every process has all of it, the first process writes it."""
    if isinstance(array, ShardedArray):
        return array
    array = np.asarray(array)
    shards = (Shard(whole(array.shape), array),) if process == 0 else ()
    return ShardedArray(array.shape, array.dtype, array.shape, shards)


def _chunk_of(array: ShardedArray) -> tuple[int, ...]:
    return chunk_shape(array.shape, array.shard_shape, array.dtype.itemsize)


def _sums_of(array: ShardedArray) -> dict[int, str]:
    chunk = _chunk_of(array)
    sums = {}
    for shard in array.shards:
        starts = [part.start for part in shard.index]
        for place in chunks_within(shard.index, array.shape, chunk):
            own = tuple(
                slice(part.start - start, part.stop - start)
                for part, start in zip(place, starts, strict=True)
            )
            sums[number_of(place, array.shape, chunk)] = layout.array_checksum(shard.values[own])
    return sums


def _path(step: str, *names: str) -> Any:
    return importlib.import_module("etils.epath").Path(step, *names)


def _item_handler(ocp: Any, process: int, chunks: Mapping[str, Any] | None) -> Any:
    """Return Orbax' handler for an item of arrays; it does not wait for other processes.

    Args:
        ocp: The module `orbax.checkpoint`.
        process: The number of this process.
        chunks: The chunks of the arrays; `None` for NumPy arrays, which Orbax handles itself.
    """
    registry: dict[str, Any] = {}
    if chunks is not None:
        tensorstore = importlib.import_module("tensorstore")
        handler = new_array_handler(ocp, tensorstore, process, chunks)
        registry["type_handler_registry"] = Registry(handler)
    options = ocp.options.MultiprocessingOptions(primary_host=0, active_processes={process})
    return ocp.PyTreeCheckpointHandler(
        use_ocdbt=True,
        use_zarr3=True,
        use_compression=False,
        enable_pinned_host_transfer=False,
        multiprocessing_options=options,
        **registry,
    )


def _contents(ocp: Any, names: list[str]) -> str:
    """Return the list of a step's items as Orbax' checkpointer writes it."""
    now = time.time_ns()
    handlers = {
        name: ocp.JsonCheckpointHandler
        if name in (layout.CONFIG, layout.RECORD)
        else ocp.PyTreeCheckpointHandler
        for name in names
    }
    contents = {
        "item_handlers": {name: f"{h.__module__}.{h.__qualname__}" for name, h in handlers.items()},
        "metrics": {},
        "performance_metrics": {},
        "init_timestamp_nsecs": now,
        "commit_timestamp_nsecs": now,
        "custom_metadata": {},
    }
    return json.dumps(contents)


def _record(
    step: str, storage: Storage, content: ModelSnapshot, fields: Mapping[str, Any], sums: Sums
) -> str:
    """Return the text of the record with the checksums of everything in the step."""
    stored = {}
    for name, place in places(content).items():
        array = _sharded(content.arrays[name], 0)
        chunk, own = _chunk_of(array), sums[name]
        count = count_of(array.shape, chunk)
        if sorted(own) != list(range(count)):
            raise OSError(f"only {len(own)} of {count} parts of {name!r} were written")
        crcs = [own[number] for number in range(count)]
        dtype = record.dtype_text(array.dtype)
        stored[name] = [dtype, list(array.shape), place, list(chunk), crcs]
    files = storage.files_below(step)
    own_fields = {
        "arrays": stored,
        "files": {
            name: f"{crc32(_path(step, name).read_bytes()):08x}" for name in layout.own_files(files)
        },
        "assets": {name: f"{crc32(asset):08x}" for name, asset in content.assets.items()},
        "parts": layout.parts(files),
        "groups": [[g.path] if g.name is None else [g.path, g.name] for g in content.groups],
    }
    return record.encode(dict(fields) | {"orbax": own_fields})
