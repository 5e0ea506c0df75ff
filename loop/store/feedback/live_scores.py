"""What the champion of the moment said of each upload, and how often versions are right out there."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Double, Select, bindparam, case, func, literal, select, union_all, update
from sqlalchemy.orm import Session

from loop.store import tables
from loop.store.values import Status

MIN_RATE = 1e-3
"""Rates below count as this: what a stranger claims must not outweigh everybody."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """An upload that nobody has scored: its 784 bytes, and the version that was champion when it arrived."""

    correction_id: int
    pixels: bytes
    version: int | None
    artifact_digest: str
    """Of that version's file; empty where there was none."""


@dataclass(frozen=True, slots=True)
class Said:
    """What a version said of an upload; ``said`` is None where it gave no finite answer, or there was no champion."""

    correction_id: int
    version: int | None
    said: int | None
    confidence: float | None


@dataclass(frozen=True, slots=True)
class Tally:
    """Sums over the uploads that tell of a version, each weighing ``1/rate``; ``how`` is ``told`` or ``said``.

    ``right`` and ``wrong`` are sums of weights, ``right_squares`` and ``wrong_squares`` of their squares, ``heaviest``
    is the largest. The last three run over the sources: ``a`` the weight of one, ``b`` what of it is right.
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
    """The uploads that were never scored, oldest first, but for those that fall to versions ``without``."""
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


def write(tx: Session, scored: Sequence[Said], now: datetime) -> None:
    """Write down what was said; the first answer stays, and what was erased meanwhile stays erased."""
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
    """How many uploads wait to be scored."""
    unscored = select(func.count()).select_from(tables.Arrival).where(tables.Arrival.scored_at.is_(None))
    return tx.scalar(unscored) or 0


def tallies(tx: Session) -> list[Tally]:
    """Per version, what phones that run it told, and what it said itself of what arrived while it was champion.

    Only accepted uploads that say what the phone had said: imported handwriting is no sample of what people draw.
    """
    upload, arrival = tables.Correction, tables.Arrival
    told = (
        _weighed("told", upload.version, upload.predicted)
        .join(tables.Version, tables.Version.number == upload.version)  # a phone may claim any number
        .where(upload.status == Status.ACCEPTED, upload.predicted.is_not(None))
    )
    said = (
        _weighed("said", arrival.version, arrival.said)
        .join(arrival, arrival.correction_id == upload.id)
        .where(upload.status == Status.ACCEPTED, upload.predicted.is_not(None), arrival.version.is_not(None))
    )
    each = union_all(told, said).subquery().c
    right, squares = each.weight * each.right, each.weight * each.weight
    by_source = (
        select(
            each.how,
            each.version,
            func.count().label("n"),
            func.max(each.weight).label("heaviest"),
            func.sum(each.weight).label("a"),
            func.sum(right).label("b"),
            func.sum(squares).label("squares"),
            func.sum(squares * each.right).label("right_squares"),
        )
        .group_by(each.how, each.version, each.source)
        .subquery()
        .c
    )
    one = by_source
    sums = select(
        one.version,
        one.how,
        func.sum(one.n),
        func.count(),
        func.max(one.heaviest),
        func.sum(one.b),
        func.sum(one.a - one.b),
        func.sum(one.right_squares),
        func.sum(one.squares - one.right_squares),
        func.sum(one.a * one.a),
        func.sum(one.a * one.b),
        func.sum(one.b * one.b),
    ).group_by(one.version, one.how)
    rows = tx.execute(sums.order_by(one.version.desc(), one.how.desc()))
    return [Tally(version, how, int(n), sources, *map(float, rest)) for version, how, n, sources, *rest in rows]


def _weighed(how: str, version: Any, answer: Any) -> Select[Any]:
    """Each upload: which version it tells of, whose it is, its weight, and 1.0 where the answer is its label."""
    upload = tables.Correction
    rate = case((upload.rate < MIN_RATE, literal(MIN_RATE, Double)), else_=upload.rate)
    right = case((answer == upload.label, literal(1.0, Double)), else_=literal(0.0, Double))
    return select(
        literal(how).label("how"),
        version.label("version"),
        upload.source_id.label("source"),
        (literal(1.0, Double) / rate).label("weight"),
        right.label("right"),
    ).select_from(upload)
