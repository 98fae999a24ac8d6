"""Let Orbax store the shards of an array that this process has, through TensorStore."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from ...model_state import ShardedArray


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
    """Return Orbax' handler for arrays of the class `ShardedArray`.

    Args:
        ocp: The module `orbax.checkpoint`.
        tensorstore: The module `tensorstore`.
        process: The number of this process.
        chunks: The shape of the chunks of each array, by Orbax' name for it.
    """

    class Handler(ocp.type_handlers.TypeHandler):  # type: ignore[misc]
        _array_metadata_store = None  # Orbax reads this; the record has the metadata

        def typestr(self) -> str:
            return "np.ndarray"  # which every backend can read, on any number of devices

        async def serialize(
            self, values: Sequence[ShardedArray], infos: Sequence[Any], args: Any = None
        ) -> Sequence[Any]:
            transaction = tensorstore.Transaction(atomic=True)
            opening = [
                tensorstore.open(
                    tensorstore.Spec(_spec(ocp, value, info, process, chunks[info.name])),
                    open=True,
                    create=process == 0,
                    assume_metadata=process != 0,
                    context=info.ts_context,
                    transaction=transaction,
                )
                for value, info in zip(values, infos, strict=True)
            ]
            writing = [
                store[shard.index].write(shard.values, can_reference_source_data_indefinitely=True)
                for store, value in zip(await asyncio.gather(*opening), values, strict=True)
                for shard in value.shards
            ]
            await asyncio.gather(*writing)
            await transaction.commit_async()
            return []

        async def deserialize(self, infos: Sequence[Any], args: Any = None) -> Sequence[Any]:
            raise NotImplementedError  # Orbax reads these arrays as NumPy arrays

        async def metadata(self, infos: Sequence[Any]) -> Sequence[Any]:
            raise NotImplementedError

    return Handler()


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
    spec["metadata"] = {
        "shape": list(value.shape),
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": list(chunk)}},
        "codecs": [{"name": "bytes", "configuration": {"endian": "little"}}],
    }
    return spec
