"""Keep asking: after each night, and whenever the queue runs low, ask what helps most, and tell phones what to send."""

import logging
from datetime import datetime, timedelta

from loop.asking import announcing, gold, kept_pace, nightly, pacing, review, suspects
from loop.asking.nightly import Asked
from loop.errors import LoopError
from loop.feed import upkeep as feed_upkeep
from loop.home import Home
from loop.store.asking import pool, questions, unanswered
from loop.store.values import Attribution

LOW = 1 / 4
"""The queue runs low below this share of ``ask.per_day``."""

log = logging.getLogger(__name__)


def follow(home: Home, family: str, now: datetime) -> Asked | None:
    """Ask the next questions, and set and publish the phones' policy. An error is logged: no night fails by it."""
    try:
        _expire(home, now)
        pace = pacing.adapt(home, family, now)
        held = suspects.ask_held_back(home, now)
        asked = nightly.ask(home, family, now)
        proposal = announcing.announce(home, now, pace)
    except LoopError as error:
        log.error("no questions were asked: %s", error)
        return None
    log.info("questions: %s", "; ".join((asked.why, *pace.reasons)))
    known = _gold(home, family, now)
    log.info("questions: %d about uploads held back, %d with known answers", held, known)
    if proposal is not None:
        reasons = "; ".join(proposal.reasons)
        log.info("the asking policy changed: %s", reasons)
        feed_upkeep.tell(home, Attribution(home.actor, f"asking policy: {reasons}"[:1000]), now)
    return asked


def refill(home: Home, family: str, now: datetime) -> Asked | None:
    """Ask about uploads held back; ``nightly.ask`` if the queue runs low, drawings wait, and the day's number of
    questions was not asked yet. First end holds that expired and questions that stood open for too long.

    Raises ``StoreUnavailable``, ``ArtifactCorrupt``.
    """
    _expire(home, now)
    suspects.ask_held_back(home, now)
    rules = home.settings.ask
    with home.store.read() as tx:
        low = unanswered.filling(tx, now) < LOW * kept_pace.per_day(tx, rules)
        asks = low and nightly.wanted_now(tx, rules, now) > 0 and pool.any_waiting(tx)
    return nightly.ask(home, family, now) if asks else None


def _expire(home: Home, now: datetime) -> None:
    """Remove expired holds, and close questions that stood open for ``ask.pool_days``."""
    with home.store.exclusive() as tx:
        questions.expire_holds(tx, now)
        closed = review.expire(tx, now - timedelta(days=home.settings.ask.pool_days), now)
    if closed:
        log.info("questions: %d were closed without a label after %g days", closed, home.settings.ask.pool_days)


def _gold(home: Home, family: str, now: datetime) -> int:
    try:
        return gold.top_up(home, family, now)
    except LoopError as error:
        log.warning("no questions with known answers were made: %s", error)
        return 0
