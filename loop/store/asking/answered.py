"""Drawings that reviewers have labelled: those that teach, by arm, and what the last answers said."""

from datetime import datetime

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import select
from sqlalchemy.orm import Session

from loop.store import tables
from loop.store.asking.values import Arm, QuestionStatus
from loop.store.values import Kind, Role, Status

UPLOAD, QUESTION, SOURCE = tables.Correction, tables.Question, tables.Source


def teaching(tx: Session, arm: Arm) -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
    """The answered drawings of teaching sources that were asked about in this arm: ids and labels, by id."""
    query = (
        select(UPLOAD.id, UPLOAD.label)
        .join(QUESTION, QUESTION.correction_id == UPLOAD.id)
        .join(SOURCE, SOURCE.id == UPLOAD.source_id)
        .where(
            QUESTION.arm == arm,
            SOURCE.role == Role.TRAIN,
            UPLOAD.kind == Kind.DRAWING,
            UPLOAD.status == Status.ACCEPTED,
            UPLOAD.flag.is_(None),
        )
        .order_by(UPLOAD.id)
    )
    rows = tx.execute(query).all()
    return np.array([row[0] for row in rows], np.int64), np.array([row[1] for row in rows], np.uint8)


def contradicted(tx: Session, most: int) -> tuple[int, int]:
    """Of the last answers of the random arm with a digit, at most ``most``: how many there are, and how many differ
    from what the phone's model read.
    """
    query = (
        select(QUESTION.label, UPLOAD.predicted)
        .join(UPLOAD, UPLOAD.id == QUESTION.correction_id)
        .where(
            QUESTION.arm == Arm.RANDOM,
            QUESTION.status == QuestionStatus.ANSWERED,
            QUESTION.label.is_not(None),
            UPLOAD.predicted.is_not(None),
        )
        .order_by(QUESTION.closed_at.desc(), QUESTION.id.desc())
        .limit(most)
    )
    rows = tx.execute(query).all()
    return len(rows), sum(label != predicted for label, predicted in rows)


def newest_drawings(tx: Session, since: datetime, most: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Drawings that wait for an answer and arrived since then, the newest first, at most ``most``: ids and rates."""
    query = (
        select(UPLOAD.id, UPLOAD.rate)
        .where(UPLOAD.kind == Kind.DRAWING, UPLOAD.status == Status.PENDING, UPLOAD.received_at >= since)
        .order_by(UPLOAD.id.desc())
        .limit(most)
    )
    rows = tx.execute(query).all()
    return np.array([row[0] for row in rows], np.int64), np.array([row[1] for row in rows], np.float64)
