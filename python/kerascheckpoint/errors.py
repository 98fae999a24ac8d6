"""The exceptions and the warning of this package.

Each error also derives from the built-in that a caller would already catch for that kind of
failure, so that `except FileNotFoundError` or `except OSError` keep working.
"""


class CheckpointError(Exception):
    """Base class of the errors of this package."""


class CheckpointNotFoundError(CheckpointError, FileNotFoundError):
    """There is no checkpoint at this path."""


class CheckpointCorruptError(CheckpointError, ValueError):
    """A file is damaged, incomplete or not a checkpoint; the message says what is wrong."""


class CheckpointSchemaError(CheckpointError, ValueError):
    """A newer version of this package wrote the file, in a schema that this one does not know."""


class CheckpointUnreachableError(CheckpointError, OSError):
    """A place refuses access or does not answer, so its checkpoints cannot be listed or read."""

    def __str__(self) -> str:
        return str(self.args[0])  # OSError would show its number and file name instead


class CheckpointWriteError(CheckpointError, OSError):
    """A checkpoint could not be written.

    Attributes:
        published: False if the path still holds what it held before. True if it holds the whole new
            file, but the system did not confirm that the file reached the disk.
    """

    published: bool = False

    def __str__(self) -> str:
        return str(self.args[0])  # OSError would show its number and file name instead


def was_published(error: BaseException) -> bool:
    """Tell whether a save failed with `error` after its file had appeared at its path.

    Ctrl-C or a disk error can strike between the rename and the return. The callback then goes by
    what stands at the path.
    """
    return getattr(error, "published", False) is True


class CheckpointMismatchError(CheckpointError, ValueError):
    """A checkpoint does not fit the model; the model is unchanged."""


class CheckpointNameError(CheckpointError, KeyError):
    """The file name template has a placeholder that the logs cannot fill."""

    def __str__(self) -> str:
        return str(self.args[0])  # KeyError would show the text with quotes and escapes


class CheckpointWarning(UserWarning):
    """Something the user should know about, though training continues."""
