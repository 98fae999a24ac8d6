"""Names of checkpoint files: templates such as `"run/{epoch:02d}-{val_loss:.2f}.keras"`."""

import contextlib
import dataclasses
import functools
import math
import os
import re
import string
from collections.abc import Mapping
from typing import Any

from ..errors import CheckpointNameError
from ..file_kind import DIRECTORY_SUFFIXES, LEGACY_SUFFIX, WEIGHTS_SUFFIX, suffix_of
from ..location import absolute, is_url, parent
from ..printable import printable
from .monitor import as_number
from .name_pattern import Part, fits

# Every save can fill in these; a metric of the same name does not hide them.
COUNTERS = ("epoch", "batch", "step")


@dataclasses.dataclass(frozen=True)
class FileTemplate:
    """A checked, absolute template of file names.

    Attributes:
        text: The template itself, absolute, with `~` expanded.
    """

    text: str

    @classmethod
    def parse(cls, filepath: "str | os.PathLike[str]") -> "FileTemplate":
        """Make a template from `filepath` and check it.

        A relative path is resolved now, not at the save. A URL stays as it is, but `file://`
        becomes a local path.

        Raises:
            TypeError: If `filepath` is not a path.
            ValueError: If it is empty or has malformed placeholders.
        """
        text = os.fspath(filepath) if isinstance(filepath, str | os.PathLike) else None
        if not isinstance(text, str):
            raise TypeError(
                f"filepath must be a str or an os.PathLike of one. Received: filepath={filepath!r}."
            )
        if not text or "\0" in text:
            raise ValueError(f"filepath must name a file. Received: filepath={text!r}.")
        template = cls(_absolute(text))
        template._check_placeholders()
        return template

    @classmethod
    def of_path(cls, path: str) -> "FileTemplate":
        """Return the template of exactly one path, whose braces are not placeholders."""
        return cls(_absolute(_literal(path)))

    def _check_placeholders(self) -> None:
        try:
            for _, name, spec, conversion in string.Formatter().parse(self.text):
                if name is None:
                    continue
                if conversion not in (None, "r", "s", "a"):
                    raise ValueError(f"there is no conversion '!{conversion}'")
                if not name or name.isdigit() or "{" in name + (spec or ""):
                    raise ValueError("each placeholder needs a name, as in {epoch:02d}")
                if not conversion:
                    _check_spec(spec or "", (1,) if name in COUNTERS else (1.0, 1, "1"))
        except ValueError as error:
            raise ValueError(
                f"filepath is not a valid template: {printable(str(error))}. "
                f"Received: filepath={self.text!r}."
            ) from None

    def __str__(self) -> str:
        return self.text

    @functools.cached_property
    def names(self) -> tuple[str, ...]:
        """The names between braces, in order."""
        return tuple(name for _, name, _, _ in string.Formatter().parse(self.text) if name)

    @property
    def directory(self) -> str:
        """The directory that contains all files of this template, directly or below."""
        return parent(self._fixed_part)

    @property
    def only_path(self) -> str | None:
        """The one path of a template without placeholders."""
        return None if self.names else self._fixed_part

    @property
    def levels(self) -> int:
        """Number of levels from `directory` down to the files; 1 if they lie directly in it."""
        return _depth(self.text) - _depth(self.directory)

    @property
    def name(self) -> str:
        """The template relative to its directory, unchanged when the directory moves."""
        return "/".join(self.text.split("/" if is_url(self.text) else os.sep)[-self.levels :])

    @functools.cached_property
    def _fixed_part(self) -> str:
        """The text before the first placeholder."""
        parts = []
        for literal, name, _, _ in string.Formatter().parse(self.text):
            parts.append(literal)
            if name is not None:
                break
        return "".join(parts)

    @property
    def is_weights_only(self) -> bool:
        """Whether the files hold weights only."""
        return suffix_of(self.text) == WEIGHTS_SUFFIX

    @property
    def is_legacy(self) -> bool:
        """Whether the files are whole models in Keras' legacy HDF5 format."""
        return suffix_of(self.text) == LEGACY_SUFFIX

    def fills_like(self, other: "FileTemplate", epochs: int) -> bool:
        """Tell whether a save in the last epoch gets the same path from both templates.

        So `{epoch}` and `{epoch:02d}` do from the tenth epoch on.

        Args:
            other: The other template.
            epochs: Number of that epoch, from 1.
        """
        counters = {"epoch": epochs, "batch": 1_000_003, "step": 1_000_000_007}
        metrics = sorted({*self.names, *other.names} - {*COUNTERS})
        logs = {name: math.pi * number for number, name in enumerate(metrics, 1)}
        try:
            filled = [each.fill(counters, logs) for each in (self, other)]
        except ValueError:  # a format for a kind of value that only the run will have
            return self.text == other.text
        return os.path.realpath(filled[0]) == os.path.realpath(filled[1])

    def missing_validation(self, logs: Mapping[str, Any]) -> list[str]:
        """Return the `val_` names missing from `logs` although the name without `val_` is there."""
        return [
            name
            for name in dict.fromkeys(self.names)
            if name.startswith("val_") and name not in logs and name[4:] in logs
        ]

    def fill(self, counters: Mapping[str, int], logs: Mapping[str, Any]) -> str:
        """Return the path for one save; a missing `val_` name becomes `nan`.

        Args:
            counters: Values of `epoch`, `batch` and `step`.
            logs: The metrics: numbers, NumPy scalars or tensors of one element.

        Raises:
            CheckpointNameError: If a name is neither a counter nor in `logs`.
            ValueError: If a value does not fit its format.
        """
        values = {name: _plain(value) for name, value in logs.items()} | dict(counters)
        values |= dict.fromkeys(self.missing_validation(logs), math.nan)
        return "".join(
            literal + ("" if name is None else self._fill_one(name, spec, conversion, values))
            for literal, name, spec, conversion in string.Formatter().parse(self.text)
        )

    def _fill_one(
        self, name: str, spec: str | None, conversion: str | None, values: Mapping[str, Any]
    ) -> str:
        if name not in values:
            raise CheckpointNameError(
                f'Failed to format this callback filepath: "{printable(self.text)}". There is no '
                f"{name!r} to fill in; what can be used: {', '.join(sorted(values))}."
            )
        value = values[name]
        try:
            value = string.Formatter().convert_field(value, conversion) if conversion else value
            return format(value, spec or "")
        except (TypeError, ValueError) as error:
            raise ValueError(
                f'Failed to format this callback filepath: "{printable(self.text)}". '
                f"{name}={value!r} does not fit {spec!r}: {error}."
            ) from None

    def interrupt_path(self, path: str) -> str:
        """Return where an interrupt saves when it must not replace the best model at `path`."""
        suffix = suffix_of(path)
        return f"{path.removesuffix(suffix)}.interrupt{suffix}"

    def matches(self, path: str) -> bool:
        """Tell whether `path` could be a file of this template."""
        return fits(self._parts, path)

    @functools.cached_property
    def _parts(self) -> tuple[Part, ...]:
        suffix = suffix_of(self.text)
        parts = []
        for literal, name, spec, _ in string.Formatter().parse(self.text.removesuffix(suffix)):
            parts.append(Part("literal", literal))
            if name is not None:
                digits = name in COUNTERS and re.fullmatch(r"\d*d?", spec or "")
                parts.append(Part("number" if digits else "gap"))
        return (*parts, Part("optional", ".interrupt"), Part("literal", suffix))


