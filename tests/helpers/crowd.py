"""Simulated people who draw digits for a phone model with a given error rate, and upload as phones do."""

from dataclasses import dataclass
from datetime import datetime

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import insert, select
from sqlalchemy.orm import Session

from loop.store import tables
from loop.store.feedback.live_scores import LiveSums

PIXELS = bytes(784)


@dataclass(frozen=True, slots=True, eq=False)
class Sent:
    """Uploads: ``people (n,)`` numbers their sources, ``right (n,) bool``, ``rates (n,)``."""

    people: NDArray[np.int64]
    right: NDArray[np.bool_]
    rates: NDArray[np.float64]


def write(seed: int, people: int, each: int, accuracy: float, rate: float = 0.05, alike: float = 20.0) -> Sent:
    """Each of ``people`` draws about ``each`` digits; all wrong ones are corrected, right ones confirmed at ``rate``.

    The model's accuracy for one person follows a beta distribution with mean ``accuracy``; a larger ``alike`` makes it
    narrower.
    """
    random = np.random.default_rng(seed)
    shares = random.beta(accuracy * alike, (1 - accuracy) * alike, people)
    who = np.repeat(np.arange(people), random.poisson(each, people))
    right = random.random(len(who)) < shares[who]
    sent = ~right | (random.random(len(who)) < rate)
    return Sent(who[sent], right[sent], np.where(right[sent], rate, 1.0))


def tally(sent: Sent, version: int = 1, how: str = "told") -> LiveSums:
    """The expected sums in the store."""
    weights, right = 1 / sent.rates, sent.right
    squares = weights**2
    a = np.bincount(sent.people, weights)
    b = np.bincount(sent.people, weights * right)
    return LiveSums(
        version=version,
        how=how,
        n=len(weights),
        sources=len(np.unique(sent.people)),
        heaviest=float(weights.max()),
        right=float(weights[right].sum()),
        wrong=float(weights[~right].sum()),
        right_squares=float(squares[right].sum()),
        wrong_squares=float(squares[~right].sum()),
        aa=float((a * a).sum()),
        ab=float((a * b).sum()),
        bb=float((b * b).sum()),
    )


def send(
    tx: Session, sent: Sent, now: datetime, *, version: int | None = 1, arrived: int | None = None, told: bool = True
) -> None:
    """Store uploads of phones that run ``version``.

    ``arrived`` is the version that scored them on arrival, with the same answers as the phone's.
    """
    ids = [_source(tx, f"person {who}", now) for who in range(int(sent.people.max()) + 1)]
    rows = [
        {
            "source_id": ids[who],
            "key": f"key {version} {arrived} {row}",
            "body_digest": "0" * 64,
            "digest": f"{row:048x}{version or 0:08x}{arrived or 0:08x}",
            "pixels": PIXELS,
            "normalised": False,
            "label": 3,
            "kind": "confirmation" if right else "correction",
            "status": "accepted",
            "predicted": (3 if right else 8) if told else None,
            "version": version,
            "rate": float(rate),
            "received_at": now,
        }
        for row, (who, right, rate) in enumerate(zip(sent.people, sent.right, sent.rates, strict=True))
    ]
    upload = tables.Base.metadata.tables["corrections"]
    uploads = tx.scalars(insert(upload).returning(upload.c.id, sort_by_parameter_order=True), rows).all()
    if arrived is not None:
        scores = [
            {"correction_id": id_, "version": arrived, "said": 3 if right else 8, "scored_at": now}
            for id_, right in zip(uploads, sent.right, strict=True)
        ]
        tx.execute(insert(tables.Arrival), scores)


def _source(tx: Session, name: str, now: datetime) -> int:
    row = tx.scalar(select(tables.Source).where(tables.Source.name == name))
    if row is None:
        row = tables.Source(name=name, role="train", seen_at=now)
        tx.add(row)
        tx.flush()
    return row.id
