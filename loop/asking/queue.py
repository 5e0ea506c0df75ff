"""Which drawings become questions tonight: the random arm by lot, the asked arm by a query strategy, under caps. Pure.

Rules:

- Every drawing takes part in exactly one lottery, in the first round after it arrived that asks anything, before
  anything that depends on the model looks at it. Its chance is known and is kept with the question. Answers of the
  random arm, weighted by 1/(chance that the phone sent it × chance of the lottery), are therefore an unbiased picture
  of what users draw. The lottery's chances are proportional to 1/(chance that the phone sent it), so that these weights
  are as equal as they can be: a sample of equal weights says the most about everybody.
- Each round with a question draws at least one drawing by lot, so it holds the lottery of all that are new: none of
  them reaches the asked arm, or is dropped for what it shows, without having had a chance above 0. A round that asks
  nothing holds none, and then the new drawings stay in the pool (``surplus``). If the pool is past its size, such a
  round asks by lot all the same, the random share of a day, so that it can be cut.
- Why that is exact: let drawing i show y, have been sent with chance r and won its lottery with chance p > 0. Both are
  fixed before the draw, and nothing that looks at y decides whether i takes part. Its part of the weighted sum is
  y/(r·p) with chance r·p and 0 otherwise, y on average. What happens to it after it lost changes a 0, which stays one.
  Left out are drawings whose lottery never came: they waited ``ask.pool_days`` while nothing was asked, or ops set
  ``ask.random_share`` to 0. The first depends on the days, not on what they show; after the second, the picture is
  unbiased again for drawings that arrive from then on.
- The asked arm chooses among the drawings that the lottery left, in the order of the strategy. Of one source, and of
  one predicted digit, at most a share of the arm is asked, unless the pool has nothing else. Of copies and near copies
  one is asked, and none of what was asked about before or has a label: a second answer about the same drawing teaches
  little. Near copies are looked for in the night's shortlist and among the newest labels.
- Everything that determines a choice is kept with its round, so that ``rounds`` can make the same plan again.
"""

import hashlib
from collections import Counter
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from loop.asking.candidates import Candidates
from loop.asking.strategies import STRATEGIES

RANDOM, ASKED = "random", "asked"
_LONGER = 4  # times as many drawings as are asked for: the caps leave out some


@dataclass(frozen=True, slots=True, eq=False)
class PoolColumns:
    """The drawings that wait for a label; row i of each array belongs to drawing i.

    ``ids (n,) int64``, ``sources (n,) int64``, ``rates (n,) float64``: the chances, above 0, that phones sent them;
    ``drawn (n,) bool``: its lottery was held on an earlier night; ``digests (n, 32) uint8``: SHA-256 of the pixels;
    ``repeats (n,) bool``: a copy or near copy of it was asked about, or has a label.
    """

    ids: NDArray[np.int64]
    sources: NDArray[np.int64]
    rates: NDArray[np.float64]
    drawn: NDArray[np.bool_]
    digests: NDArray[np.uint8]
    repeats: NDArray[np.bool_]

    def __len__(self) -> int:
        """The number of drawings."""
        return len(self.ids)

    @property
    def digest(self) -> str:
        """SHA-256 over the drawings' ids and contents."""
        found, contents = hashlib.sha256(), self.digests.tobytes()
        for i, number in enumerate(self.ids.tolist()):
            found.update(f"{number} {contents[32 * i : 32 * i + 32].hex()}\n".encode())
        return found.hexdigest()


@dataclass(frozen=True, slots=True)
class AskingRules:
    """How many questions, and of which kind. Shares are of the number of questions, 0 to 1."""

    count: int
    strategy: str = "margin"
    random_share: float = 0.15
    source_share: float = 0.05
    digit_share: float = 0.25
    near: float = 0.0
    """Two drawings are near copies if the cosine distance of their embeddings is smaller."""
    overflowing: int = 0
    """If the pool is past its size, the questions of a day: the lottery is held although ``count`` is 0."""

    @property
    def lots(self) -> int:
        """How many drawings the lottery draws: the random share of the questions, and at least one."""
        questions = self.count or self.overflowing
        return max(1, round(self.random_share * questions)) if self.random_share and questions else 0

    def __post_init__(self) -> None:
        """Raise ``ValueError`` for rules that cannot be followed."""
        if self.count < 0:
            raise ValueError(f"count: expected 0 or more, got {self.count}")
        if self.strategy not in STRATEGIES:
            raise ValueError(f"strategy: expected one of {', '.join(STRATEGIES)}, got {self.strategy}")
        for name in ("random_share", "source_share", "digit_share"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name}: expected 0 to 1, got {getattr(self, name)}")


@dataclass(frozen=True, slots=True)
class Planned:
    """One question to be: the row of its drawing, its arm, the chance of its lottery (None in the asked arm)."""

    row: int
    arm: str
    chance: float | None
    score: float
    reason: str


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """Tonight's questions, the asked arm in order of preference after the random arm; and the lottery: the rows of the
    drawings that took part, and their chances.
    """

    questions: tuple[Planned, ...]
    new: NDArray[np.intp]
    chances: NDArray[np.float64]


