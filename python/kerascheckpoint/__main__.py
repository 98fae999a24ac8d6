"""The command line: `kerascheckpoint list|latest|best|verify|average|compare|plot PATH`."""

import argparse
import io
import json
import os
import sys
from collections.abc import Callable, Sequence
from typing import Any

from . import __version__, commands, notify
from .commands import DONE, NOTHING, WRONG_USE, say
from .errors import CheckpointError

_WHERE = "a directory, a template such as 'run/{epoch:02d}.keras', or one file"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return 0, or 1 if nothing was found or a file is damaged (2: wrong use)."""
    options = _parser().parse_args(arguments)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # print undecodable file names unchanged
            stream.reconfigure(encoding=sys.getfilesystemencoding(), errors="surrogateescape")
    try:
        return _run(options)
    except BrokenPipeError:  # the reader has closed the pipe, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return DONE


def _run(options: argparse.Namespace) -> int:
    notify.set_warning_handler(lambda text: say(f"warning: {text}"))
    command: Callable[[argparse.Namespace], int] = options.command
    try:
        commands.check(options)
        status = command(options)
    except BrokenPipeError:
        raise
    except (CheckpointError, ImportError, OSError, ValueError) as error:
        say(f"kerascheckpoint: {error}")
        is_use = isinstance(error, ValueError) and not isinstance(error, CheckpointError)
        if not is_use and getattr(options, "json", False):
            print("[]")
        status = WRONG_USE if is_use else NOTHING
    finally:
        notify.set_warning_handler(None)
    sys.stdout.flush()
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="kerascheckpoint",
        description="Look at the checkpoints of a Keras training.",
        epilog="Exit status: 0, 1 if nothing was found or a file is damaged, 2 for wrong use.",
    )
    parser.add_argument("--version", action="version", version=f"kerascheckpoint {__version__}")
    _add_verbs(
        parser.add_subparsers(required=True, metavar="list|latest|best|verify|average|compare|plot")
    )
    return parser


def _add_verbs(verbs: Any) -> None:
    """Add the parser of each verb, then the arguments that several verbs share."""
    listing = _add(verbs, "list", "list checkpoints, oldest first", commands.list_)
    listing.add_argument("--sort", metavar="COLUMN", help="sort by this column, smallest first")
    listing.add_argument("--columns", metavar="A,B,...", help="show these columns only")
    latest = _add(verbs, "latest", "print the path of the newest checkpoint", commands.latest)
    best = _add(verbs, "best", "print the path of the best checkpoint", commands.best)
    checking = _add(verbs, "verify", "check every byte of files", commands.verify_)
    mean = _add(
        verbs, "average", "write the average of the weights of several files", commands.average_
    )
    difference = _add(
        verbs, "compare", "show how the arrays of two files differ", commands.compare_
    )
    difference.add_argument("path", metavar="A", help="one file")
    difference.add_argument("other", metavar="B", help="another file")
    picture = _add(
        verbs, "plot", "draw a metric over the epochs (needs matplotlib)", commands.plot_
    )
    picture.add_argument(
        "paths", metavar="PATH", nargs="+", help=f"{_WHERE}; several draw several runs"
    )
    chosen = mean.add_mutually_exclusive_group()
    chosen.add_argument("--best", type=_count, metavar="K", help="average only the K best files")
    chosen.add_argument("--last", type=_count, metavar="N", help="average only the N newest files")
    for verb in (listing, latest, best):
        verb.add_argument("path", metavar="PATH", help=_WHERE)
    for verb in (checking, mean):
        verb.add_argument("paths", metavar="PATH", nargs="+", help=_WHERE)
    for verb in (best, mean, picture):
        verb.add_argument("--monitor", help="metric to use (default: the monitored one)")
    for verb in (best, mean):
        verb.add_argument(
            "--mode", choices=("min", "max"), help="whether lower or higher is better"
        )
    for verb in (mean, picture):
        verb.add_argument("-o", "--output", metavar="FILE", required=True, help="file to write")
    for verb in (listing, latest, best, checking, difference):
        verb.add_argument("--json", action="store_true", help="print JSON")


def _add(verbs: Any, name: str, text: str, command: Any) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = verbs.add_parser(name, help=text, description=text)
    parser.set_defaults(command=command)
    parser.add_argument(
        "--storage-options",
        metavar="OPTION",
        type=_storage_options,
        action=_Merge,
        help="what fsspec needs to open a URL, as JSON or KEY=VALUE; may be repeated",
    )
    return parser


class _Merge(argparse.Action):
    """Merges the values of a repeated option."""

    def __call__(self, parser: Any, namespace: Any, values: Any, option: Any = None) -> None:
        setattr(namespace, self.dest, (getattr(namespace, self.dest) or {}) | values)


def _storage_options(text: str) -> dict[str, Any]:
    """Parse a JSON object, or `KEY=VALUE` with a value that is JSON or else a text."""
    key, sign, value = text.partition("=")
    if text.lstrip().startswith("{"):
        try:
            found: dict[str, Any] = json.loads(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(f"is not a JSON object: {error}") from None
        return found
    if not (key and sign):
        raise argparse.ArgumentTypeError(f"must be JSON or KEY=VALUE, not {text!r}")
    try:
        return {key: json.loads(value)}
    except ValueError:
        return {key: value}


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be a whole number of at least 1, not {text!r}")
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
