"""The clock. It is an argument of other functions, so that tests and simulated months can use their own."""

from collections.abc import Callable
from datetime import UTC, datetime

Clock = Callable[[], datetime]
"""Returns the current time, with a time zone."""


def utc_now() -> datetime:
    """The current time, in UTC."""
    return datetime.now(UTC)


def iso(moment: datetime) -> str:
    """``2026-05-03T08:15:00.000Z``: ISO 8601 in UTC with milliseconds, the form that Foundation's decoder accepts."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
