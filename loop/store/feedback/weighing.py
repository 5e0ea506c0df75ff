"""Which accepted uploads are evidence about a model, with which weight, and which are set aside.

Set aside: an upload that names an unknown version or an impossible time (``corrections.flag``), and a confirmation with
a rate that the server never announced; such rows are older than the check. They are kept, may teach with weight 1, and
are counted here.
"""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Double, and_, case, func, literal, or_, select
from sqlalchemy.orm import Session

from loop.store import tables
from loop.store.phones import feeds
from loop.store.values import Flag, Kind, Status

MILLION = 1_000_000
TOLERANCE = 2.0
"""A stated rate within this factor of an announced one is believed to be that one."""
LOW_RATE = "unannounced-rate"
REASONS = (*Flag, LOW_RATE)
"""Why an upload can be set aside."""


@dataclass(frozen=True, slots=True)
class SetAside:
    """An upload that is never weighed: its number, its source's name, and one of ``REASONS``."""

    id: int
    source: str
    reason: str


def least_announced(tx: Session, confirm_rate: float) -> float:
    """The lowest rate with which a confirmation may be weighed; ``confirm_rate`` counts where no feed was ever signed.

    A row with a lower one is older than the check of rates, and its sender made the rate up.
    """
    rates = [ppm / MILLION for ppm in feeds.announced_ppm(tx)] or [announced(confirm_rate)]
    return min((rate for rate in rates if rate > 0), default=1.0) / TOLERANCE


def announced(rate: float) -> float:
    """A rate as a feed announces it: in whole millionths."""
    return round(rate * MILLION) / MILLION


def is_weighed(least_rate: float) -> ColumnElement[bool]:
    """Whether an accepted upload is evidence. Confirmations with a rate below ``least_rate`` are not."""
    return and_(tables.Correction.flag.is_(None), ~_is_low(least_rate))


def rate() -> ColumnElement[float]:
    """The rate of an upload, of which 1/rate is the weight: 1 for a correction, whatever its row says."""
    upload = tables.Correction
    return case((upload.kind == Kind.CONFIRMATION, upload.rate), else_=literal(1.0, Double))


def counts(tx: Session, least_rate: float) -> dict[str, int]:
    """How many accepted uploads are set aside, for each of ``REASONS``; linear in the number of uploads."""
    reason = _reason()
    rows = tx.execute(select(reason, func.count()).where(*_its(least_rate)).group_by(reason)).all()
    return dict.fromkeys(map(str, REASONS), 0) | dict(rows)


def newest(tx: Session, least_rate: float, limit: int) -> list[SetAside]:
    """At most ``limit`` of the uploads that are set aside, newest first."""
    upload, source = tables.Correction, tables.Source
    query = select(upload.id, source.name, _reason()).join(source, source.id == upload.source_id)
    rows = tx.execute(query.where(*_its(least_rate)).order_by(upload.id.desc()).limit(limit))
    return [SetAside(*row) for row in rows]


def _its(least_rate: float) -> tuple[ColumnElement[bool], ...]:
    upload = tables.Correction
    return upload.status == Status.ACCEPTED, or_(upload.flag.is_not(None), _is_low(least_rate))


def _reason() -> Any:
    return func.coalesce(tables.Correction.flag, literal(LOW_RATE)).label("reason")


def _is_low(least_rate: float) -> ColumnElement[bool]:
    upload = tables.Correction
    return and_(upload.kind == Kind.CONFIRMATION, upload.rate < literal(least_rate, Double))
