"""Findings of a check on a terminal and as JSON."""

from collections.abc import Iterable
from typing import Any

from rich.text import Text

from loop.cli.output import line
from loop.operations.finding import Finding, Severity

STYLES = {Severity.OK: "green", Severity.NOTE: "dim", Severity.WARNING: "yellow", Severity.BROKEN: "bold red"}
MARKS = {Severity.OK: "✓", Severity.NOTE: "·", Severity.WARNING: "!", Severity.BROKEN: "✗"}
NAME_COLUMNS = 16


def print_findings(findings: Iterable[Finding]) -> None:
    """Print a line for each finding, with the fix below a problem."""
    for each in sorted(findings, key=lambda finding: finding.severity):
        name = f"{MARKS[each.severity]} {each.check}"
        line(name, Text(each.actual), width=NAME_COLUMNS, style=STYLES[each.severity])
        if each.expected:
            line("  expected", Text(each.expected), width=NAME_COLUMNS, style="dim")
        if each.fix:
            line("  fix", Text(each.fix, "cyan"), width=NAME_COLUMNS, style="dim")


def as_row(finding: Finding) -> dict[str, Any]:
    """A finding as JSON prints it."""
    severity = finding.severity.name.lower()
    row = {"severity": severity, "check": finding.check, "expected": finding.expected}
    return row | {"came": finding.actual, "fix": finding.fix}
