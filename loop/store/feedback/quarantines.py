"""Uploads that screening held back, and the decisions about them. An accepted one teaches, and is never held again."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import ColumnElement, Select, Text, bindparam, cast, exists, func, select, update
from sqlalchemy.orm import Session

from loop.store import tables
from loop.store.feedback.json_rows import dialect, given, listed
from loop.store.tables.base import Id
from loop.store.values import Attribution, Status

Decision = Literal["accepted", "rejected"]
ACCEPTED: Decision = "accepted"
REJECTED: Decision = "rejected"
DECISION = "decision"
"""The signal of the reason that a reviewer gave."""
QUARANTINES = tables.Base.metadata.tables["quarantines"]
_STATUS = {ACCEPTED: Status.ACCEPTED, REJECTED: Status.REJECTED}


@dataclass(frozen=True, slots=True)
class Held:
    """An upload that was held back. ``status`` is that of the upload now: its source may have withdrawn it since.

    ``reasons`` is a list of ``{"signal", "text", "numbers"}``; the decision's parts are None until there is one.
    """

    id: int
    source: str
    label: int
    status: Status
    pixels: bytes
    received_at: datetime
    run: int | None
    reasons: list[dict[str, Any]]
    found_at: datetime
    decision: Decision | None
    decided_at: datetime | None
    decided_by: str | None


@dataclass(frozen=True, slots=True)
class Which:
    """A choice among the held uploads: all parts that are given must fit. ``signal`` is one of ``screening.SIGNALS``.

    ``decided`` None: those without a decision, which are still quarantined.
    """

    ids: tuple[int, ...] = ()
    source: str | None = None
    signal: str | None = None
    decided: Decision | None = None


def hold(tx: Session, reasons: Mapping[int, Sequence[Mapping[str, Any]]], run_id: int | None, now: datetime) -> int:
    """Quarantine these accepted uploads, by id; how many. Those that are no longer accepted are left out, and those
    that a reviewer accepted. ``tx`` must be exclusive.
    """
    ids = _accepted_of(tx, sorted(reasons))
    rows = [{"correction_id": id_, "run_id": run_id, "reasons": reasons[id_], "found_at": now} for id_ in ids]
    if rows:
        tx.execute(QUARANTINES.insert(), rows)
        _set(tx, ids, Status.QUARANTINED)
    return len(rows)


def accepted(tx: Session) -> list[int]:
    """The ids of the uploads that a reviewer accepted, ascending."""
    quarantine = tables.Quarantine
    query = select(quarantine.correction_id).where(quarantine.decision == ACCEPTED).order_by(quarantine.correction_id)
    return list(tx.scalars(query))


def waiting(tx: Session) -> dict[str, int]:
    """How many uploads wait for a decision, by signal; ``all`` counts each once."""
    rows = tx.scalars(_joined(Which(), select(tables.Quarantine.reasons))).all()
    counts = {"all": len(rows)}
    for reasons in rows:
        for signal in {each["signal"] for each in reasons}:
            counts[signal] = counts.get(signal, 0) + 1
    return counts


def unasked(tx: Session, most: int) -> list[tuple[int, str]]:
    """Uploads that wait for a decision and have no question, the first held first: their ids, and the first reason."""
    question = tables.Question
    query = (
        _joined(Which(), select(tables.Quarantine.correction_id, tables.Quarantine.reasons))
        .where(~exists().where(question.correction_id == tables.Quarantine.correction_id))
        .order_by(tables.Quarantine.found_at, tables.Quarantine.correction_id)
        .limit(most)
    )
    return [(id_, str(reasons[0]["text"]) if reasons else "no reason") for id_, reasons in tx.execute(query)]


def count(tx: Session) -> int:
    """How many uploads wait for a decision."""
    query = select(func.count()).select_from(tables.Correction)
    return tx.scalars(query.where(tables.Correction.status == Status.QUARANTINED)).one()


def find(tx: Session, which: Which, limit: int | None = None, after: int = 0) -> list[Held]:
    """The chosen uploads with an id above ``after``, ordered by id."""
    upload, quarantine = tables.Correction, tables.Quarantine
    columns = (upload.id, tables.Source.name, upload.label, upload.status, upload.pixels, upload.received_at)
    rest = (quarantine.run_id, quarantine.reasons, quarantine.found_at, quarantine.decision, quarantine.decided_at)
    query = _joined(which, select(*columns, *rest, quarantine.decided_by)).where(upload.id > after).limit(limit)
    rows = tx.execute(query.order_by(upload.id)).all()
    return [Held(id_, source, label, Status(status), *rest) for id_, source, label, status, *rest in rows]


def get(tx: Session, id_: int) -> Held | None:
    """One upload that was held back, whatever was decided about it; None if it never was."""
    for decided in (None, ACCEPTED, REJECTED):
        if found := find(tx, Which((id_,), decided=decided)):
            return found[0]
    return None


def decide(tx: Session, which: Which, decision: Decision, by: Attribution, now: datetime) -> list[int]:
    """Accept or reject the chosen uploads that wait for a decision; their ids. Who, when and why are stored: the
    decision's reason becomes one more of ``reasons``. ``tx`` must be exclusive.
    """
    query = _joined(Which(which.ids, which.source, which.signal), select(tables.Correction.id, QUARANTINES.c.reasons))
    rows = tx.execute(query.order_by(tables.Correction.id)).all()
    said = {"signal": DECISION, "text": f"{decision} by {by.actor}: {by.reason}", "numbers": {}}
    made = {"decision": decision, "decided_at": now, "decided_by": by.actor}
    if rows:
        at = QUARANTINES.c.correction_id == bindparam("held")
        tx.execute(
            update(QUARANTINES).where(at).values(made | {"reasons": bindparam("why")}),
            [{"held": row.id, "why": [*row.reasons, said]} for row in rows],
        )
        _set(tx, [row.id for row in rows], _STATUS[decision])
    return [row.id for row in rows]


def _accepted_of(tx: Session, ids: Sequence[int]) -> list[int]:
    """Those of the ids that are accepted uploads, without a row in ``quarantines``."""
    upload, sought = tables.Correction, given(dialect(tx), id=Id)
    query = (
        select(upload.id)
        .join(sought, sought.c.id == upload.id)
        .outerjoin(tables.Quarantine, tables.Quarantine.correction_id == upload.id)
        .where(upload.status == Status.ACCEPTED, tables.Quarantine.correction_id.is_(None))
        .order_by(upload.id)
    )
    return list(tx.scalars(query, listed({"id": id_} for id_ in ids)))


def _set(tx: Session, ids: Sequence[int], status: Status) -> None:
    upload, sought = tables.Correction, given(dialect(tx), id=Id)
    tx.execute(
        update(upload)
        .where(upload.id.in_(select(sought.c.id)))
        .values(status=status)
        .execution_options(synchronize_session=False),
        listed({"id": id_} for id_ in ids),
    )


def _joined(which: Which, query: Select[Any]) -> Select[Any]:
    """The query over the chosen rows of uploads, sources and quarantines."""
    quarantine, upload = tables.Quarantine, tables.Correction
    its: list[ColumnElement[bool]] = [quarantine.decision.is_(None), upload.status == Status.QUARANTINED]
    if which.decided is not None:
        its = [quarantine.decision == which.decided]
    if which.ids:
        its.append(upload.id.in_(which.ids))
    if which.source is not None:
        its.append(tables.Source.name == which.source)
    if which.signal is not None:
        its.append(cast(quarantine.reasons, Text).like(f'%"signal": "{which.signal}"%'))
    joined = query.select_from(quarantine).join(upload, upload.id == quarantine.correction_id)
    return joined.join(tables.Source, tables.Source.id == upload.source_id).where(*its)
