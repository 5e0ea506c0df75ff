"""What an examination found: one line each, with what to do about it."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum


class Severity(IntEnum):
    """Worse is higher. A note is worth knowing and asks for nothing."""

    OK = 0
    NOTE = 1
    WARNING = 2
    BROKEN = 3


@dataclass(frozen=True, slots=True)
class Finding:
    """What was looked at, what should be and what is; ``fix`` is a command, or what to do, and empty if nothing."""

    check: str
    severity: Severity
    expected: str
    came: str
    fix: str = ""


def ok(check: str, came: str) -> Finding:
    """All is well."""
    return Finding(check, Severity.OK, "", came)


def note(check: str, came: str, fix: str = "") -> Finding:
    """All is well, and this is worth knowing."""
    return Finding(check, Severity.NOTE, "", came, fix)


def warning(check: str, expected: str, came: str, fix: str) -> Finding:
    """It goes on for now."""
    return Finding(check, Severity.WARNING, expected, came, fix)


def broken(check: str, expected: str, came: str, fix: str) -> Finding:
    """Something does not work, or is not to be trusted."""
    return Finding(check, Severity.BROKEN, expected, came, fix)


def worst(findings: Iterable[Finding]) -> Severity:
    """The worst of them."""
    return max((each.severity for each in findings), default=Severity.OK)
