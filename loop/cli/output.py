"""How the command line speaks: tables, progress bars, JSON, and times in UTC."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, is_dataclass
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich import box
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from loop import home as homes
from loop.clock import iso
from loop.home import Home, settings
from models.family import Progress as Report

FREE_TEXT = {"why", "reason", "value", "what it is", "layer", "shape", "who", "most often taken for", "private half"}
"""Columns that may be broken where a line is too long; the others would read badly."""

# No markup: whatever is printed may come from a stranger's file, a reason in the ledger, or a source's name.
console = Console(highlight=False, markup=False)
errors = Console(stderr=True, highlight=False, markup=False)

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document and nothing else.")]
FamilyName = Annotated[str, typer.Option("--family", help="Model family: cnn or svm.")]
Reason = Annotated[str, typer.Option("--reason", help="Why; the ledger keeps it.")]


def open_home(**overrides: Any) -> Home:
    """The home that settings, and options given on the command line, name."""
    return homes.at(settings.load(**overrides))


def say(text: str, style: str | None = None) -> None:
    """One line on standard output, never broken, so that a path can be copied."""
    console.print(text, style=style, soft_wrap=True)


def emit(value: Any) -> None:
    """Print a value as JSON: dataclasses as objects, times as ISO 8601, digests and paths as text."""
    print(json.dumps(value, default=_plain, indent=2, ensure_ascii=False))  # noqa: T201 (machines read this)


def table(title: str, *columns: str) -> Table:
    """An empty table in the house style; a column that starts with ``>`` is set flush right."""
    made = Table(
        box=box.SIMPLE_HEAD, title_justify="left", title_style="bold", pad_edge=False, padding=(0, 1, 0, 0), title=title
    )
    for column in columns:
        name = column.lstrip(">")
        free = name in FREE_TEXT
        made.add_column(name, justify="right" if column != name else "left", overflow="fold", no_wrap=not free)
    return made


def when(moment: datetime | None) -> str:
    """A time as people read it, in UTC."""
    return "–" if moment is None else f"{moment:%Y-%m-%d %H:%M}Z"


def percent(share: float | None) -> str:
    """0.9876 → 98.76 %."""
    return "–" if share is None else f"{100 * share:.2f} %"


@contextmanager
def progress(*, quiet: bool = False) -> Iterator[Report]:
    """A progress bar on standard error for each thing that reports ``(what, done, total)``."""
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description:<28}"),
        BarColumn(bar_width=32),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    bars = Progress(*columns, console=errors, disable=quiet)
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


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return iso(value)
    if isinstance(value, Path):
        return str(value)
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    raise TypeError(f"no JSON for {type(value).__name__}")
