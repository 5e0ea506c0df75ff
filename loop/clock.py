"""What time it is: a clock is an argument, so that tests and simulated months can bring their own."""

from collections.abc import Callable
from datetime import UTC, datetime

Clock = Callable[[], datetime]
"""Returns the time now, with a zone."""


def utc_now() -> datetime:
    """The time now, in UTC."""
    return datetime.now(UTC)
