"""Keep asking: after each night, and whenever the queue runs low, ask what helps most, and tell phones what to send."""

import logging
from datetime import datetime

from loop.asking import announcing, gold, kept_pace, nightly, pacing, suspects
from loop.asking.nightly import Asked
from loop.errors import LoopError
from loop.feed import upkeep as feed_upkeep
from loop.home import Home
from loop.store.asking import pool, questions
from loop.store.values import Attribution

LOW = 1 / 4
"""The queue runs low below this share of ``ask.per_day``."""

log = logging.getLogger(__name__)


def follow(home: Home, family: str, now: datetime) -> Asked | None:
    """Ask the next questions, and set and publish the phones' policy. An error is logged: no night fails by it."""
    try:
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
    """Ask about uploads held back; ``nightly.ask`` if the queue runs low and drawings wait. Expired holds are removed.

    Raises ``StoreUnavailable``, ``ArtifactCorrupt``.
    """
    with home.store.exclusive() as tx:
        questions.expire_holds(tx, now)
    suspects.ask_held_back(home, now)
    with home.store.read() as tx:
        low = pool.open_questions(tx) < LOW * kept_pace.per_day(tx, home.settings.ask)
        waits = low and pool.any_waiting(tx)
    return nightly.ask(home, family, now) if waits else None


def _gold(home: Home, family: str, now: datetime) -> int:
    try:
        return gold.top_up(home, family, now)
    except LoopError as error:
        log.warning("no questions with known answers were made: %s", error)
        return 0
