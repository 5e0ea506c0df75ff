"""Output of the command line: tables, progress, JSON, and times in UTC."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, is_dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich import box
from rich.console import Console
from rich.measure import Measurement
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from loop import home as homes
from loop.clock import iso
from loop.home import Home, settings

if TYPE_CHECKING:
    from models.family import Progress as Report

FREE_TEXT = {"reason", "value", "description", "layer", "shape", "by", "most often read as", "private key", "events"}
"""Columns that may be wrapped where a line is too long; the others would be hard to read."""
PIPED_COLUMNS = 10_000
"""Width of a table in a file or a pipe, where nothing is gained by wrapping: a row stays on one line."""

# No markup: printed text may come from a stranger's file, a reason in the ledger, or a source's name.
console = Console(highlight=False, markup=False)
errors = Console(stderr=True, highlight=False, markup=False)

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document and nothing else.")]
FamilyName = Annotated[str, typer.Option("--family", help="Model family: cnn or svm.")]
Reason = Annotated[str, typer.Option("--reason", help="Reason, kept in the ledger.")]


def open_home(**overrides: Any) -> Home:
    """The home that the settings name; ``overrides`` are options of the command line."""
    return homes.at(settings.load(**overrides))


def say(text: str, style: str | None = None) -> None:
    """Print one line on standard output; it is never wrapped, so that a path can be copied."""
    console.print(text, style=style, soft_wrap=True)


def emit(value: Any) -> None:
    """Print a value as JSON: dataclasses as objects, times as ISO 8601, digests and paths as text."""
    print(json.dumps(value, default=_plain, indent=2, ensure_ascii=False))  # noqa: T201 (machines read this)


def table(title: str, *columns: str) -> Table:
    """An empty table in the house style; a column that starts with ``>`` is aligned right."""
    made = Table(
        box=box.SIMPLE_HEAD, title_justify="left", title_style="bold", pad_edge=False, padding=(0, 1, 0, 0), title=title
    )
    for column in columns:
        name = column.lstrip(">")
        free = name in FREE_TEXT
        made.add_column(name, justify="right" if column != name else "left", overflow="fold", no_wrap=not free)
    return made


def print_table(shown: Table) -> None:
    """Print a table. A terminal that is too narrow for it gets a block of ``column  value`` lines for each row."""
    if not console.is_terminal:
        console.width = PIPED_COLUMNS
    if _minimum(shown) <= console.width:
        console.print(shown)
        return
    if shown.title:
        console.print(shown.title, style="bold")
    heads = [str(column.header) for column in shown.columns]
    label = max(map(len, heads)) + 2
    for row in zip(*(list(column.cells) for column in shown.columns), strict=True):
        console.print()
        for head, cell in zip(heads, row, strict=True):
            text = cell if isinstance(cell, Text) else Text(str(cell))
            if text.plain:
                line(head, text, width=label, style="dim")


def _minimum(shown: Table) -> int:
    """Columns below which a table would be cut, or words broken."""
    return Measurement.get(console, console.options.update(width=PIPED_COLUMNS), shown).minimum


def line(name: str, *parts: Text, width: int = 12, style: str = "bold") -> None:
    """Print a name, then each part on a line of its own, wrapped between words and aligned below the first.

    In a pipe each part stays on one line.
    """
    label = f"{name:<{width}}"
    for part in parts:
        wrapped = part.wrap(console, max(20, console.width - width)) if console.is_terminal else [part]
        for each in wrapped:
            each.rstrip()
            console.print(Text(label, style) + each, soft_wrap=True)
            label = " " * width


def when(moment: datetime | None) -> str:
    """A time for people, in UTC."""
    return "–" if moment is None else f"{moment:%Y-%m-%d %H:%M}Z"


def percent(share: float | None) -> str:
    """0.9876 → 98.76 %."""
    return "–" if share is None else f"{100 * share:.2f} %"


@contextmanager
def progress(*, quiet: bool = False) -> "Iterator[Report]":
    """Progress on standard error for each step that reports ``(what, done, total)``.

    A terminal gets a bar per step, a file or a pipe one line per step, with the time since the first one.
    """
    if quiet:
        yield _ignore
    elif errors.is_terminal:
        yield from _bars()
    else:
        yield _lines()


def _ignore(what: str, done: int, total: int) -> None:
    pass


def _bars() -> "Iterator[Report]":
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description:<28}"),
        BarColumn(bar_width=32),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    bars = Progress(*columns, console=errors)
    tasks: dict[str, Any] = {}

    def report(what: str, done: int, total: int) -> None:
        if what not in tasks:
            bars.start()  # only now, or a command with nothing to report would print an empty line
            tasks[what] = bars.add_task(what, total=total)
        bars.update(tasks[what], completed=done, total=total)

    try:
        yield report
    finally:
        if tasks:
            bars.stop()


def _lines() -> "Report":
    """Write a line when a step begins: ``0:00:12 evaluate``."""
    begun, seen = time.monotonic(), set[str]()

    def report(what: str, done: int, total: int) -> None:  # noqa: ARG001 (a step has one line, whatever its length)
        if what not in seen:
            seen.add(what)
            errors.print(f"{timedelta(seconds=int(time.monotonic() - begun))} {what}", soft_wrap=True)

    return report


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return iso(value)
    if isinstance(value, Path):
        return str(value)
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    raise TypeError(f"no JSON for {type(value).__name__}")
