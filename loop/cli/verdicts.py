"""Verdicts and accuracies on a terminal."""

from collections.abc import Iterable, Mapping
from typing import Any

from rich.table import Table
from rich.text import Text

from loop.cli.output import console, percent, print_table, table

COLOURS = {"passed": "green", "failed": "red", "inconclusive": "yellow"}
MARKS = {"passed": "✓", "failed": "✗", "inconclusive": "?"}


def coloured(outcome: str) -> Text:
    """The outcome in its colour."""
    return Text(outcome, COLOURS.get(outcome, ""))


def verdict(title: str, outcome: str, reasons: Iterable[Mapping[str, Any]]) -> None:
    """Print a verdict with its reasons, a line each."""
    console.print(Text(f"{title}: ", "bold") + coloured(outcome))
    lines = Table.grid(padding=(0, 1))  # long reasons wrap beside their mark
    for reason in reasons:
        check = reason["outcome"]
        lines.add_row(Text(f" {MARKS[check]}", COLOURS[check]), Text(reason["text"]))
    print_table(lines)


def slices(summary: Mapping[str, Any]) -> None:
    """Print the accuracy of one model on each slice."""
    shown = table("", "slice", ">n", ">accuracy", ">95 % interval", ">errors")
    for part in summary["slices"]:
        shown.add_row(part["name"], f"{part['n']:,}", percent(part["accuracy"]), interval(part), str(part["errors"]))
    print_table(shown)


def before_and_after(before: Mapping[str, Any] | None, after: Mapping[str, Any]) -> None:
    """Print the accuracy of champion and challenger on each slice."""
    known = {} if before is None else {part["name"]: part for part in before["slices"]}
    shown = table("Accuracy on digits that never trained a model", "slice", ">n", ">before", ">95 %", ">after", ">95 %")
    for part in after["slices"]:
        old = known.get(part["name"])
        cells = ("–", "–") if old is None else (percent(old["accuracy"]), interval(old))
        shown.add_row(part["name"], f"{part['n']:,}", *cells, percent(part["accuracy"]), interval(part))
    print_table(shown)


def interval(part: Mapping[str, Any]) -> str:
    """98.1–99.0."""
    return "–" if part["n"] == 0 else "–".join(f"{100 * end:.1f}" for end in part["interval"])
