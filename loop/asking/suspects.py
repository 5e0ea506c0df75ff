"""Questions about suspicious uploads: do reviewers read the digit that each one claims?

There are two kinds. *Held back* uploads wait in quarantine: the answer accepts or rejects them. *Doubted* ones are
accepted, but a night's challenger read triggers as their label: a wrong claim is rejected; a right one is confirmed,
and such a night teaches it.

Each kind has a part of the reviewers' day, so that a flood of them does not keep drawings from being asked about. An
upload that reviewers were asked about before is left out: its question is evidence of how it was chosen, and there is
one for each upload. `loop quarantine` decides about such held ones. Questions that no active reviewer can answer any
more keep their part for the day on which they were asked only.
"""

import hashlib
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from loop.asking import kept_pace
from loop.home import Home
from loop.store.asking import questions, unanswered
from loop.store.asking.values import Arm, QuestionStatus
from loop.store.feedback import quarantines

SHARE = 1 / 4
"""Of the questions of a day: so many questions of a kind fill the queue at once, and at least one."""
MAX_REASON = 200


def ask_held_back(home: Home, now: datetime) -> int:
    """Ask about held uploads that have no question, the oldest first; the number of new questions."""
    with home.store.exclusive() as tx:
        free = _free(tx, home, Arm.QUARANTINE, now)
        held = [(number, f"held back: {reason}") for number, reason in quarantines.unasked(tx, free)] if free else []
        _add(tx, home, held, Arm.QUARANTINE, now)
    return len(held)


def ask_doubted(home: Home, ids: Sequence[int], reason: str, now: datetime) -> int:
    """Ask about these uploads, the first ones first; the number of new questions. Those that are not accepted or have a
    question are left out.
    """
    with home.store.exclusive() as tx:
        free = _free(tx, home, Arm.DISPUTED, now)
        new = questions.unasked(tx, ids) if free else set()
        doubted = [(number, reason) for number in ids if number in new][:free]
        _add(tx, home, doubted, Arm.DISPUTED, now)
    return len(doubted)


def _free(tx: Session, home: Home, arm: Arm, now: datetime) -> int:
    """How many more questions of this kind may be open."""
    per_day = kept_pace.per_day(tx, home.settings.ask)
    return max(0, int(max(1, SHARE * per_day)) - unanswered.filling(tx, now, arm)) if per_day else 0


def _add(tx: Session, home: Home, uploads: Sequence[tuple[int, str]], arm: Arm, now: datetime) -> None:
    digest = hashlib.sha256(" ".join(str(number) for number, _ in uploads).encode()).hexdigest()
    quorum = home.settings.review.min_agree_disputed
    questions.add(tx, [_row(number, reason, arm, digest, quorum, now) for number, reason in uploads])


def _row(number: int, reason: str, arm: Arm, digest: str, quorum: int, now: datetime) -> dict[str, Any]:
    return {
        "correction_id": number,
        "pixels": None,
        "known": None,
        "arm": arm,
        "strategy": "oldest" if arm is Arm.QUARANTINE else "doubted",
        "score": 0.0,
        "chance": None,
        "reason": reason[:MAX_REASON],
        "seed": 0,
        "pool_digest": digest,
        "version": None,
        "quorum": quorum,
        "status": QuestionStatus.OPEN,
        "asked_at": now,
    }
