"""What time it is: a clock is an argument, so that tests and simulated months can bring their own."""

from collections.abc import Callable
from datetime import UTC, datetime

Clock = Callable[[], datetime]
"""Returns the time now, with a zone."""


def utc_now() -> datetime:
    """The time now, in UTC."""
    return datetime.now(UTC)


def iso(moment: datetime) -> str:
    """``2026-05-03T08:15:00.000Z``: ISO 8601 in UTC with milliseconds, the form that Foundation's decoder accepts."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