def plan(pool: PoolColumns, rows: NDArray[np.intp], candidates: Candidates, rules: AskingRules, seed: int) -> Plan:
    """Tonight's questions. Equal arguments give an equal plan.

    ``candidates`` are the drawings at these ``rows`` of the pool, ascending: all, or a shortlist. The lottery is about
    the whole pool.
    """
    new = np.flatnonzero(~pool.drawn)
    chances = lottery_chances(pool.rates[new], rules.lots)
    won = winners(chances, seed)
    by_lot_rows = new[won]
    by_lot = [
        Planned(int(row), RANDOM, float(chance), 0.0, f"random: chance {chance:.3g} among {len(new)} new drawings")
        for row, chance in zip(by_lot_rows, chances[won], strict=True)
    ]
    rest = ~np.isin(rows, by_lot_rows) & ~pool.repeats[rows]
    wanted = min(rules.count - len(by_lot), int(rest.sum()))
    asked = _asked(pool, candidates[rest], rows[rest], wanted, rules, seed) if wanted > 0 else []
    return Plan((*by_lot, *asked), new[chances > 0], chances[chances > 0])


def lottery_chances(rates: NDArray[np.float64], wanted: int) -> NDArray[np.float64]:
    """Chances proportional to 1/rate, at most 1, that sum to ``wanted`` (or to all): ``(n,)`` for rates ``(n,)``."""
    chances = np.zeros(len(rates))
    free = np.ones(len(rates), np.bool_)
    wanted = min(wanted, len(rates))
    while free.any() and wanted > np.count_nonzero(~free):
        share = (1 / rates) * free
        chances = np.where(free, share / share.sum() * (wanted - np.count_nonzero(~free)), 1.0)
        certain = free & (chances >= 1 - 1e-12)
        if not certain.any():
            break
        free &= ~certain
        chances = np.where(free, chances, 1.0)
    return chances


def winners(chances: NDArray[np.float64], seed: int) -> NDArray[np.intp]:
    """The rows drawn with exactly these chances: systematic sampling in a random order (Madow 1949), in row order."""
    random = np.random.default_rng([seed, 1])
    order = random.permutation(np.flatnonzero(chances < 1))
    marks = np.floor(np.cumsum(chances[order]) + random.random())
    won = order[np.diff(marks, prepend=0.0) >= 1]
    return np.sort(np.concatenate([won, np.flatnonzero(chances >= 1)]))


def _asked(
    pool: PoolColumns, candidates: Candidates, rows: NDArray[np.intp], wanted: int, rules: AskingRules, seed: int
) -> list[Planned]:
    choice = STRATEGIES[rules.strategy](candidates, _LONGER * wanted, seed)
    best = candidates.probabilities.argmax(axis=1)
    per_source, per_digit = _at_most(rules.source_share, wanted), _at_most(rules.digit_share, wanted)
    sources, predicted = Counter[int](), Counter[int]()
    copies = _Copies(candidates.embeddings, [pool.digests[row].tobytes() for row in rows], rules.near)
    taken: list[int] = []
    left: list[int] = []
    for i, row in enumerate(choice.rows.tolist()):
        if len(taken) < wanted and copies.repeats(row):
            continue
        source, digit = int(pool.sources[rows[row]]), int(best[row])
        fits = sources[source] < per_source and predicted[digit] < per_digit
        (taken if fits and len(taken) < wanted else left).append(i)
        if taken and taken[-1] == i:
            copies.add(row)
            sources[source] += 1
            predicted[digit] += 1
    taken = sorted(taken + left[: wanted - len(taken)])  # the caps never leave a reviewer without questions
    return [
        Planned(
            int(rows[choice.rows[i]]),
            ASKED,
            None,
            float(choice.scores[i]),
            _reason(rules.strategy, candidates.probabilities[choice.rows[i]]),
        )
        for i in taken
    ]


class _Copies:
    """What was chosen already, to compare others with."""

    def __init__(self, embeddings: NDArray[np.float32], digests: list[bytes], near: float) -> None:
        self._embeddings, self._digests, self._near = embeddings, digests, near
        self._directions: list[NDArray[np.float32]] = []
        self._seen: set[bytes] = set()

    def repeats(self, row: int) -> bool:
        """Whether this drawing is a copy or a near copy of a chosen one."""
        if self._digests[row] in self._seen:
            return True
        if not self._near:
            return False
        own = self._direction(row)
        return any(float(one @ own) > 1 - self._near for one in self._directions)

    def add(self, row: int) -> None:
        """This drawing was chosen."""
        self._directions.append(self._direction(row))
        self._seen.add(self._digests[row])

    def _direction(self, row: int) -> NDArray[np.float32]:
        own = self._embeddings[row]
        direction: NDArray[np.float32] = own / max(float(np.linalg.norm(own)), 1e-12)
        return direction


def _at_most(share: float, wanted: int) -> int:
    return max(1, int(share * wanted))


def _reason(strategy: str, probabilities: NDArray[np.float64]) -> str:
    second, first = np.argsort(probabilities, kind="stable")[-2:].tolist()
    return f"{strategy}: {first} at {probabilities[first]:.2f}, {second} at {probabilities[second]:.2f}"
