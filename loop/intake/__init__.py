"""Accept uploads, once each, or refuse them with a reason.

Rules: what cannot be taken is refused before a transaction begins, and then nothing of it is stored. A batch is one
transaction and a handful of statements. When ``commit`` returns, every row that a receipt speaks of is on disk, and
two processes that store the same upload at the same moment still store it once.
"""

from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.orm import Session

from loop.errors import ClientError, QuotaSpent
from loop.intake.deciding import Decisions, Taken, today
from loop.intake.upload import Prepared, Upload, prepare
from loop.store import Store
from loop.store.engine import Contention
from loop.store.feedback import uploads
from loop.store.feedback.uploads import Stored
from loop.store.values import Role, Status

__all__ = ["Answer", "Prepared", "Receipt", "Upload", "accept", "accept_many", "commit", "prepare"]

DEADLOCK_RETRIES = 4  # times that a batch is tried again after a deadlock
UPLOADS_PER_TRANSACTION = (
    500  # uploads a transaction: fsync bound below (270/s at 1, 10,400/s at 64), fair to other writers above
)


@dataclass(frozen=True, slots=True)
class Receipt:
    """What is stored, and since when.

    ``duplicate``: its source had sent the same image and label before. ``replayed``: its key had come before; all else
    is then as in the first answer.
    """

    id: int
    digest: str
    status: Status
    role: Role
    duplicate: bool
    received_at: datetime
    replayed: bool = False


Answer = Receipt | ClientError | QuotaSpent
"""What a sender is told of one upload."""


def accept(store: Store, upload: Upload, holdout_share: float, now: datetime) -> Receipt:
    """Store one upload. Raises ``BadImage``, ``BadLabel``, ``KeyConflict``; then nothing of it is stored."""
    (answer,) = commit(store, [prepare(upload, now)], holdout_share, now)
    if isinstance(answer, Receipt):
        return answer
    raise answer


def accept_many(store: Store, sent: Iterable[Upload], holdout_share: float, now: datetime) -> list[Answer]:
    """Store what can be taken, ``BATCH`` uploads a transaction; the answer to upload i stands at i."""
    answers: list[Answer] = []
    waiting: list[Prepared | ClientError] = []
    for upload in sent:
        waiting.append(_prepared_or_reason(upload, now))
        if len(waiting) == UPLOADS_PER_TRANSACTION:
            answers += _accept_batch(store, waiting, holdout_share, now)
            waiting = []
    return answers + _accept_batch(store, waiting, holdout_share, now)


def commit(
    store: Store, prepared: Sequence[Prepared], holdout_share: float, now: datetime, per_day: int | None = None
) -> list[Answer]:
    """Store what can be taken in one transaction; the answer to upload i stands at i.

    ``per_day`` is what a source may newly store on one UTC day; past it, an upload's answer is ``QuotaSpent``.
    Raises ``StoreUnavailable`` or ``DiskFull`` when the database does not take the batch; then nothing of it is stored.
    """
    if not prepared:
        return []
    for _ in range(DEADLOCK_RETRIES):
        with suppress(Contention):  # two batches met the same sources in another order: nothing of ours is stored
            return _commit(store, prepared, holdout_share, now, per_day)
    return _commit(store, prepared, holdout_share, now, per_day)


def _commit(
    store: Store, prepared: Sequence[Prepared], holdout_share: float, now: datetime, per_day: int | None
) -> list[Answer]:
    with store.write() as tx:
        rules = _rules(tx, prepared, holdout_share, now, per_day)
        decided = [rules.decide(upload) for upload in prepared]
        stored = _write(tx, rules, now)
    return [
        _receipt(answer, stored, rules.senders[upload.source].role) if isinstance(answer, Taken) else answer
        for upload, answer in zip(prepared, decided, strict=True)
    ]


def _rules(
    tx: Session, prepared: Sequence[Prepared], holdout_share: float, now: datetime, per_day: int | None
) -> Decisions:
    """The rules over all that the store holds of these sources, keys and contents."""
    senders = uploads.senders(tx, {upload.source for upload in prepared}, holdout_share, now)
    rows = [(senders[upload.source].id, upload.columns) for upload in prepared]
    keys = uploads.bound(tx, {(source, row["key"]) for source, row in rows})
    contents = uploads.stored(tx, {(source, row["digest"], row["label"]) for source, row in rows})
    return Decisions(senders, keys, contents, now, per_day)


def _write(tx: Session, rules: Decisions, now: datetime) -> dict[Prepared, Stored]:
    """Write what was decided; the rows of the new uploads."""
    rows = [{"source_id": rules.senders[upload.source].id, **upload.columns} for upload in rules.new]
    stored = {
        upload: Stored(number, row["digest"], row["status"], row["received_at"])
        for upload, row, number in zip(rules.new, rows, uploads.add(tx, rows), strict=True)
    }
    replays = [
        {
            "source_id": rules.senders[upload.source].id,
            "key": upload.columns["key"],
            "body_digest": upload.columns["body_digest"],
            "correction_id": (stored[first] if isinstance(first, Prepared) else first).id,
            "answered_at": now,
        }
        for upload, first in rules.bound
    ]
    uploads.bind(tx, replays)
    uploads.spend(tx, rules.used, today(now))
    return stored


def _receipt(taken: Taken, stored: dict[Prepared, Stored], role: Role) -> Receipt:
    found = stored[taken.upload] if isinstance(taken.upload, Prepared) else taken.upload
    return Receipt(found.id, found.digest, found.status, role, taken.duplicate, found.received_at, taken.replayed)


def _prepared_or_reason(upload: Upload, now: datetime) -> Prepared | ClientError:
    try:
        return prepare(upload, now)
    except ClientError as refused:
        return refused


def _accept_batch(
    store: Store, ready: Sequence[Prepared | ClientError], holdout_share: float, now: datetime
) -> list[Answer]:
    sound = [upload for upload in ready if isinstance(upload, Prepared)]
    committed = iter(commit(store, sound, holdout_share, now))
    return [next(committed) if isinstance(upload, Prepared) else upload for upload in ready]
