"""Tonight's questions: score the pool with the champion, plan, store the questions, and keep the pool within bounds.

The order matters. The lottery of the random arm is held before anything is dropped or chosen, so that what is dropped
depends on the model, and the random arm does not (``queue`` has the argument).
"""

from collections import Counter
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy.orm import Session

from loop.asking import copies, kept_pace, queue, rounds, scoring
from loop.asking.queue import AskingRules, Plan, Planned, PoolColumns
from loop.asking.scoring import Look, Pictures, Scored
from loop.asking.surplus import surplus
from loop.home import Home
from loop.home.sections import Asking
from loop.store.asking import pool, questions, unanswered
from loop.store.asking import rounds as kept_rounds
from loop.store.asking.pool import Waiting
from loop.store.asking.rounds import KeptPool, Round
from loop.store.asking.values import Arm, QuestionStatus
from loop.store.feedback import split
from loop.store.nights import versions
from loop.store.values import Version
from models.family import Progress, no_progress

LABELLED = 1_000
"""Labelled digits that strategies of distance compare with."""
ENOUGH = "enough questions are open or were asked today"
COMMITTEE = 2
"""Earlier models beside the champion; only the strategy ``committee`` costs their time."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What one round did: new questions by arm, drawings scored and dropped, the pool that is left, and why."""

    random: int
    asked: int
    scored: int
    dropped: int
    left: int
    strategy: str
    why: str


def ask(home: Home, family: str, now: datetime, count: int | None = None, progress: Progress = no_progress) -> Asked:
    """Store the next questions: ``count``, or as many as fill the queue to the day's number (``pacing``), which is also
    the most that are asked on one UTC day. If that is none, a pool past its size still asks by lot, before it is cut.

    Raises ``ArtifactCorrupt``, ``BadModel``, ``StoreUnavailable``.
    """
    rules = home.settings.ask
    with home.store.write() as tx:
        salt = split.set_salt(tx)
    with home.store.frozen() as tx:  # one view, in which no drawing is erased between its columns and its pixels
        champion = versions.champion(tx, family)
        wanted = wanted_now(tx, rules, now) if count is None else count
        day = kept_pace.per_day(tx, rules)
        found = pool.waiting(tx)
        if champion is None:
            return Asked(0, 0, 0, 0, len(found), rules.strategy, f"{family} has no champion yet")
        if not len(found):
            return Asked(0, 0, 0, 0, 0, rules.strategy, "no drawing waits for a question")
        columns = PoolColumns(found.ids, found.sources, found.rates, found.drawn, found.digests, found.repeats)
        digest = columns.digest
        seed, count = rounds.seed_of(salt, digest), max(wanted, 0)
        pictures = Pictures(found.ids, np.ones(len(found), np.bool_), pool.labelled_ids(tx, LABELLED))
        look = Look(rules.strategy, count, seed, _models(tx, champion, rules.strategy))
        scored = scoring.score(tx, home, look, pictures, progress)
    repeats = _repeats(found, scored, rules.near)
    columns = replace(columns, repeats=repeats)
    limits = _rules(rules, count, day if len(found) > rules.pool_size else 0)
    plan = queue.plan(columns, scored.rows, scored.candidates, limits, seed)
    made = Round(
        family=family,
        version=champion.number,
        models=look.models,
        rules=asdict(limits),
        seed=seed,
        quorum=home.settings.review.min_agree,
        questions=len(plan.questions),
        pool_digest=digest,
        pool=KeptPool(found.ids, found.rates, found.drawn, repeats, pictures.labelled),
        asked_at=now,
    )
    ages = (now.timestamp() - found.received) / timedelta(days=1).total_seconds()
    goes = surplus(columns, ages, scored.unsure, (scored.rows, scored.candidates), plan, rules)
    with home.store.exclusive() as tx:
        stored = _keep(tx, found, plan, made)
        dropped = pool.drop(tx, found.ids[goes])
    by_lot = stored[Arm.RANDOM]
    return Asked(
        random=by_lot,
        asked=stored.total() - by_lot,
        scored=len(found),
        dropped=dropped,
        left=len(found) - stored.total() - dropped,
        strategy=rules.strategy,
        why=f"{stored.total():,} new questions about {len(found):,} drawings" if wanted > 0 or stored else ENOUGH,
    )


def wanted_now(tx: Session, rules: Asking, now: datetime) -> int:
    """How many questions fill the queue to the day's number; 0 or less if it is full or they were asked today."""
    midnight = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    return kept_pace.per_day(tx, rules) - max(unanswered.filling(tx, now), pool.asked_since(tx, midnight))


def _models(tx: Session, champion: Version, strategy: str) -> tuple[str, ...]:
    """The champion's file; for the strategy ``committee``, then the base's and the last champion's before this one."""
    if strategy != "committee":
        return (champion.artifact_digest,)
    _, base = versions.champion_and_base(tx, champion.family)
    earlier = {version.number: version for version in versions.every(tx, champion.family)}.get(champion.champion or 0)
    others = [each.artifact_digest for each in (base, earlier) if each is not None]
    return tuple(dict.fromkeys((champion.artifact_digest, *others)))[: 1 + COMMITTEE]


def _repeats(found: Waiting, scored: Scored, near: float) -> NDArray[np.bool_]:
    """The drawings of which a copy, or in the shortlist a near copy, was asked about or has a label."""
    repeats = found.repeats.copy()
    repeats[scored.rows[copies.near_labelled(scored.candidates, near)]] = True
    return repeats


def _rules(asking: Asking, count: int, overflowing: int) -> AskingRules:
    shares = asking.random_share, asking.source_share, asking.digit_share
    return AskingRules(count, asking.strategy, *shares, asking.near, overflowing)


def _keep(tx: Session, found: Waiting, plan: Plan, made: Round) -> Counter[Arm]:
    """Store lottery, round and questions. Left out are drawings that were answered, erased or taken back meanwhile, and
    winners that took part in the lottery of another round meanwhile.
    """
    by_lot = [question.row for question in plan.questions if question.arm == Arm.RANDOM]
    others = [question.row for question in plan.questions if question.arm != Arm.RANDOM]
    still = pool.unasked(tx, found.ids[others]) | pool.unasked(tx, found.ids[by_lot], undrawn=True)
    pool.hold_lottery(tx, found.ids[plan.new], plan.chances)
    kept = [question for question in plan.questions if int(found.ids[question.row]) in still]
    if kept:
        shared = {
            "round_id": kept_rounds.add(tx, replace(made, questions=len(kept))),
            "strategy": made.rules["strategy"],
            "seed": made.seed,
            "pool_digest": made.pool_digest,
            "version": made.version,
            "quorum": made.quorum,
            "asked_at": made.asked_at,
        }
        questions.add(tx, [shared | _row(question, int(found.ids[question.row])) for question in kept])
    return Counter(Arm(question.arm) for question in kept)


def _row(question: Planned, correction_id: int) -> dict[str, Any]:
    return {
        "correction_id": correction_id,
        "arm": question.arm,
        "score": question.score,
        "chance": question.chance,
        "reason": question.reason,
        "status": QuestionStatus.OPEN,
    }
