"""The commands of the command line. Each returns the exit status."""

import argparse
import dataclasses
import json
import math
import sys
from collections.abc import Callable
from typing import Any

from . import average, catalog, checkpoint_info, compare, finding, location, tables
from .checkpoint_info import CheckpointInfo, Mode
from .checkpoint_list import best_first, direction_for, last_monitor, metric_names
from .errors import CheckpointError
from .formats.forms import reading_many
from .printable import printable
from .verify_bar import VerifyBar

DONE, NOTHING, WRONG_USE = 0, 1, 2


def say(text: str) -> None:
    """Print a message to standard error, apart from the results."""
    print(printable(text), file=sys.stderr)


def print_path(path: str) -> None:
    """Print a path: as it is for a script, escaped for a terminal."""
    print(printable(path) if sys.stdout.isatty() else path)


def check(options: argparse.Namespace) -> None:
    """Check that some path can use the storage options.

    Raises:
        ValueError: If there is no URL among the paths.
    """
    given = vars(options)
    paths = [given.get(name) for name in ("path", "other", "output")] + given.get("paths", [])
    if options.storage_options and not any(_is_remote(path) for path in paths if path):
        raise ValueError("--storage-options are for URLs such as s3://bucket/run")


def reach(options: argparse.Namespace, path: str) -> dict[str, Any] | None:
    """Return the storage options for a path: `None` for a local one."""
    given: dict[str, Any] | None = options.storage_options
    return given if _is_remote(path) else None


def _is_remote(path: str) -> bool:
    return location.is_url(location.absolute(path))


def _list(options: argparse.Namespace, path: str) -> list[CheckpointInfo]:
    return catalog.list_checkpoints(path, reach(options, path))


def list_(options: argparse.Namespace) -> int:
    """Print a table of checkpoints."""
    infos = _list(options, options.path)
    known = tables.columns_of(infos)
    columns = options.columns.split(",") if options.columns else None
    for name in [*(columns or []), *filter(None, [options.sort])]:
        if infos and name not in known:
            raise ValueError(f"there is no column {name!r}; columns: {', '.join(known[:50])}")
    if options.sort:
        infos = tables.sorted_by(infos, options.sort)
    return _show(options, infos, lambda: tables.checkpoints(infos, columns))


def latest(options: argparse.Namespace) -> int:
    """Print the path of the newest checkpoint."""
    info = catalog.latest_checkpoint(options.path, reach(options, options.path))
    return _show(options, [info] if info else [], lambda: print_path(info.path if info else ""))


def best(options: argparse.Namespace) -> int:
    """Print the path of the best checkpoint."""
    given = reach(options, options.path)
    info = catalog.best_checkpoint(options.path, options.monitor, options.mode, given)
    return _show(options, [info] if info else [], lambda: print_path(info.path if info else ""))


def _show(
    options: argparse.Namespace, infos: list[CheckpointInfo], show: Callable[[], object]
) -> int:
    if options.json:
        print(checkpoint_info.to_json(infos, indent=2))
    elif infos:
        show()
    else:
        _say_nothing_found(options.path)
    return DONE if infos else NOTHING


def _say_nothing_found(path: str) -> None:
    say(f"kerascheckpoint: no checkpoint found at {path!r}")


def verify_(options: argparse.Namespace) -> int:
    """Verify each file, also after a damaged one."""
    paths = _files_of(options)
    found: list[CheckpointInfo | tuple[str, str]] = []
    bar = VerifyBar(paths, lambda path: reach(options, path))
    with reading_many():
        for path in paths:
            try:
                info = bar.verify(path)
            except (CheckpointError, OSError) as error:
                say(f"kerascheckpoint: {error}")
                found.append((path, str(error)))
            else:
                found.append(info)
                if not options.json:
                    print(f"{printable(info.path)} is whole")
    if options.json:
        print(json.dumps([_verified_as_json(one) for one in found], indent=2))
    is_whole = all(isinstance(one, CheckpointInfo) for one in found)
    return DONE if found and is_whole else NOTHING


def _verified_as_json(found: "CheckpointInfo | tuple[str, str]") -> dict[str, Any]:
    """Return the fields of a whole file, or the path and the error of a damaged one."""
    if isinstance(found, CheckpointInfo):
        fields: dict[str, Any] = json.loads(checkpoint_info.to_json([found]))[0]
        return fields | {"error": None}
    return {"path": found[0], "error": found[1]}


def _files_of(options: argparse.Namespace) -> list[str]:
    """Return the files to verify; a directory or a template stands for all of its files."""
    found: list[str] = []
    for path in options.paths:
        place = finding.place_of(path, reach(options, path))
        files = finding.paths_at(path, place)
        if files:
            found += files
        elif finding.may_hold_several(path, place):
            _say_nothing_found(path)
        else:
            found.append(location.absolute(path))  # verifying it will report what is wrong
    return found


def average_(options: argparse.Namespace) -> int:
    """Write the average of the chosen checkpoints."""
    infos = [info for path in options.paths for info in _list(options, path)]
    infos.sort(key=lambda info: info.age_key)
    if options.last:
        infos = infos[-options.last :]
    elif options.best:
        infos = _best_of(infos, options)
    if not infos:
        _say_nothing_found(options.paths[0])
        return NOTHING
    wanted = options.last or options.best or 0
    if len(infos) < wanted:
        say(f"warning: there are only {len(infos)} checkpoints to average, not {wanted}")
    mean = average.average_checkpoints(infos, options.output, options.storage_options)
    print_path(mean.path)
    return DONE


def _best_of(infos: list[CheckpointInfo], options: argparse.Namespace) -> list[CheckpointInfo]:
    name: str | None = options.monitor or last_monitor(infos)
    direction: Mode | None = options.mode or direction_for(infos, name)
    known = metric_names(infos)
    if not infos:
        return []
    if name not in known or direction is None:
        lacking = "--monitor" if name not in known else "--mode min or --mode max"
        listed = ", ".join(map(repr, known[:20])) or "none"
        raise ValueError(f"cannot tell which file is best; pass {lacking}. Metrics: {listed}.")
    return list(best_first(infos, name, direction))[: options.best]


def compare_(options: argparse.Namespace) -> int:
    """Print the differences between the arrays of two checkpoints."""
    found = compare.compare_checkpoints(options.path, options.other, options.storage_options)
    if options.json:
        print(json.dumps([_as_json(difference) for difference in found], indent=2))
    else:
        tables.differences(found)
    return DONE


def _as_json(difference: compare.ArrayDifference) -> dict[str, Any]:
    return {
        name: None if isinstance(value, float) and not math.isfinite(value) else value
        for name, value in dataclasses.asdict(difference).items()
    }


def plot_(options: argparse.Namespace) -> int:
    """Draw a metric of one or more runs."""
    runs = {path: _list(options, path) for path in options.paths}
    for path in [path for path, infos in runs.items() if not infos]:
        _say_nothing_found(path)
        del runs[path]
    if not runs:
        return NOTHING
    from .plot import plot

    plot(runs, options.monitor).figure.savefig(options.output, dpi=150)
    print_path(options.output)
    return DONE
