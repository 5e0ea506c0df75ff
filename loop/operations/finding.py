"""The results of checks: one line each, with its fix."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum


class Severity(IntEnum):
    """Higher is worse. A note is information and needs no action."""

    OK = 0
    NOTE = 1
    WARNING = 2
    BROKEN = 3


@dataclass(frozen=True, slots=True)
class Finding:
    """One result: the check, the expected and the actual state, and the ``fix``: a command or an action, or empty."""

    check: str
    severity: Severity
    expected: str
    actual: str
    fix: str = ""


def ok(check: str, actual: str) -> Finding:
    """The check passed."""
    return Finding(check, Severity.OK, "", actual)


def note(check: str, actual: str, fix: str = "") -> Finding:
    """The check passed; this is additional information."""
    return Finding(check, Severity.NOTE, "", actual, fix)


def warning(check: str, expected: str, actual: str, fix: str) -> Finding:
    """It still works, but needs attention."""
    return Finding(check, Severity.WARNING, expected, actual, fix)


def broken(check: str, expected: str, actual: str, fix: str) -> Finding:
    """It does not work, or cannot be trusted."""
    return Finding(check, Severity.BROKEN, expected, actual, fix)


def worst(findings: Iterable[Finding]) -> Severity:
    """The worst severity."""
    return max((each.severity for each in findings), default=Severity.OK)
