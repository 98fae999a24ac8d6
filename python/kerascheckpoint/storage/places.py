"""Find the place of a path."""

from collections.abc import Mapping
from typing import Any

from ..location import is_url
from .base import Storage
from .local import LocalStorage


def storage_for(path: str, options: Mapping[str, Any] | None = None) -> Storage:
    """Return the place of a path.

    Args:
        path: An absolute local path or a URL, as `location.absolute` returns it.
        options: For a URL, what fsspec needs to open it (endpoint, credentials, ...), like
            `storage_options` in pandas.

    Raises:
        ImportError: If the package for the URL is missing; the message says what to install.
        ValueError: If `options` are given for a local path, or fsspec does not know the protocol.
    """
    if not is_url(path):
        if options:
            raise ValueError(
                "storage_options are for URLs such as 's3://bucket/run'. Received: "
                f"storage_options with the local path {path!r}."
            )
        return LocalStorage()
    from .remote import RemoteStorage

    return RemoteStorage(path, options)
