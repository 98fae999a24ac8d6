"""The command line: `kerascheckpoint list|latest|best|verify|average|compare|plot PATH`."""

import argparse
import dataclasses
import io
import json
import math
import os
import sys
from collections.abc import Callable, Sequence
from typing import Any

from . import __version__, average, catalog, checkpoint_info, compare, notify, tables, verify
from .checkpoint_info import CheckpointInfo
from .checkpoint_list import best_first, direction_for, last_monitor, metric_names
from .errors import CheckpointError
from .printable import printable

DONE, NOTHING, WRONG_USE = 0, 1, 2

_PROGRESS_FROM = 1 << 30  # bytes to verify from which on it says how far it is

_WHERE = "a directory, a template such as 'run/{epoch:02d}.keras', or one file"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return 0, or 1 if nothing was found or a file is damaged (2: wrong use)."""
    options = _parser().parse_args(arguments)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # paths that are no text go out as they came in
            stream.reconfigure(encoding=sys.getfilesystemencoding(), errors="surrogateescape")
    try:
        return _run(options)
    except BrokenPipeError:  # whoever reads has seen enough, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return DONE


def _run(options: argparse.Namespace) -> int:
    notify.set_warning_handler(lambda text: _say(f"warning: {text}"))
    command: Callable[[argparse.Namespace], int] = options.command
    try:
        status = command(options)
    except BrokenPipeError:
        raise
    except (CheckpointError, ImportError, OSError, ValueError) as error:
        _say(f"kerascheckpoint: {error}")
        is_use = isinstance(error, ValueError) and not isinstance(error, CheckpointError)
        if not is_use and getattr(options, "json", False):
            print("[]")
        status = WRONG_USE if is_use else NOTHING
    finally:
        notify.set_warning_handler(None)
    sys.stdout.flush()
    return status


def _say(text: str) -> None:
    print(printable(text), file=sys.stderr)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="kerascheckpoint",
        description="Look at the checkpoints of a Keras training.",
        epilog="Exit status: 0, 1 if nothing was found or a file is damaged, 2 for wrong use.",
    )
    parser.add_argument("--version", action="version", version=f"kerascheckpoint {__version__}")
    commands = parser.add_subparsers(
        required=True, metavar="list|latest|best|verify|average|compare|plot"
    )
    listing = _add(commands, "list", "list checkpoints, oldest first", _list)
    listing.add_argument("--sort", metavar="COLUMN", help="sort by this column, least first")
    listing.add_argument("--columns", metavar="A,B,...", help="show these columns only")
    latest = _add(commands, "latest", "print the newest one's path", _latest)
    best = _add(commands, "best", "print the best one's path", _best)
    best.add_argument("--mode", choices=("min", "max"), help="whether less or more is better")
    checking = _add(commands, "verify", "check files as a whole", _verify)
    mean = _add(commands, "average", "write the mean of the weights of several files", _average)
    chosen = mean.add_mutually_exclusive_group()
    chosen.add_argument("--best", type=_count, metavar="K", help="average the K best ones only")
    chosen.add_argument("--last", type=_count, metavar="N", help="average the N newest ones only")
    difference = _add(commands, "compare", "say how the arrays of two files differ", _compare)
    picture = _add(commands, "plot", "draw a metric over the epochs (needs matplotlib)", _plot)
    for command in (listing, latest, best, picture):
        command.add_argument("path", metavar="PATH", help=_WHERE)
    for command in (checking, mean):
        command.add_argument("paths", metavar="PATH", nargs="+", help=_WHERE)
    difference.add_argument("path", metavar="A", help="one file")
    difference.add_argument("other", metavar="B", help="another file")
    for command in (best, mean, picture):
        command.add_argument("--monitor", help="metric to go by (default: the one monitored)")
    for command in (mean, picture):
        command.add_argument("-o", "--output", metavar="FILE", required=True, help="file to write")
    for command in (listing, latest, best, checking, difference):
        command.add_argument("--json", action="store_true", help="print JSON")
    return parser


def _add(commands: Any, name: str, text: str, command: Any) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(name, help=text, description=text)
    parser.set_defaults(command=command)
    return parser


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be a whole number from 1 on, not {text!r}")
    return int(text)


def _list(options: argparse.Namespace) -> int:
    infos: list[CheckpointInfo] = catalog.list_checkpoints(options.path)
    known = tables.columns_of(infos)
    columns = options.columns.split(",") if options.columns else None
    for name in [*(columns or []), *filter(None, [options.sort])]:
        if infos and name not in known:
            raise ValueError(f"there is no column {name!r}; there are: {', '.join(known[:50])}")
    if options.sort:
        infos = tables.sorted_by(infos, options.sort)
    return _show(options, infos, lambda: tables.checkpoints(infos, columns))


def _latest(options: argparse.Namespace) -> int:
    info = catalog.latest_checkpoint(options.path)
    return _show(options, [info] if info else [], lambda: print(info and info.path))


def _best(options: argparse.Namespace) -> int:
    info = catalog.best_checkpoint(options.path, options.monitor, options.mode)
    return _show(options, [info] if info else [], lambda: print(info and info.path))


def _show(options: argparse.Namespace, infos: list[CheckpointInfo], show: Any) -> int:
    if options.json:
        print(checkpoint_info.to_json(infos, indent=2))
    elif infos:
        show()
    else:
        _say(f"kerascheckpoint: no checkpoint found at {options.path!r}")
    return DONE if infos else NOTHING


def _verify(options: argparse.Namespace) -> int:
    """Verify each file, and go on after a damaged one."""
    paths = _files_of(options.paths)
    total = sum(os.path.getsize(path) for path in paths if os.path.isfile(path))
    whole: list[CheckpointInfo] = []
    for number, path in enumerate(paths, 1):
        if total >= _PROGRESS_FROM and sys.stderr.isatty():
            _say(f"{number} of {len(paths)}: {path}")
        try:
            whole.append(verify.verify_checkpoint(path))
        except (CheckpointError, OSError) as error:
            _say(f"kerascheckpoint: {error}")
            continue
        if not options.json:
            print(f"{whole[-1].path} is whole")
    if options.json:
        print(checkpoint_info.to_json(whole, indent=2))
    return DONE if paths and len(whole) == len(paths) else NOTHING


def _files_of(paths: Sequence[str]) -> list[str]:
    """Return the files that are meant: a directory or a template means all of its own."""
    found: list[str] = []
    for path in paths:
        if os.path.isdir(path) or "{" in path:
            files = catalog.paths_at(path)
            if not files:
                _say(f"kerascheckpoint: no checkpoint found at {path!r}")
            found += files
        else:
            found.append(path)
    return found


def _average(options: argparse.Namespace) -> int:
    infos = [info for path in options.paths for info in catalog.list_checkpoints(path)]
    infos.sort(key=lambda info: info.age_key)
    if options.last:
        infos = infos[-options.last :]
    elif options.best:
        infos = _best_of(infos, options.best, options.monitor)
    if not infos:
        _say(f"kerascheckpoint: no checkpoint found at {options.paths[0]!r}")
        return NOTHING
    print(average.average_checkpoints(infos, options.output).path)
    return DONE


def _best_of(infos: list[CheckpointInfo], count: int, monitor: str | None) -> list[CheckpointInfo]:
    name = monitor or last_monitor(infos)
    direction = direction_for(infos, name)
    if name is None or direction is None:
        known = ", ".join(map(repr, metric_names(infos)[:20])) or "none"
        raise ValueError(f"which is best is not known; pass --monitor. Metrics: {known}.")
    return list(best_first(infos, name, direction))[:count]


def _compare(options: argparse.Namespace) -> int:
    found = compare.compare_checkpoints(options.path, options.other)
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


def _plot(options: argparse.Namespace) -> int:
    infos = catalog.list_checkpoints(options.path)
    if not infos:
        _say(f"kerascheckpoint: no checkpoint found at {options.path!r}")
        return NOTHING
    from .plot import plot

    plot(infos, options.monitor).figure.savefig(options.output, dpi=150)
    print(options.output)
    return DONE


if __name__ == "__main__":
    sys.exit(main())
