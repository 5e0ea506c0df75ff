"""Checks of what was uploaded: which rows are set aside, of whom they are, and which questions nobody can answer."""

from collections.abc import Iterator

from loop.operations.checks import Installation
from loop.operations.finding import Finding, note, ok, warning
from loop.store.asking import unanswered
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


def stuck(installation: Installation) -> Iterator[Finding]:
    """Each open question has an active reviewer who has neither answered nor skipped it."""
    home = installation.home
    with home.store.read() as tx:
        found = unanswered.count(tx, installation.now)
    if not found.stuck:
        yield ok("questions", f"{found.all:,} open")
        return
    expected = "open questions that a reviewer of the last week can still answer"
    actual = f"{found.stuck:,} of {found.all:,} that all of them have answered or skipped"
    days = f"after {home.settings.ask.pool_days:g} days a question is closed without a label"
    fix = f"let one more person review (loop keys create NAME --role reviewer), or lower review.min_agree; {days}"
    yield warning("questions", expected, actual, fix)
