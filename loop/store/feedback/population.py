"""What users drew since their phones follow the asking policy: strata with known chances, for the slice ``users``.

- Each digit counts by the way on which it reached the server: **by lot** (a drawing that the random arm asked about;
  chance of sending × chance of its lottery), **asked** (its user answered on the phone; chance of sending),
  **corrected** or **confirmed** (chance 1). A word of the user replaces the drawing, so no digit counts twice. A digit
  with which the user agreed, and which is not sent as a confirmation, takes part in the phone's lottery as any other;
  so a confirmation counts once too, whatever rate its phone used, and not 1/rate times.
- A source counts from its first drawing or answer on, without that one. An app that does not follow the policy sends
  mistakes only, and never begins. That first upload is a stopping time of the phone's lots: whatever comes after it has
  the chances above, so the sum of the inverse chances expects just the digits that were drawn after it.
- Corrections and confirmations count only if they arrived while a policy asked for both kinds of drawings.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import ColumnElement, Select, and_, false, func, or_, select
from sqlalchemy.orm import Session, aliased

from loop.store import tables
from loop.store.asking import policies
from loop.store.asking.values import Arm, QuestionStatus
from loop.store.feedback import jurors, narrow
from loop.store.feedback.narrow import QUESTION, UPLOAD, Narrow
from loop.store.values import Kind, Status

FIRST = aliased(tables.Correction)
"""The first upload of a source under the policy."""


def by_lot(tx: Session, days: int) -> Iterator[tuple[Narrow, NDArray[np.float64]]]:
    """The answered drawings of the random arm that may judge, as ``narrow.judging`` gives the others, and the chances
    ``(n,) float64`` with which each is here: that its phone sent it, times that of its lottery.
    """
    query = narrow.query(days).join(QUESTION, QUESTION.correction_id == UPLOAD.id).add_columns(QUESTION.chance)
    query = query.where(UPLOAD.kind == Kind.DRAWING, QUESTION.arm == Arm.RANDOM, QUESTION.chance.is_not(None))
    for rows in narrow.rows(tx, _begun(query)):
        found = narrow.part([row[:-1] for row in rows])
        yield found, found.rates * np.array([row[-1] for row in rows], np.float64)


def words(tx: Session, days: int) -> Iterator[tuple[Narrow, NDArray[np.float64]]]:
    """What users said themselves, of those who may judge, and the chances ``(n,) float64`` with which it was sent."""
    query = narrow.query(days).where(
        or_(
            UPLOAD.kind == Kind.ASKED,
            and_(
                UPLOAD.kind.in_((Kind.CORRECTION, Kind.CONFIRMATION)),
                UPLOAD.predicted.is_not(None),  # without a model on the phone, no policy was followed
                _while_phones_sent(tx),
            ),
        )
    )
    for rows in narrow.rows(tx, _begun(query)):
        chances = [row.rate if row.kind == Kind.ASKED else 1.0 for row in rows]
        yield narrow.part(rows), np.array(chances, np.float64)


def unanswered(tx: Session, days: int) -> NDArray[np.float64]:
    """The chances ``(n,) float64`` of the drawings that wait for their lottery or for an answer by lot, or waited too
    long for one: a drawing for which no lottery was held has the chance with which its phone sent it.
    """
    columns: tuple[Any, ...] = (UPLOAD.rate, func.coalesce(QUESTION.chance, 1.0))
    query = select(*columns).join(tables.Source, tables.Source.id == UPLOAD.source_id)
    query = query.outerjoin(QUESTION, QUESTION.correction_id == UPLOAD.id).where(
        jurors.seasoned(days),
        UPLOAD.kind == Kind.DRAWING,
        UPLOAD.status.in_((Status.PENDING, Status.NOTED)),
        UPLOAD.flag.is_(None),
        or_(
            and_(
                QUESTION.arm == Arm.RANDOM,
                QUESTION.chance.is_not(None),
                QUESTION.status.in_((QuestionStatus.OPEN, QuestionStatus.DROPPED)),
            ),
            and_(QUESTION.id.is_(None), UPLOAD.lottery.is_(None), UPLOAD.status == Status.PENDING),
        ),
    )
    rates, lots = np.array([tuple(row) for row in tx.execute(_begun(query))], np.float64).reshape(-1, 2).T
    return np.asarray(rates * lots)


def _begun(query: Select[Any]) -> Select[Any]:
    """Only what a source sent after its first upload under the policy, about other pictures than that one."""
    each = select(UPLOAD.source_id, func.min(UPLOAD.id).label("id")).where(UPLOAD.kind.in_((Kind.DRAWING, Kind.ASKED)))
    firsts = each.group_by(UPLOAD.source_id).subquery()
    query = query.join(firsts, firsts.c.source_id == UPLOAD.source_id).join(FIRST, FIRST.id == firsts.c.id)
    return query.where(UPLOAD.id > FIRST.id, UPLOAD.digest != FIRST.digest)


def _while_phones_sent(tx: Session) -> ColumnElement[bool]:
    periods = [
        UPLOAD.received_at >= since if until is None else UPLOAD.received_at.between(since, until)
        for since, until in policies.sending(tx)
    ]
    return or_(false(), *periods)
