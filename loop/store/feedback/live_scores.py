"""How the champion of the moment read each upload, and how often each version is right in the users' hands."""

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from typing import Any

from sqlalchemy import Double, Select, bindparam, case, func, literal, select, union_all, update
from sqlalchemy.orm import Session

from loop.store import tables
from loop.store.feedback import weighing
from loop.store.values import Kind, Status

MOST_AVERAGE_SOURCES = 3.0
"""No source counts for more than so many average ones. With 2, chance alone caps honest phones and costs 0.3 points;
with 3, 0.05 points (crowds of ``benchmarks/live_accuracy.py``, 200 seeds); with 5 a liar has more to say."""
ROWS_AT_ONCE = 10_000


@dataclass(frozen=True, slots=True)
class Waiting:
    """An upload that was not scored yet: its 784 bytes, and the version that was champion when it arrived."""

    correction_id: int
    pixels: bytes
    version: int | None
    artifact_digest: str
    """Of that version's file; empty if there was no champion."""


@dataclass(frozen=True, slots=True)
class LiveScore:
    """A version's answer to an upload. ``said``, the predicted digit, is None without a finite answer or a champion."""

    correction_id: int
    version: int | None
    said: int | None
    confidence: float | None


@dataclass(frozen=True, slots=True)
class SourceSums:
    """Sums over the ``n`` uploads of one source: ``a`` of their weights, ``b`` of those of the right ones, ``squares``
    and ``right_squares`` of the squared weights; ``heaviest`` is the largest weight.
    """

    n: int
    heaviest: float
    a: float
    b: float
    squares: float
    right_squares: float


@dataclass(frozen=True, slots=True)
class LiveSums:
    """Sums over the uploads that are evidence about a version, each with weight ``1/rate``, no source above its cap.

    ``how`` is ``told`` (predicted by the phone) or ``said`` (predicted on arrival by the champion). ``right`` and
    ``wrong`` are sums of weights, ``right_squares`` and ``wrong_squares`` sums of their squares, ``heaviest`` is the
    largest weight. The last three are sums over sources, where ``a`` is a source's weight and ``b`` its right part.
    """

    version: int
    how: str
    n: int
    sources: int
    heaviest: float
    right: float
    wrong: float
    right_squares: float
    wrong_squares: float
    aa: float
    ab: float
    bb: float


def waiting(tx: Session, family: str, limit: int, without: Collection[int] = ()) -> list[Waiting]:
    """The uploads that were not scored yet, oldest first, except those of the versions in ``without``."""
    move, upload = tables.Move, tables.Correction
    champion = (  # as ``versions.holder(tx, family, as_of=received_at)``
        select(move.after)
        .where(move.family == family, move.alias == "champion", move.moved_at <= upload.received_at)
        .order_by(move.id.desc())
        .limit(1)
        .scalar_subquery()
    )
    found = (
        select(upload.id, upload.pixels, champion.label("version"))
        .join(tables.Arrival, tables.Arrival.correction_id == upload.id)
        .where(tables.Arrival.scored_at.is_(None))
        .order_by(tables.Arrival.correction_id)
        .limit(limit)
    )
    if without:
        found = found.where(func.coalesce(champion, 0).not_in(without))
    first = found.subquery()
    named = select(first, func.coalesce(tables.Version.artifact_digest, "")).join(
        tables.Version, tables.Version.number == first.c.version, isouter=True
    )
    return [Waiting(*row) for row in tx.execute(named.order_by(first.c.id))]


def write(tx: Session, scored: Sequence[LiveScore], now: datetime) -> None:
    """Store the scores. The first score of an upload stays, and an upload erased in between stays erased."""
    if not scored:
        return
    arrivals = tables.Base.metadata.tables["arrivals"]
    unscored = (arrivals.c.correction_id == bindparam("row"), arrivals.c.scored_at.is_(None))
    names: dict[str, Any] = {name: bindparam(f"its_{name}") for name in ("version", "said", "confidence")}
    rows = [
        {"row": one.correction_id, **{f"its_{name}": getattr(one, name) for name in names}}
        for one in sorted(scored, key=lambda one: one.correction_id)  # the order in which an erasure locks them
    ]
    tx.execute(update(arrivals).where(*unscored).values(scored_at=now, **names), rows)


def backlog(tx: Session) -> int:
    """How many uploads wait for their score."""
    unscored = select(func.count()).select_from(tables.Arrival).where(tables.Arrival.scored_at.is_(None))
    return tx.scalar(unscored) or 0


