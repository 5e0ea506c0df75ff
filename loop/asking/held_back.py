"""Questions about uploads that screening or a probe held back: do reviewers read the digit that it claims?

They are a part of the reviewers' day, so that a flood of held uploads does not keep drawings from being asked about;
the oldest come first. An upload that reviewers were asked about before is left to ``loop quarantine``: its question is
evidence of how it was chosen, and there is one for each upload.
"""

import hashlib
from datetime import datetime
from typing import Any

from loop.asking import kept_pace
from loop.home import Home
from loop.store.asking import questions
from loop.store.asking.values import Arm, QuestionStatus
from loop.store.feedback import quarantines

SHARE = 1 / 4
"""Of the questions of a day: so many questions about held uploads are open at once, and at least one."""
MAX_REASON = 200


def ask(home: Home, now: datetime) -> int:
    """Ask about held uploads that have no question; the number of new questions."""
    quorum = home.settings.review.min_agree_disputed
    with home.store.exclusive() as tx:
        per_day = kept_pace.per_day(tx, home.settings.ask)
        free = int(max(1, SHARE * per_day)) - questions.open_of(tx, Arm.QUARANTINE) if per_day else 0
        held = quarantines.unasked(tx, free) if free > 0 else []
        digest = hashlib.sha256(" ".join(str(number) for number, _ in held).encode()).hexdigest()
        questions.add(tx, [_row(number, reason, digest, quorum, now) for number, reason in held])
    return len(held)


def _row(number: int, reason: str, digest: str, quorum: int, now: datetime) -> dict[str, Any]:
    return {
        "correction_id": number,
        "pixels": None,
        "known": None,
        "arm": Arm.QUARANTINE,
        "strategy": "oldest",
        "score": 0.0,
        "chance": None,
        "reason": f"held back: {reason}"[:MAX_REASON],
        "seed": 0,
        "pool_digest": digest,
        "version": None,
        "quorum": quorum,
        "status": QuestionStatus.OPEN,
        "asked_at": now,
    }
