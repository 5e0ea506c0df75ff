"""Checks of what was uploaded: which rows are set aside, and of whom they are."""

from collections.abc import Iterator

from loop.operations.checks import Installation
from loop.operations.finding import Finding, note, ok
from loop.store.feedback import weighing

SHOWN = 3


def set_aside(installation: Installation) -> Iterator[Finding]:
    """Uploads that are never weighed, since what they state about themselves cannot be true."""
    home = installation.home
    with home.store.read() as tx:
        least_rate = weighing.least_announced(tx, home.settings.confirm_rate)
        counts = {reason: n for reason, n in weighing.counts(tx, least_rate).items() if n}
        newest = weighing.newest(tx, least_rate, SHOWN)
    if not counts:
        yield ok("set aside", "every accepted upload is weighed")
        return
    reasons = ", ".join(f"{n:,} {reason}" for reason, n in counts.items())
    named = ", ".join(f"{each.id} of {each.source:.60}" for each in newest)
    actual = f"{sum(counts.values()):,} uploads are kept but never weighed ({reasons}); the newest: {named}"
    yield note("set aside", actual, "correct the app that sends them, or loop erase SOURCE")
