"""How far a source is trusted: 0 to 1, from what others found in its uploads, with a reason for each signal.

Each signal counts observations for and against a source. An observation weighs less the older it is
(``trust.half_life_days``), and the value starts at the neutral 0.5 with the weight of ``trust.prior`` observations, so
that one agreement proves nothing and one mistake condemns nobody. Signals that a source can produce by itself or with
its own further sources (days, agreement with others) are bounded; only a source that was first seen earlier, or one
that an operator vouches for, is a witness about another. A vouched source has the value 1.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from loop.home.sections import Trust
from loop.night import copies
from loop.store.feedback.labelled import Columns, Sources
from loop.store.values import Status

NEUTRAL = 0.5
Floats = NDArray[np.float32]
"""Of single precision: there may be as many sources as uploads."""


@dataclass(frozen=True, slots=True)
class Signal:
    """What one observation weighs, and the most that all of them together weigh."""

    name: str
    weight: float
    most: float
    text: str


REVIEWERS = Signal("reviewers", 3.0, np.inf, "reviewers accepted {for_:g} and rejected {against:g} of its uploads")
OTHERS = Signal("others", 1.0, 5.0, "earlier sources agree with {for_:g} and contradict {against:g} of its drawings")
NEARLY = Signal("near copies", 1.0, 5.0, "the same about near copies of its drawings: {for_:g} and {against:g}")
READER = Signal("reader", 0.25, 10.0, "an independent reader agrees with {for_:g} of its uploads, not with {against:g}")
DAYS = Signal("days", 0.5, 5.0, "uploads on {for_:g} days")
WAITING = Signal("quarantine", 0.5, np.inf, "{against:g} of its uploads wait for a reviewer")
TAKEN_BACK = Signal("taken back", 0.1, 5.0, "took back {against:g} of its uploads")
REPLACED = Signal("replaced", 0.05, 5.0, "gave another label later for {against:g} of its drawings")
MOST_AGAINST = 50.0
"""Observations against a source that count at most, of each signal: time must be able to heal."""


@dataclass(frozen=True, slots=True, eq=False)
class Evidence:
    """Observations of one signal by source: how many speak for it and against it, and the same weighed by age."""

    signal: Signal
    for_: Floats
    against: Floats
    fresh_for: Floats
    fresh_against: Floats


@dataclass(frozen=True, slots=True, eq=False)
class Assessment:
    """The trust of every source: ``values (m,) float64``, and the evidence behind it."""

    values: NDArray[np.float64]
    evidence: tuple[Evidence, ...]
    vouched: NDArray[np.bool_]

    def reasons(self, source: int) -> list[dict[str, Any]]:
        """The reasons of one source (a row): signal, text, numbers."""
        found = [{"signal": "vouched", "text": "an operator vouches for it", "numbers": {}}]
        found = found if self.vouched[source] else []
        for each in self.evidence:
            numbers = {"for": float(each.for_[source]), "against": float(each.against[source])}
            if any(numbers.values()):
                text = each.signal.text.format(for_=numbers["for"], against=numbers["against"])
                found.append({"signal": each.signal.name, "text": text, "numbers": numbers})
        return found


def assess(evidence: Iterable[Evidence], vouched: NDArray[np.bool_], prior: float) -> Assessment:
    """Combine the evidence into a value for each source."""
    every = tuple(evidence)
    pro = np.full(len(vouched), NEUTRAL * prior)
    contra = pro.copy()
    for each in every:
        pro += np.minimum(each.signal.weight * each.fresh_for, each.signal.most)
        contra += each.signal.weight * np.minimum(each.fresh_against, MOST_AGAINST)
    return Assessment(np.where(vouched, 1.0, pro / (pro + contra)), every, vouched)


def observed(
    signal: Signal, sources: NDArray[Any], speaks_for: NDArray[np.bool_], freshness: Floats, count: int
) -> Evidence:
    """Evidence from observations: row i is about source ``sources[i]`` of ``count``; ``freshness`` weighs it."""

    def total(which: NDArray[np.bool_], weights: Floats | None = None) -> Floats:
        chosen = None if weights is None else weights[which]
        return np.bincount(sources[which], chosen, count).astype(np.float32)

    pros, cons = speaks_for, ~speaks_for
    return Evidence(signal, total(pros), total(cons), total(pros, freshness), total(cons, freshness))


def beyond_usual(evidence: Evidence) -> Evidence:
    """The same evidence, where only as many observations against a source weigh as exceed what is usual.

    People correct what models misread, so an independent reader contradicts honest people too: those in the middle of
    all sources show how often. If it contradicts most of what they say, it is no evidence about anybody.
    """
    seen = evidence.for_ + evidence.against
    if not seen.any():
        return evidence
    usual = float(np.median(evidence.for_[seen > 0] / seen[seen > 0]))
    excess = np.maximum(0, evidence.against - seen * (1 - usual)) / np.maximum(evidence.against, 1)
    heard = 1.0 if usual > NEUTRAL else 0.0
    return replace(
        evidence,
        fresh_for=(heard * evidence.fresh_for).astype(np.float32),
        fresh_against=(heard * excess * evidence.fresh_against).astype(np.float32),
    )


def freshness(ages_days: NDArray[Any], half_life_days: float) -> Floats:
    """The weight of observations of these ages: 1 now, 0.5 after the half-life."""
    weights: Floats = (0.5 ** (np.maximum(ages_days, 0) / half_life_days)).astype(np.float32)
    return weights


def history(sources: Sources, uploads: Columns, today: float, settings: Trust) -> list[Evidence]:
    """What the store alone knows: days, quarantines, words taken back or replaced, and exact copies.

    ``today`` is the time in days since 1970. Reviewers' decisions are another evidence.
    """
    count, half_life = len(sources), settings.half_life_days
    days, none = sources.days_seen.astype(np.float32), np.zeros(count, np.float32)
    found = [Evidence(DAYS, days, none, days, none)]
    for signal, status in (
        (WAITING, Status.QUARANTINED),
        (TAKEN_BACK, Status.WITHDRAWN),
        (REPLACED, Status.SUPERSEDED),
    ):
        rows = np.flatnonzero(uploads.are(status))
        against = np.zeros(len(rows), np.bool_)
        fresh = freshness(today - uploads.days[rows], half_life)
        found.append(observed(signal, uploads.sources[rows], against, fresh, count))
    found.append(agreement(OTHERS, sources, uploads, exact_witnesses(sources, uploads), today, half_life))
    return found


def agreement(
    signal: Signal, sources: Sources, uploads: Columns, pairs: NDArray[np.int64], today: float, half_life: float
) -> Evidence:
    """Evidence from pairs ``(n, 2)`` of uploads of one drawing: the first is the witness about the second."""
    witness, about = pairs[:, 0], pairs[:, 1]
    agrees = uploads.labels[witness] == uploads.labels[about]
    fresh = freshness(today - uploads.days[about], half_life)
    return observed(signal, uploads.sources[about], agrees, fresh, len(sources))


def exact_witnesses(sources: Sources, uploads: Columns) -> NDArray[np.int64]:
    """Pairs of accepted uploads of the very same image by two sources: the most senior one, and each later one."""
    rows = np.flatnonzero(copies.repeated(uploads.digests))
    rows = rows[uploads.are(Status.ACCEPTED, Status.QUARANTINED, Status.REJECTED)[rows]]
    # A rejected word is no witness, but it is contradicted by one.
    credible = uploads.statuses[rows] == _place(Status.ACCEPTED)
    order = np.lexsort(
        (uploads.ids[rows], *_seniority(sources, uploads.sources[rows]), ~credible, uploads.digests[rows])
    )
    rows = rows[order]
    if not len(rows):
        return np.empty((0, 2), np.int64)
    begins = np.r_[True, uploads.digests[rows][1:] != uploads.digests[rows][:-1]]
    first = np.flatnonzero(begins)[np.cumsum(begins) - 1]
    return _witnessing(sources, uploads, np.stack([rows[first], rows], axis=1))


def near_witnesses(sources: Sources, uploads: Columns, pairs: NDArray[np.int64]) -> NDArray[np.int64]:
    """Pairs of rows of near copies, each with the witness first."""
    if not len(pairs):
        return pairs
    vouched, seen = sources.vouched[uploads.sources[pairs]], sources.seen[uploads.sources[pairs]]
    later = (vouched[:, 1] & ~vouched[:, 0]) | ((vouched[:, 0] == vouched[:, 1]) & (seen[:, 1] < seen[:, 0]))
    return _witnessing(sources, uploads, np.where(later[:, None], pairs[:, ::-1], pairs))


def _witnessing(sources: Sources, uploads: Columns, pairs: NDArray[np.int64]) -> NDArray[np.int64]:
    """Those pairs of two sources in which the first may speak: it is vouched for, or was seen a day earlier."""
    first, second = uploads.sources[pairs[:, 0]], uploads.sources[pairs[:, 1]]
    earlier = sources.seen[first] + 1 <= sources.seen[second]
    accepted = uploads.statuses[pairs[:, 0]] == _place(Status.ACCEPTED)
    kept: NDArray[np.int64] = pairs[(first != second) & accepted & (sources.vouched[first] | earlier)]
    return kept


def _seniority(sources: Sources, rows: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    return sources.seen[rows], ~sources.vouched[rows]


def _place(status: Status) -> int:
    return list(Status).index(status)
