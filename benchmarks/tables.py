"""Prints what the benchmarks measured."""

from collections.abc import Iterable, Mapping, Sequence
from statistics import median
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

console = Console(highlight=False, width=max(Console().width, 130))


def usual(times: Sequence[float]) -> float:
    """Return the median of all but the first, if there are others."""
    return median(times[1:] or times)


def show_saves(title: str, result: Mapping[str, Any], references: Iterable[str]) -> None:
    """Print single saves: the first, the median and the longest of the others, and ratios."""
    saves = result.get("saves", {})
    if not saves:
        console.print(f"{title}: no save was measured")
        return
    references = [name for name in references if name in saves]
    size = f"{result['bytes'] / 1e6:.0f} MB in {result['arrays']} arrays"
    table = Table(title=f"{title}: {size}; one save", title_justify="left")
    table.add_column("", no_wrap=True)
    for heading in ("first, ms", "ms", "most, ms", "times", *(f"x {name}" for name in references)):
        table.add_column(heading, justify="right")
    for name, times in saves.items():
        figures = [times[0], usual(times), max(times[1:] or times)]
        ratios = [f"{usual(times) / usual(saves[other]):.3g}" for other in references]
        cells = [f"{figure * 1e3:.1f}" for figure in figures]
        table.add_row(name, *cells, str(len(times)), *ratios)
    console.print(table)
    if result.get("memory"):
        sizes = (f"{name} {size / 1e6:.0f} MB" for name, size in result["memory"].items())
        console.print(f"Memory on top of the model while it is saved: {', '.join(sizes)}")
    show_remarks("save", result.get("problems", {}), result.get("no_time", ()))


def show_fits(title: str, result: Mapping[str, Any]) -> None:
    """Print what a callback with one save per epoch costs a whole `fit`, against none beside it.

    "Stolen" is the share of the processors' time that a virtual machine wanted and was not given.
    """
    fits = result.get("fits", {})
    if "none" not in fits:
        show_remarks("fit", result.get("fit_problems", {}), result.get("fit_no_time", ()))
        return
    epochs, none = result["epochs"], fits["none"]["totals"]
    title = f"{title}: fit, {epochs} epochs of {median(none) / epochs:.1f} s, one save each"
    table = Table(title=title, title_justify="left")
    table.add_column("", no_wrap=True)
    for heading in (
        *("fit", "wait at the end", "x none", "with the wait", "times", "stolen"),
        *("first stall, ms", "stall, ms", "most, ms", "next step, ms", "a step, ms"),
    ):
        table.add_column(heading, justify="right")
    for name, fit in fits.items():
        stalls = [stall for one in fit["stalls"] for stall in one[1:]]
        table.add_row(
            name,
            f"{median(fit['totals']):.2f} s",
            f"{median(fit['ends']):.2f} s",
            f"{ratio_of_fit(fits, name, with_wait=False):.3f}",
            f"{ratio_of_fit(fits, name, with_wait=True):.3f}",
            str(len(fit["totals"])),
            f"{median(fit['stolen']):.0%}",
            f"{fit['stalls'][0][0] * 1e3:.1f}",
            f"{median(stalls) * 1e3:.1f}",
            f"{max(stalls) * 1e3:.1f}",
            f"{median(fit['next_steps']) * 1e3:.1f}",
            f"{median(fit['other_steps']) * 1e3:.1f}",
        )
    console.print(table)
    show_remarks("fit", result.get("fit_problems", {}), result.get("fit_no_time", ()))


def ratio_of_fit(fits: Mapping[str, Any], name: str, *, with_wait: bool) -> float:
    """Return how much longer a `fit` takes than the one without a callback beside it."""

    def seconds(name: str) -> list[float]:
        fit = fits[name]
        waits = fit["ends"] if with_wait else [0.0] * len(fit["ends"])
        return [total + wait for total, wait in zip(fit["totals"], waits, strict=True)]

    pairs = zip(seconds(name), seconds("none"), strict=False)
    return median(mine / alone for mine, alone in pairs)


def show_remarks(what: str, problems: Mapping[str, str], no_time: Sequence[str]) -> None:
    """Print what could not be measured, and why."""
    for name, problem in problems.items():
        console.print(f"[red]{what}, {escape(name)} failed: {escape(problem)}[/red]")
    if no_time:
        console.print(f"[red]No time was left for this {what}: {', '.join(no_time)}[/red]")
    console.print()


def show_targets(title: str, rows: Iterable[tuple[str, str, str, bool | None]]) -> None:
    """Print what was aimed at beside what was measured.

    Args:
        title: What the table is about.
        rows: What, the figure, its limit, and whether it was met; `None` if it was not measured.
    """
    table = Table(title=title, title_justify="left")
    for heading, justify in (
        ("", "left"),
        ("measured", "right"),
        ("target", "right"),
        ("", "left"),
    ):
        table.add_column(heading, justify=justify, no_wrap=True)
    words = {True: "[green]met[/green]", False: "[red]missed[/red]", None: ""}
    for what, measured, target, is_met in rows:
        table.add_row(what, measured, target, words[is_met])
    console.print(table)
    console.print()
