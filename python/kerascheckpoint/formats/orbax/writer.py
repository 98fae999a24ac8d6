"""Write a model's state as a `.orbax` directory, through Orbax."""

import importlib
import os
import types
from collections.abc import Mapping
from typing import Any

import numpy as np

from ...errors import CheckpointWriteError
from ...model_state import ModelSnapshot
from ...storage.checksum import crc32
from .. import record
from ..base import KerasSave, Target
from . import layout
from .publish import staged_directory

_Array = np.ndarray[Any, Any]


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
        with staged_directory(target.path, target.root) as root:
            step = os.path.join(root, str(fields["step"]))
            _write(step, content, fields)


def _write(step: str, content: ModelSnapshot, fields: Mapping[str, Any]) -> None:
    ocp = importlib.import_module("orbax.checkpoint")
    arrays = {name: np.asarray(array) for name, array in content.arrays.items()}
    variables, others, places = _trees(content, arrays)
    items: dict[str, Any] = {layout.PYTREE: _arrays_item(ocp, variables)}
    handlers: dict[str, Any] = {layout.PYTREE: _array_handler(ocp)}
    if others:
        items[layout.OTHER] = _arrays_item(ocp, others)
        handlers[layout.OTHER] = _array_handler(ocp)
    if content.assets:
        items[layout.ASSETS] = _arrays_item(ocp, _asset_tree(content.assets))
        handlers[layout.ASSETS] = _array_handler(ocp)
    texts: dict[str, Any] = {layout.RECORD: {}}
    if content.config is not None:
        texts[layout.CONFIG] = {"config": content.config}
    for name, text in texts.items():
        items[name] = ocp.args.JsonSave(text)
        handlers[name] = ocp.JsonCheckpointHandler()
    alone = ocp.options.MultiprocessingOptions(
        primary_host=0, active_processes={0}, barrier_sync_key_prefix="kerascheckpoint"
    )
    handler = ocp.CompositeCheckpointHandler(
        composite_options=ocp.CompositeOptions(multiprocessing_options=alone), **handlers
    )
    with ocp.Checkpointer(handler, multiprocessing_options=alone) as checkpointer:
        checkpointer.save(step, ocp.args.Composite(**items))
    assets = {name: f"{crc32(asset):08x}" for name, asset in content.assets.items()}
    _complete_record(step, arrays, places, dict(fields) | {"orbax": {"assets": assets}})


def _arrays_item(ocp: Any, tree: Any) -> Any:
    return ocp.args.PyTreeSave(tree)


def _array_handler(ocp: Any) -> Any:
    options = ocp.options.MultiprocessingOptions(primary_host=0, active_processes={0})
    return ocp.PyTreeCheckpointHandler(
        use_ocdbt=True, use_zarr3=True, use_compression=False, multiprocessing_options=options
    )


def _asset_tree(assets: Mapping[str, bytes]) -> dict[str, Any]:
    """Return the contents of files as Keras nests them: folder by folder, as arrays of bytes."""
    tree: dict[str, Any] = {}
    for name, content in assets.items():
        *folders, last = name.split("/")
        node = tree
        for folder in folders:
            node = node.setdefault(folder, {})
        node[last] = np.frombuffer(content, np.uint8)
    return tree


def _trees(
    content: ModelSnapshot, arrays: Mapping[str, _Array]
) -> tuple[dict[str, Any], dict[str, Any], dict[str, list[str]]]:
    """Return the variables as Keras nests them, the other arrays, and the item and keys of each."""
    variables: dict[str, Any] = {}
    others: dict[str, Any] = {}
    places: dict[str, list[str]] = {}
    for name, array in arrays.items():
        keys = content.tree.get(name)
        if keys is None:
            key = str(len(others))
            others[key] = array
            places[name] = [layout.OTHER, key]
            continue
        node = variables
        for key in keys[:-1]:
            node = node.setdefault(key, {})
        node[keys[-1]] = array
        places[name] = [layout.PYTREE, *keys]
    return variables, others, places


def _complete_record(
    step: str, arrays: Mapping[str, _Array], places: Mapping[str, list[str]], fields: Any
) -> None:
    """Put the record with all checksums where Orbax has made room for it."""
    stored = {
        name: [f"{_checksum(array):08x}", str(array.dtype), list(array.shape), places[name]]
        for name, array in arrays.items()
    }
    files = {name: f"{layout.file_checksum(step, name):08x}" for name in layout.own_files(step)}
    text = record.encode(
        dict(fields) | {"orbax": fields["orbax"] | {"arrays": stored, "files": files}}
    )
    with open(os.path.join(step, layout.RECORD, layout.RECORD_FILE), "w") as file:
        file.write(text)


def _checksum(array: _Array) -> int:
    data = np.ascontiguousarray(array).reshape(-1)
    return crc32(data.view(np.uint8)) if data.size else 0
