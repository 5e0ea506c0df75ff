"""How the champion of the moment read each upload, and how often each version is right in the users' hands."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Double, Select, bindparam, case, func, literal, select, union_all, update
from sqlalchemy.orm import Session

from loop.store import tables
from loop.store.values import Status

MIN_RATE = 1e-3
"""Lower rates count as this: one sender's claim must not outweigh all others."""


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
class LiveSums:
    """Sums over the uploads that are evidence about a version, each with weight ``1/rate``.

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


def sums(tx: Session) -> list[LiveSums]:
    """Per version: the answers of phones that run it, and its own answers to the uploads of its time as champion.

    Only accepted uploads with the phone's prediction count: imported handwriting is not a sample of what users draw.
    """
    upload, arrival = tables.Correction, tables.Arrival
    told = (
        _weighed("told", upload.version, upload.predicted)
        .join(tables.Version, tables.Version.number == upload.version)  # a phone can claim any number
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
    totals = select(
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
    rows = tx.execute(totals.order_by(one.version.desc(), one.how.desc()))
    return [LiveSums(version, how, int(n), sources, *map(float, rest)) for version, how, n, sources, *rest in rows]


def _weighed(how: str, version: Any, answer: Any) -> Select[Any]:
    """Each upload: the version it is evidence about, its source, its weight, and 1.0 if the answer equals its label."""
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
