"""Make Orbax store this process's shards of an array, through TensorStore."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from ...model_state import ShardedArray
from . import access


class Registry:
    """Gives Orbax one handler for arrays of every class."""

    def __init__(self, handler: Any) -> None:
        self._handler = handler

    def get(self, kind: type) -> Any:
        """Return the handler for values of a class."""
        return self._handler

    def has(self, kind: type) -> bool:
        """Tell whether there is a handler for values of a class."""
        return True

    def add(self, kind: type, *arguments: Any, **settings: Any) -> None:
        """Accept no other handlers."""
        raise NotImplementedError


def new_array_handler(ocp: Any, tensorstore: Any, process: int, chunks: Mapping[str, Any]) -> Any:
    """Return a handler with which Orbax stores arrays of the class `ShardedArray`.

    Args:
        ocp, tensorstore: The modules `orbax.checkpoint` and `tensorstore`.
        process: Number of this process.
        chunks: Shape of each array's chunks, by Orbax' name for the array.
    """

    class Handler(ocp.type_handlers.TypeHandler):  # type: ignore[misc]
        _array_metadata_store = None  # Orbax reads this; the record has the metadata

        def typestr(self) -> str:
            return "np.ndarray"  # which every backend can read, on any number of devices

        async def serialize(
            self, values: Sequence[ShardedArray], infos: Sequence[Any], args: Any = None
        ) -> Sequence[Any]:
            specs = [
                _spec(ocp, value, info, process, chunks[info.name])
                for value, info in zip(values, infos, strict=True)
            ]
            contexts = [info.ts_context for info in infos]
            await _write(tensorstore, values, specs, contexts, creates=process == 0)
            return []

        async def deserialize(self, infos: Sequence[Any], args: Any = None) -> Sequence[Any]:
            raise NotImplementedError  # Orbax reads these arrays as NumPy arrays

        async def metadata(self, infos: Sequence[Any]) -> Sequence[Any]:
            raise NotImplementedError

    return Handler()


async def _write(
    tensorstore: Any,
    values: Sequence[ShardedArray],
    specs: Sequence[Any],
    contexts: Sequence[Any],
    *,
    creates: bool,
) -> None:
    """Write the shards of all arrays in one transaction; only the first process creates arrays."""
    transaction = tensorstore.Transaction(atomic=True)
    opening = [
        tensorstore.open(
            tensorstore.Spec(spec),
            open=True,
            create=creates,
            assume_metadata=not creates,
            context=context,
            transaction=transaction,
        )
        for spec, context in zip(specs, contexts, strict=True)
    ]
    writing = [
        store[shard.index].write(shard.values, can_reference_source_data_indefinitely=True)
        for store, value in zip(await asyncio.gather(*opening), values, strict=True)
        for shard in value.shards
    ]
    await asyncio.gather(*writing)
    await transaction.commit_async()


def _spec(ocp: Any, value: ShardedArray, info: Any, process: int, chunk: Sequence[int]) -> Any:
    """Return Orbax' TensorStore spec with our chunks."""
    spec = ocp.type_handlers.get_json_tspec_write(
        info,
        use_ocdbt=True,
        global_shape=value.shape,
        local_shape=tuple(max(length, 1) for length in value.shard_shape),
        dtype=value.dtype,
        process_index=process,
        arg=ocp.SaveArgs(),
    )
    spec["kvstore"]["base"] = access.limited(spec["kvstore"]["base"])
    spec["dtype"] = value.dtype.name  # Orbax before 0.12.8 leaves it out
    spec["metadata"] = {
        "shape": list(value.shape),
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": list(chunk)}},
        "codecs": [{"name": "bytes", "configuration": {"endian": "little"}}],
    }
    return spec
