"""Find the members of a `.keras` file without trusting the directory of the zip."""

import os
import struct
import zipfile
from typing import Any, BinaryIO

from ...errors import CheckpointCorruptError
from .. import record
from .file_slice import FileSlice
from .hdf5_structure import TEXT_LIMIT
from .writer import CONFIG, METADATA, WEIGHTS

_DIRECTORY_LIMIT = 16 << 20  # bytes; room for a hundred thousand members
_END, _END_LENGTH = b"PK\5\6", 22
_END_WITHIN = _END_LENGTH + (1 << 16)  # bytes at the end of the file, with the longest comment
_END64, _END64_LENGTH = b"PK\6\6", 56
_LOCATOR, _LOCATOR_LENGTH = b"PK\6\7", 20  # it says where the zip64 record is
_UNKNOWN = 0xFFFFFFFF  # the size is in the zip64 record


def open_zip(file: BinaryIO) -> zipfile.ZipFile:
    """Open a zip file, unless its directory is larger than that of any real model.

    Raises:
        CheckpointCorruptError: If it is not a zip file, or its directory is too large.
    """
    if _directory_size(FileSlice.whole(file)) > _DIRECTORY_LIMIT:
        raise CheckpointCorruptError("its zip directory is larger than that of any real model")
    try:
        return zipfile.ZipFile(file)
    except (zipfile.BadZipFile, NotImplementedError) as error:
        raise CheckpointCorruptError(f"it is not a usable zip file: {error}") from None


def _directory_size(whole: FileSlice) -> int:
    """Return the size of the directory in bytes, the largest that any of the end records claims.

    Python believes a zip64 record even where the other one gives a size.
    """
    start = max(0, whole.size - _END_WITHIN - _LOCATOR_LENGTH)
    tail = whole.read_at(start, whole.size - start)
    end = tail.rfind(_END)
    if end < 0 or len(tail) - end < _END_LENGTH:
        raise CheckpointCorruptError("it is not a zip file, or its end is missing")
    sizes = [size for size in struct.unpack_from("<L", tail, end + 12) if size != _UNKNOWN]
    locator = end - _LOCATOR_LENGTH
    if locator >= 0 and tail.startswith(_LOCATOR, locator):
        (said,) = struct.unpack_from("<Q", tail, locator + 8)
        for place in (said, start + locator - _END64_LENGTH):
            record64 = whole.read_at(place, _END64_LENGTH) if 0 <= place < whole.size else b""
            if record64.startswith(_END64) and len(record64) == _END64_LENGTH:
                sizes += struct.unpack_from("<Q", record64, 40)
    return max(sizes, default=_UNKNOWN)


def stored_member(archive: zipfile.ZipFile, name: str) -> zipfile.ZipInfo:
    """Return a member that must exist and must not be compressed."""
    try:
        member = archive.getinfo(name)
    except KeyError:
        raise CheckpointCorruptError(f"its member {name} is missing") from None
    if member.compress_type != zipfile.ZIP_STORED or member.compress_size != member.file_size:
        raise CheckpointCorruptError(f"its member {name} is compressed, unlike in Keras' files")
    return member


def weights_in(archive: zipfile.ZipFile, file: BinaryIO) -> FileSlice:
    """Return the bytes of the weights member of an open zip."""
    member = stored_member(archive, WEIGHTS)
    archive.open(member).close()  # compares the member's header with the directory
    file.seek(member.header_offset)
    header = file.read(30)
    start = member.header_offset + 30
    start += int.from_bytes(header[26:28], "little") + int.from_bytes(header[28:30], "little")
    if start + member.file_size > file.seek(0, os.SEEK_END):
        raise CheckpointCorruptError(f"its member {WEIGHTS} lies outside of the file")
    return FileSlice(file, start, member.file_size, member.CRC)


def read_metadata(archive: zipfile.ZipFile) -> dict[str, Any]:
    """Return the content of a `.keras` file's `metadata.json`."""
    member = stored_member(archive, METADATA)
    if member.file_size > TEXT_LIMIT:
        raise CheckpointCorruptError(f"{METADATA} claims {member.file_size} bytes")
    metadata = record.parsed(archive.read(member))
    if not isinstance(metadata, dict):
        raise CheckpointCorruptError(f"{METADATA} is not a JSON object")
    return metadata


def check_members(archive: zipfile.ZipFile) -> None:
    """Compare each member except the weights with its checksum in the zip."""
    stored_member(archive, CONFIG)
    for member in archive.infolist():
        stored_member(archive, member.filename)
        if member.filename != WEIGHTS:
            with archive.open(member) as content:
                while content.read(1 << 20):
                    pass
