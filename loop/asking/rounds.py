"""Compute the choices of a round of asking again, from what is stored, and compare.

``queue.plan`` gets what it got that night: seed, rules, the pool's narrow columns, and the pictures read again with the
same models. How far the result proves the choice:

- The random arm depends on narrow columns only. Its drawings and chances are always computed again.
- If every drawing of the pool is still stored, so is the asked arm: drawings, order, scores, reasons.
- A drawing that was dropped or erased has no picture any more. If the strategy scores each drawing alone
  (``SCORED_ALONE``), the score of each question is confirmed, and whether its drawing is chosen again among those that
  are left; that none of the others was more wanted is not shown. Drawings are dropped because they were not chosen, so
  as a rule the same are chosen again.
- Other strategies compare drawings with each other: without the whole pool nothing of their arm can be computed again.

Scores may differ in the last digits where another processor computes them (``SCORE_TOLERANCE``).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from hashlib import blake2b
from math import isclose

import numpy as np
from numpy.typing import NDArray
from sqlalchemy.orm import Session

from loop.asking import queue, scoring
from loop.asking.candidates import Candidates
from loop.asking.queue import AskingRules, Planned, PoolColumns
from loop.asking.scoring import Look, Pictures
from loop.asking.strategies import STRATEGIES, margin
from loop.errors import ArtifactCorrupt, BadModel, OpsError, UnknownRound
from loop.home import Home
from loop.store.asking import rounds
from loop.store.asking.rounds import KEPT_DAYS, Round, StillStored, StoredQuestion
from loop.store.asking.values import Arm
from loop.store.feedback import split
from models.family import Progress, no_progress

SCORED_ALONE = STRATEGIES.keys() - {"k-center", "badge", "density"}
"""Strategies by which the score of a drawing does not depend on the other drawings."""
RANKS = {"least-confidence", "margin", "entropy", "committee"}
"""Strategies that choose the highest scores."""
SCORE_TOLERANCE = 1e-5
BY_LOT_ALONE = "random"
"""The strategy that draws lots for places in the pool: a drawing keeps its place when its picture is gone."""


class Outcome(StrEnum):
    """``same``: chosen again, with the same score and chance. ``score``: the score is the same; whether the drawing was
    the right choice cannot be shown. ``unknown``: cannot be computed again. ``differs``: what is stored is not what the
    round's rules give.
    """

    SAME = "same"
    SCORE = "score"
    UNKNOWN = "unknown"
    DIFFERS = "differs"


@dataclass(frozen=True, slots=True)
class Compared:
    """A stored question beside what was computed; ``why`` is empty if nothing differs."""

    question: int
    drawing: int
    arm: Arm
    outcome: Outcome
    score: float
    score_now: float | None
    chance: float | None
    chance_now: float | None
    why: str = ""


@dataclass(frozen=True, slots=True)
class Replayed:
    """A round that was computed again.

    ``pool`` drawings waited, of which ``erased`` were erased since and ``dropped`` were dropped from the pool.
    ``asked`` questions were stored, of which ``gone`` were erased since. ``obstacles`` say what keeps choices from
    being computed again, ``contradictions`` what cannot be true of the round as a whole.
    """

    round: int
    asked_at: datetime
    family: str
    version: int
    strategy: str
    pool: int
    erased: int
    dropped: int
    asked: int
    gone: int
    questions: tuple[Compared, ...]
    obstacles: tuple[str, ...]
    contradictions: tuple[str, ...]

    @property
    def agrees(self) -> bool:
        """Whether nothing that was computed again differs from what is stored."""
        return not self.contradictions and self.count(Outcome.DIFFERS) == 0

    def count(self, outcome: Outcome) -> int:
        """How many questions ended so."""
        return sum(each.outcome is outcome for each in self.questions)


def seed_of(salt: str, pool_digest: str) -> int:
    """A secret of this store and of this pool: nobody outside can tell which drawings win."""
    hashed = blake2b(pool_digest.encode(), key=salt.encode()[:64], person=b"asking", digest_size=7).digest()
    return int.from_bytes(hashed)


def recompute(home: Home, number: int | None = None, progress: Progress = no_progress) -> Replayed:
    """Plan a round again, by default the last one, and compare its questions. Nothing is stored.

    Raises ``UnknownRound``, ``OpsError`` for a round that cannot be read, and ``StoreUnavailable``.
    """
    with home.store.write() as tx:
        salt = split.set_salt(tx)
    with home.store.frozen() as tx:  # no drawing is erased between its columns and its pixels
        number = rounds.newest(tx) if number is None else number
        made = None if number is None else rounds.get(tx, number)
        if number is None or made is None:
            raise UnknownRound(_unknown(number, rounds.newest(tx)))
        stored = rounds.questions(tx, number)
        again = _again(tx, home, made, progress)
    erased = int((made.pool.ids == rounds.ERASED).sum())
    return Replayed(
        round=number,
        asked_at=made.asked_at,
        family=made.family,
        version=made.version,
        strategy=again.rules.strategy,
        pool=len(made.pool.ids),
        erased=erased,
        dropped=len(made.pool.ids) - erased - int(again.there.stored.sum()),
        asked=made.questions,
        gone=made.questions - len(stored),
        questions=tuple(_compared(each, made, again) for each in stored),
        obstacles=again.obstacles,
        contradictions=tuple(_contradictions(made, stored, again, salt)),
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Again:
    """The plan made again: its questions in order, by drawing; ``complete``: it saw everything that it saw that night.

    ``alone`` are the scores of single drawings, by drawing, where the strategy has them.
    """

    rules: AskingRules
    columns: PoolColumns
    there: StillStored
    planned: Mapping[int, Planned]
    alone: Mapping[int, float]
    complete: bool
    obstacles: tuple[str, ...]


def _again(tx: Session, home: Home, made: Round, progress: Progress) -> _Again:
    rules, pool = _rules(made), made.pool
    there = rounds.still_stored(tx, pool.ids)
    columns = PoolColumns(pool.ids, there.sources, pool.rates, pool.drawn, there.digests, pool.repeats)
    labelled = rounds.still_stored(tx, pool.labelled).stored
    obstacles = [*_gone(there, pool.ids), *_forgotten(labelled, rules.strategy)]
    complete, alone = not obstacles, {}
    rows, candidates = np.zeros(0, np.intp), _nothing()
    try:
        look = Look(rules.strategy, rules.count, made.seed, made.models)
        pictures = Pictures(pool.ids, there.stored, pool.labelled[labelled])
        scored = scoring.score(tx, home, look, pictures, progress)
        here = there.stored[scored.rows] if rules.strategy != BY_LOT_ALONE else np.ones(len(scored.rows), np.bool_)
        rows, candidates = scored.rows[here], scored.candidates[here]
        if rules.strategy in SCORED_ALONE:
            alone = dict(zip(pool.ids[rows].tolist(), _scores(candidates, rules.strategy), strict=True))
    except (ArtifactCorrupt, BadModel) as error:
        complete = False
        obstacles.append(f"a model of that night cannot be read: {error}")
    plan = queue.plan(columns, rows, candidates, rules, made.seed)
    planned = {int(pool.ids[each.row]): each for each in plan.questions}
    return _Again(rules, columns, there, planned, alone, complete, tuple(obstacles))


def _scores(candidates: Candidates, strategy: str) -> list[float]:
    """The score of each drawing alone."""
    choose = margin.choose if strategy == "margin-diverse" else STRATEGIES[strategy]
    choice = choose(candidates, len(candidates), 0)
    return [float(score) for score in choice.scores[np.argsort(choice.rows)]]


def _compared(question: StoredQuestion, made: Round, again: _Again) -> Compared:
    planned = again.planned.get(question.correction_id)
    if planned is not None and planned.arm != question.arm:
        planned = None
    alone = None if question.arm is Arm.RANDOM else again.alone.get(question.correction_id)
    score = alone if planned is None else planned.score
    outcome, why = _outcome(question, planned, score, again)
    if (question.strategy, question.seed, question.pool_digest) != (again.rules.strategy, made.seed, made.pool_digest):
        outcome, why = Outcome.DIFFERS, "its strategy, seed or pool is not that of its round"
    return Compared(
        question=question.id,
        drawing=question.correction_id,
        arm=question.arm,
        outcome=outcome,
        score=question.score,
        score_now=score,
        chance=question.chance,
        chance_now=None if planned is None else planned.chance,
        why=why,
    )


def _outcome(
    question: StoredQuestion, planned: Planned | None, score: float | None, again: _Again
) -> tuple[Outcome, str]:
    if score is not None and not isclose(score, question.score, rel_tol=SCORE_TOLERANCE, abs_tol=SCORE_TOLERANCE):
        comparable = again.complete or question.arm is Arm.RANDOM or again.rules.strategy in SCORED_ALONE
        if comparable:
            return Outcome.DIFFERS, "another score"
    if planned is not None and not _as_likely(question.chance, planned.chance):
        return Outcome.DIFFERS, "another chance"
    if planned is not None and planned.reason != question.reason:
        return Outcome.DIFFERS, f"another reason: {planned.reason}"
    if question.arm is Arm.RANDOM:
        return (Outcome.SAME, "") if planned is not None else (Outcome.DIFFERS, "the lottery does not draw it")
    if again.complete:
        return (Outcome.SAME, "") if planned is not None else (Outcome.DIFFERS, "the strategy does not choose it")
    if score is None or again.rules.strategy not in SCORED_ALONE:
        return Outcome.UNKNOWN, "; ".join(again.obstacles)
    if planned is None:
        return Outcome.SCORE, "not chosen among the drawings that are left"
    return Outcome.SAME, ""


def _as_likely(stored: float | None, computed: float | None) -> bool:
    if stored is None or computed is None:
        return stored is computed
    return isclose(stored, computed, rel_tol=1e-9)


def _contradictions(made: Round, stored: list[StoredQuestion], again: _Again, salt: str) -> list[str]:
    found = []
    if made.seed != seed_of(salt, made.pool_digest):
        found.append(
            "the seed does not follow from the store's salt and the pool's digest; expected only after "
            "`loop restore --forget-secrets`, which makes a new salt"
        )
    if again.there.stored.all() and again.columns.digest != made.pool_digest:
        found.append("the pool has another digest than the round")
    if len(stored) > made.questions:
        found.append(f"the round asked {made.questions:,} questions, and {len(stored):,} name it")
    if not _in_order(stored, again):
        found.append("the questions are stored in another order than that of the plan")
    asked = {each.correction_id for each in stored}
    left_out = len(again.planned.keys() - asked)
    if again.complete and left_out > len(again.planned) - made.questions:
        found.append(f"{left_out:,} chosen drawings have no question; {len(again.planned) - made.questions:,} expected")
    return found


def _in_order(stored: list[StoredQuestion], again: _Again) -> bool:
    """Whether the questions have the order of the plan. Where drawings are gone, equal scores may have any order."""
    place = {drawing: i for i, drawing in enumerate(again.planned)}
    exact = again.complete or again.rules.strategy == BY_LOT_ALONE
    sure = [each.correction_id for each in stored if exact or each.arm is Arm.RANDOM]
    places = [place[drawing] for drawing in sure if drawing in place]
    ranks = [each.score for each in stored if each.arm is Arm.ASKED and again.rules.strategy in RANKS]
    return places == sorted(places) and ranks == sorted(ranks, reverse=True)


def _gone(there: StillStored, ids: NDArray[np.int64]) -> list[str]:
    erased = int((ids == rounds.ERASED).sum())
    dropped = int((~there.stored).sum()) - erased
    found = [f"{dropped:,} of {len(ids):,} drawings were dropped from the pool"] if dropped else []
    return found + ([f"{erased:,} of {len(ids):,} drawings were erased"] if erased else [])


def _forgotten(labelled: NDArray[np.bool_], strategy: str) -> list[str]:
    lost = int((~labelled).sum())
    if strategy != "k-center" or not lost:
        return []
    return [f"{lost:,} of {len(labelled):,} labelled digits that k-center compared with were erased"]


def _rules(made: Round) -> AskingRules:
    try:
        return AskingRules(**made.rules)
    except (TypeError, ValueError) as error:
        raise OpsError(
            f"this release cannot follow the rules of that round ({error}); use the release of then"
        ) from None


def _nothing() -> Candidates:
    return Candidates(
        np.zeros((0, 10)), np.zeros((0, 1), np.float32), np.zeros((0, 1), np.float32), np.zeros((0, 0, 10))
    )


def _unknown(number: int | None, newest: int | None) -> str:
    if newest is None:
        return "no round of asking is stored; `loop ask` holds one"
    return f"round {number} is not stored: rounds are kept for {KEPT_DAYS} days; the last one is {newest}"
