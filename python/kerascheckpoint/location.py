"""Where checkpoints are: an absolute path on this machine, or a URL."""

import os
import re

_URL = re.compile(r"(?:[A-Za-z][A-Za-z0-9+.-]*::)*[A-Za-z][A-Za-z0-9+.-]+://")
_LOCAL = re.compile(r"(?:file|local)://", re.IGNORECASE)


def is_url(path: str) -> bool:
    """Tell whether `path` is a URL such as `s3://bucket/run`, which fsspec opens.

    `file://` counts as a URL too: `absolute` turns it into a local path.
    """
    return _URL.match(path) is not None


def absolute(path: "str | os.PathLike[str]") -> str:
    """Return `path` absolute, with `~` expanded; a URL stays a URL.

    A `file://` URL becomes a local path, so that local files are always written in the way that
    survives a power failure.

    Raises:
        TypeError: If `path` is neither a `str` nor an `os.PathLike` of one.
    """
    text = os.fspath(path) if isinstance(path, os.PathLike) else path
    if not isinstance(text, str):
        raise TypeError(f"a path must be a str or an os.PathLike of one. Received: {path!r}.")
    if local := _LOCAL.match(text):
        text = text[local.end() :]
    elif is_url(text):
        return text
    return os.path.abspath(os.path.expanduser(text))


def parent(path: str) -> str:
    """Return the directory of an absolute path or URL."""
    if not is_url(path):
        return os.path.dirname(path)
    scheme, _, rest = path.partition("://")
    return f"{scheme}://{rest.rpartition('/')[0]}"


def join(directory: str, name: str) -> str:
    """Return the path or URL of `name` in a directory."""
    return f"{directory.rstrip('/')}/{name}" if is_url(directory) else os.path.join(directory, name)