def sums(tx: Session, least_rate: float) -> list[LiveSums]:
    """Per version: the answers of phones that run it, and its own answers to the uploads of its time as champion.

    Only accepted uploads with the phone's prediction count (imported handwriting is not a sample of what users draw),
    and none that is set aside (``weighing``). Of the labels that somebody was asked for, none counts: phones ask where
    a model is unsure, so they would make it look worse. A source with more weight than ``capped_weight`` is scaled down
    to it.
    """
    rows = tx.execute(_by_source(least_rate).execution_options(yield_per=ROWS_AT_ONCE))
    return [
        _summed(version, how, [SourceSums(int(row.n), *map(float, row[3:])) for row in of_version])
        for (version, how), of_version in groupby(rows, lambda row: (row.version, row.how))
    ]


def capped_weight(weights: Sequence[float], most: float = MOST_AVERAGE_SOURCES) -> float:
    """The largest weight ``c`` of a source that is no more than ``most`` times the mean, once every larger one is
    replaced by it: ``c = most * mean(min(weights, c))``. Infinite if there are at most ``most`` sources.
    """
    rest, capped = math.fsum(weights), 0
    for heaviest in sorted(weights, reverse=True):
        left = len(weights) - most * capped
        if left <= 0 or heaviest <= most * rest / left:
            return math.inf if left <= 0 else most * rest / left
        rest, capped = rest - heaviest, capped + 1
    return math.inf


def _summed(version: int, how: str, sources: Sequence[SourceSums]) -> LiveSums:
    limit = capped_weight([each.a for each in sources])
    scaled = [(each, min(1.0, limit / each.a)) for each in sources]
    a, b = [k * each.a for each, k in scaled], [k * each.b for each, k in scaled]
    squares = math.fsum(k * k * each.squares for each, k in scaled)
    right_squares = math.fsum(k * k * each.right_squares for each, k in scaled)
    return LiveSums(
        version=version,
        how=how,
        n=sum(each.n for each in sources),
        sources=len(sources),
        heaviest=max(k * each.heaviest for each, k in scaled),
        right=math.fsum(b),
        wrong=math.fsum(x - y for x, y in zip(a, b, strict=True)),
        right_squares=right_squares,
        wrong_squares=max(0.0, squares - right_squares),
        aa=math.fsum(x * x for x in a),
        ab=math.fsum(x * y for x, y in zip(a, b, strict=True)),
        bb=math.fsum(y * y for y in b),
    )


def _by_source(least_rate: float) -> Select[Any]:
    """The sums of each source, ordered by version and kind of evidence."""
    upload, arrival = tables.Correction, tables.Arrival
    unasked = upload.kind.in_([Kind.CORRECTION, Kind.CONFIRMATION])
    weighed = weighing.is_weighed(least_rate)
    evidence = (upload.status == Status.ACCEPTED, unasked, upload.predicted.is_not(None), weighed)
    told = (
        _weighed("told", upload.version, upload.predicted)
        .join(tables.Version, tables.Version.number == upload.version)  # a phone can claim any number
        .where(*evidence)
    )
    said = (
        _weighed("said", arrival.version, arrival.said)
        .join(arrival, arrival.correction_id == upload.id)
        .where(*evidence, arrival.version.is_not(None))
    )
    each = union_all(told, said).subquery().c
    squares = each.weight * each.weight
    sums = (
        func.count().label("n"),
        func.max(each.weight).label("heaviest"),
        func.sum(each.weight).label("a"),
        func.sum(each.weight * each.right).label("b"),
        func.sum(squares).label("squares"),
        func.sum(squares * each.right).label("right_squares"),
    )
    grouped = select(each.version, each.how, *sums).group_by(each.version, each.how, each.source)
    return grouped.order_by(each.version.desc(), each.how.desc())


def _weighed(how: str, version: Any, answer: Any) -> Select[Any]:
    """Each upload: the version it is evidence about, its source, its weight, and 1.0 if the answer equals its label."""
    upload = tables.Correction
    right = case((answer == upload.label, literal(1.0, Double)), else_=literal(0.0, Double))
    return select(
        literal(how).label("how"),
        version.label("version"),
        upload.source_id.label("source"),
        (literal(1.0, Double) / weighing.rate()).label("weight"),
        right.label("right"),
    ).select_from(upload)
