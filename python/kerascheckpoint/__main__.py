"""The command line: `kerascheckpoint list|latest|best|verify PATH [--json]`."""

import argparse
import io
import os
import sys
from collections.abc import Callable, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from . import catalog, checkpoint_info, notify, verify
from .checkpoint_info import CheckpointInfo
from .errors import CheckpointError

FOUND, NOTHING, WRONG_USE = 0, 1, 2

_Command = Callable[[argparse.Namespace], list[CheckpointInfo]]
_Show = Callable[[list[CheckpointInfo]], None]


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
        return FOUND


def _run(options: argparse.Namespace) -> int:
    notify.set_warning_handler(lambda text: print(f"warning: {text}", file=sys.stderr))
    command: _Command = options.command
    try:
        infos = command(options)
    except ValueError as error:
        if isinstance(error, CheckpointError):
            return _fail(error, NOTHING)
        return _fail(error, WRONG_USE)
    except (CheckpointError, OSError) as error:
        return _fail(error, NOTHING)
    finally:
        notify.set_warning_handler(None)
    if options.json:
        print(checkpoint_info.to_json(infos, indent=2))
    elif infos:
        options.show(infos)
    else:
        print(f"kerascheckpoint: no checkpoint found at {options.path!r}", file=sys.stderr)
    sys.stdout.flush()
    return FOUND if infos else NOTHING


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="kerascheckpoint",
        description="Look at the checkpoints of a Keras training.",
        epilog="Exit status: 0, 1 if nothing was found or a file is damaged, 2 for wrong use.",
    )
    commands = parser.add_subparsers(required=True, metavar="list|latest|best|verify")
    where = "a directory, a template such as 'run/{epoch:02d}.keras', or one file"
    listing = _add(commands, "list", "list checkpoints, oldest first", where, _list, _show_table)
    latest = _add(commands, "latest", "print the newest one's path", where, _latest, _show_paths)
    best = _add(commands, "best", "print the best one's path", where, _best, _show_paths)
    checking = _add(commands, "verify", "check a file as a whole", "one file", _verify, _show_whole)
    best.add_argument("--monitor", help="metric to go by (default: the one that was monitored)")
    best.add_argument("--mode", choices=("min", "max"), help="whether less or more is better")
    for command in (listing, latest, best, checking):
        command.add_argument("--json", action="store_true", help="print JSON")
    return parser


def _add(
    commands: Any, name: str, text: str, path_text: str, command: _Command, show: _Show
) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(name, help=text, description=text)
    parser.add_argument("path", metavar="PATH", help=path_text)
    parser.set_defaults(command=command, show=show)
    return parser


def _list(options: argparse.Namespace) -> list[CheckpointInfo]:
    return catalog.list_checkpoints(options.path)


def _latest(options: argparse.Namespace) -> list[CheckpointInfo]:
    info = catalog.latest_checkpoint(options.path)
    return [info] if info else []


def _best(options: argparse.Namespace) -> list[CheckpointInfo]:
    info = catalog.best_checkpoint(options.path, options.monitor, options.mode)
    return [info] if info else []


def _verify(options: argparse.Namespace) -> list[CheckpointInfo]:
    return [verify.verify_checkpoint(options.path)]


def _show_paths(infos: list[CheckpointInfo]) -> None:
    for info in infos:
        print(info.path)


def _show_whole(infos: list[CheckpointInfo]) -> None:
    for info in infos:
        print(f"{info.path} is whole")


def _show_table(infos: list[CheckpointInfo]) -> None:
    names = list(dict.fromkeys(name for info in infos for name in info.metrics))
    table = Table(box=None, header_style="bold", pad_edge=False)
    for heading in ("epoch", "batch", "step", *names, "best", "reason", "saved at (UTC)", "size"):
        table.add_column(
            Text(heading), justify="left" if heading == "reason" else "right", no_wrap=True
        )
    table.add_column("path", overflow="fold", no_wrap=True)
    for info in infos:
        values = [_shown(info.metrics.get(name)) for name in names]
        counters = [_shown(info.epoch), _shown(info.batch), _shown(info.step)]
        saved = info.saved_at.strftime("%Y-%m-%d %H:%M:%S")
        best = "*" if info.best else ""
        size = _readable(info.size)
        cells = [*counters, *values, best, info.reason or "", saved, size, info.path]
        table.add_row(*(Text(cell) for cell in cells))  # a Text is printed as it is
    # Wide enough for every column, whatever the terminal: a path that is cut short is of no use.
    width = Console(width=1 << 20).measure(table).maximum
    Console(width=width).print(table)


def _shown(value: float | int | None) -> str:
    return "" if value is None else f"{value:.5g}" if isinstance(value, float) else str(value)


def _readable(size: float) -> str:
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:.3g} TB"


def _fail(error: Exception, status: int) -> int:
    print(f"kerascheckpoint: {error}", file=sys.stderr)
    return status


if __name__ == "__main__":
    sys.exit(main())
