"""What a source may see and take back: its own uploads, one by one, in pages, counted, or all of them.

Every query names the source, so that no number of another source's upload is ever answered.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session, aliased

from loop.errors import UnknownCorrection, UnknownSource
from loop.store import tables
from loop.store.feedback import considered, erasures
from loop.store.feedback.considered import Made
from loop.store.values import Flag, Kind, Status

LARGEST_ID = 2**63 - 1
SCREENED = {Status.PENDING, Status.QUARANTINED, Status.REJECTED}
"""What reviewers decide about an upload is not shown to its source: only teaching sources are screened."""


@dataclass(frozen=True, slots=True)
class OwnUpload:
    """A stored upload as its source may see it: nothing here depends on the side of the source (ADR 17).

    ``status`` is never that of a quarantine, since only what may be taught is screened. ``considered``: the versions
    that were made while it counted; none of a withdrawn one, since the time is not stored. ``pixels``: 784 bytes.
    A drawing looks the same whether reviewers were asked about it or not, and whatever they said.
    """

    id: int
    digest: str
    kind: Kind
    label: int | None
    status: Status
    predicted: int | None
    confidence: float | None
    version: int | None
    runner_up: int | None
    runner_up_confidence: float | None
    rate: float
    flag: Flag | None
    captured_at: datetime | None
    received_at: datetime
    normalised: bool
    preparation: str | None
    supersedes: int | None
    superseded_by: int | None
    pixels: bytes
    considered: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Summary:
    """A source: when it was first seen, how many uploads of each kind and status it has, since when it is attested."""

    first_seen_at: datetime
    attested_at: datetime | None
    counts: dict[tuple[Kind, Status], int]


def get(tx: Session, source: str, number: int) -> OwnUpload:
    """One upload of this source. Raises ``UnknownCorrection``."""
    found = page(tx, source, number + 1, 1) if 0 < number < LARGEST_ID else []
    if not found or found[0].id != number:
        raise UnknownCorrection(f"no correction {number} of this source; list its corrections to see their numbers")
    return found[0]


def page(tx: Session, source: str, before: int, limit: int) -> list[OwnUpload]:
    """The last ``limit`` uploads of this source with numbers below ``before``, newest first."""
    upload = tables.Correction
    query = _uploads().where(tables.Source.name == source, upload.id < before)
    return _values(tx, tx.execute(query.order_by(upload.id.desc()).limit(limit)).all())


def after(tx: Session, source: str, last: int, limit: int) -> list[OwnUpload]:
    """The first ``limit`` uploads of this source with numbers above ``last``, oldest first."""
    upload = tables.Correction
    query = _uploads().where(tables.Source.name == source, upload.id > last)
    return _values(tx, tx.execute(query.order_by(upload.id).limit(limit)).all())


def summary(tx: Session, source: str) -> Summary:
    """The counts of a source. Raises ``UnknownSource``."""
    stored = tables.Source
    columns = (stored.id, stored.seen_at, stored.attested_at)
    row = tx.execute(select(*columns).where(stored.name == source)).first()
    if row is None:
        raise UnknownSource("nothing is stored of this source; send its first correction, or check its name")
    key = (tables.Correction.kind, tables.Correction.status)
    counted = select(*key, func.count()).where(tables.Correction.source_id == row.id).group_by(*key)
    counts: Counter[tuple[Kind, Status]] = Counter()
    for kind, status, n in tx.execute(counted):
        counts[Kind(kind), _shown(status, kind)] += n
    return Summary(row.seen_at, row.attested_at, dict(counts))


def withdraw(tx: Session, source: str, number: int) -> OwnUpload:
    """Take an upload back: no night that ends after this has taught it. Withdrawing twice is no error.

    An earlier word about the same image does not come back. ``tx`` must be exclusive. Raises ``UnknownCorrection``.
    """
    tx.execute(select(tables.Source.id).where(tables.Source.name == source).with_for_update())  # as uploads do
    found = get(tx, source, number)
    mark_withdrawn(tx, number)
    return replace(found, status=Status.WITHDRAWN)


def mark_withdrawn(tx: Session, number: int) -> None:
    """Take this upload out of what is taught and judged. ``tx`` must be exclusive."""
    upload = tables.Correction
    erasures.unteach(tx, upload.id == number)
    tx.execute(update(upload).where(upload.id == number).values(status=Status.WITHDRAWN))


def _shown(status: str, kind: str) -> Status:
    """The status as its source may see it; a drawing that is ``noted`` was called no digit by reviewers."""
    hidden = status in SCREENED or (kind == Kind.DRAWING and status == Status.NOTED)
    return Status.ACCEPTED if hidden else Status(status)


def _uploads() -> Any:
    upload, later = tables.Correction, aliased(tables.Correction)
    names = (name for name in OwnUpload.__slots__ if name not in {"superseded_by", "considered"})
    successor = select(func.min(later.id)).where(later.supersedes == upload.id).scalar_subquery()
    replaced_at = select(func.min(later.received_at)).where(later.supersedes == upload.id).scalar_subquery()
    columns = (*(getattr(upload, name) for name in names), successor.label("superseded_by"))
    own = select(*columns, replaced_at.label("replaced_at"))
    return own.join(tables.Source, tables.Source.id == upload.source_id)


def _values(tx: Session, rows: Sequence[Any]) -> list[OwnUpload]:
    made = considered.since(tx, min(row.received_at for row in rows)) if rows else []
    return [_value(dict(row._mapping), made) for row in rows]


def _value(columns: dict[str, Any], made: list[Made]) -> OwnUpload:
    replaced_at, flag, kind = columns.pop("replaced_at"), columns["flag"], Kind(columns["kind"])
    status = _shown(columns["status"], kind)
    counted = status is Status.ACCEPTED or (status is Status.SUPERSEDED and replaced_at is not None)
    if not counted or (columns["label"] is None and kind is not Kind.DRAWING):
        made = []  # it never counted, or nobody knows until when
    versions = considered.between(made, columns["received_at"], replaced_at)
    shown = {"kind": kind, "status": status, "flag": None if flag is None else Flag(flag)}
    if kind is Kind.DRAWING:
        shown["label"] = None  # the source gave none
    return OwnUpload(**columns | shown, considered=versions)