def _check_spec(spec: str, samples: tuple[Any, ...]) -> None:
    """Raise a ValueError unless a format fits at least one of the samples."""
    for sample in samples[1:]:
        with contextlib.suppress(ValueError):
            format(sample, spec)
            return
    format(samples[0], spec)


def _depth(path: str) -> int:
    """Return the number of names below the root of a path or URL."""
    if is_url(path):
        return len([name for name in path.partition("://")[2].split("/") if name])
    return path.rstrip(os.sep).count(os.sep)


def _absolute(text: str) -> str:
    """Make a template absolute; braces in the directory put before it are not placeholders."""
    if is_url(text):
        return absolute(text)
    home = re.match(r"~[^/\\]*", text)
    if home is not None:
        return os.path.normpath(_literal(os.path.expanduser(home.group())) + text[home.end() :])
    if os.path.isabs(text):
        return os.path.normpath(text)
    return os.path.normpath(os.path.join(_literal(os.getcwd()), text))


def _literal(path: str) -> str:
    return path.replace("{", "{{").replace("}", "}}")


def check_suffix(template: FileTemplate, weights_only: bool) -> None:
    """Raise a ValueError unless the template's suffix fits what is saved; `.orbax` fits both."""
    if template.text.endswith(DIRECTORY_SUFFIXES):
        return
    shown = printable(template.text)
    if weights_only and not template.is_weights_only:
        raise ValueError(
            "When using `save_weights_only=True` in `ModelCheckpoint`, the filepath provided must "
            f"end in `{WEIGHTS_SUFFIX}` (Keras weights format), or in `.orbax` (a directory). "
            f"Received: filepath={shown}"
        )
    if weights_only:
        return
    if template.is_weights_only:
        raise ValueError(
            f"A filepath that ends in `{WEIGHTS_SUFFIX}` holds weights only: set "
            "`save_weights_only=True`, or end it in `.keras` to save the whole model. "
            f"Received: filepath={shown}"
        )
    if not suffix_of(template.text):
        raise ValueError(
            "The filepath provided must end in `.keras` (Keras model format; the legacy `.h5` is "
            f"accepted too), or in `.orbax` (a directory). Received: filepath={shown}"
        )


def _plain(value: Any) -> Any:
    """Return the number in a tensor or NumPy scalar, so that format specs apply."""
    if isinstance(value, str | int | float):
        return value
    number = as_number(value)
    return value if number is None else number
