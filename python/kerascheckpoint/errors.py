"""The exceptions and the warning of this package.

Each error also derives from the built-in that a caller would already catch for that kind of
failure, so that `except FileNotFoundError` or `except OSError` keep working.
"""


class CheckpointError(Exception):
    """Root of every error that this package raises by its own decision."""


class CheckpointNotFoundError(CheckpointError, FileNotFoundError):
    """There is no file at the path that was asked for."""


class CheckpointCorruptError(CheckpointError, ValueError):
    """A file is damaged, incomplete or not a checkpoint; the text says what is wrong."""


class CheckpointSchemaError(CheckpointError, ValueError):
    """A file was written by a newer version of this package than the one that reads it."""


class CheckpointUnreachableError(CheckpointError, OSError):
    """A place refuses or does not answer; nothing is known of the checkpoints that lie there."""

    def __str__(self) -> str:
        return str(self.args[0])  # OSError would show its number and file name instead


class CheckpointWriteError(CheckpointError, OSError):
    """A checkpoint could not be written.

    Attributes:
        published: False if the file that stood at the path before is untouched. True if the new
            file stands there as a whole, but the system did not confirm that it is on the disk.
    """

    published: bool = False

    def __str__(self) -> str:
        return str(self.args[0])  # OSError would show its number and file name instead


def was_published(error: BaseException) -> bool:
    """Tell whether a save ended with `error` after its file had appeared at its path.

    Ctrl-C may come in that moment, and a disk may fail in it. The callback must believe what stands
    at the path.
    """
    return getattr(error, "published", False) is True


class CheckpointMismatchError(CheckpointError, ValueError):
    """A checkpoint does not fit the model that it is restored into; nothing was changed."""


class CheckpointNameError(CheckpointError, KeyError):
    """The template of the file's name asks for something that the logs do not hold."""

    def __str__(self) -> str:
        return str(self.args[0])  # KeyError would show the text with quotes and escapes


class CheckpointWarning(UserWarning):
    """What must be said although training goes on."""
