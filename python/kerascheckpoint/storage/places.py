"""Find the place of a path."""

from collections.abc import Mapping
from typing import Any

from ..location import is_url
from .base import Storage
from .local import LocalStorage


def storage_for(
    path: str,
    options: Mapping[str, Any] | None = None,
    *,
    argument: str = "filepath",
    received: str | None = None,
) -> Storage:
    """Return the place of a path.

    Args:
        path: An absolute local path or a URL, as `location.absolute` returns it.
        options: For a URL, what fsspec needs to open it (endpoint, credentials, ...), like
            `storage_options` in pandas.
        argument: The user's argument that holds the path, for error messages.
        received: Its value, if that is not `path` itself.

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
    from . import filesystems
    from .remote import RemoteStorage

    try:
        filesystems.kind_of(path)
    except ValueError as error:
        raise ValueError(
            f"{argument} must be a local path, or a URL that fsspec can open, such as "
            f"'s3://bucket/run' or 'sftp://host/run' ({error}). "
            f"Received: {argument}={filesystems.shown(received or path)!r}."
        ) from None
    return RemoteStorage(path, options)
