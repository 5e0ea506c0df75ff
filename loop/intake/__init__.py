"""Accept each upload once, or refuse it with a reason.

Rules: an unacceptable upload is refused before a transaction begins, and nothing of it is stored. A batch is one
transaction and a handful of statements. When ``commit`` returns, the row of every receipt is on disk. Two processes
that store the same upload at the same moment store it once.
"""

from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy.orm import Session

from loop.errors import CallerError, ClientError
from loop.intake.deciding import Decisions, Taken, today
from loop.intake.upload import Prepared, Upload, prepare
from loop.store import Store
from loop.store.engine import Contention
from loop.store.feedback import senders, uploads
from loop.store.feedback.uploads import Stored
from loop.store.values import Role, Status

if TYPE_CHECKING:  # it loads the feed's cryptography, which no import of handwriting needs
    from loop.intake.announced_rates import AnnouncedRates

__all__ = ["Answer", "Prepared", "Receipt", "Rules", "Upload", "accept", "accept_many", "commit", "prepare"]

DEADLOCK_RETRIES = 4
UPLOADS_PER_TRANSACTION = 500
"""Smaller transactions are bound by fsync (270 uploads/s at 1, 10,400/s at 64); larger ones delay other writers."""


@dataclass(frozen=True, slots=True)
class Rules:
    """The rules for uploads from outside; without them (an import, a replay), there are none.

    ``per_day`` is the number of new uploads that a source may store on one UTC day; past it, the answer is
    ``QuotaSpent``. A source that was first seen at ``exempt_before`` or later must be attested, else the answer is
    ``NotAttested``.
    """

    per_day: int | None = None
    exempt_before: datetime | None = None


NONE = Rules()


@dataclass(frozen=True, slots=True)
class Receipt:
    """A stored upload, and when it was received.

    ``duplicate``: its source had already said the same about the same image. ``replayed``: its key was already used;
    all other fields are then as in the first answer. ``supersedes``: the id of the earlier word that it replaced.
    """

    id: int
    digest: str
    status: Status
    role: Role
    duplicate: bool
    received_at: datetime
    replayed: bool = False
    supersedes: int | None = None


Answer = Receipt | ClientError | CallerError
"""The answer to one upload."""


def accept(store: Store, upload: Upload, holdout_share: float, now: datetime) -> Receipt:
    """Store an upload. Raises ``BadImage``, ``BadField``, ``KeyConflict``, ``SourceErased``; none is then stored."""
    (answer,) = commit(store, [prepare(upload, now)], holdout_share, now)
    if isinstance(answer, Receipt):
        return answer
    raise answer


def accept_many(
    store: Store, sent: Iterable[Upload], holdout_share: float, now: datetime, *, vouched: bool = False
) -> list[Answer]:
    """Store the acceptable uploads, ``UPLOADS_PER_TRANSACTION`` at a time; answer i belongs to upload i.

    ``vouched``: an operator vouches for their sources.
    """
    answers: list[Answer] = []
    waiting: list[Prepared | ClientError] = []
    for upload in sent:
        waiting.append(_prepared_or_reason(upload, now))
        if len(waiting) == UPLOADS_PER_TRANSACTION:
            answers += _accept_batch(store, waiting, holdout_share, now, vouched)
            waiting = []
    return answers + _accept_batch(store, waiting, holdout_share, now, vouched)


def commit(
    store: Store,
    prepared: Sequence[Prepared],
    holdout_share: float,
    now: datetime,
    rules: Rules = NONE,
    announced: "AnnouncedRates | None" = None,
) -> list[Answer]:
    """Store the acceptable uploads in one transaction; answer i belongs to upload i.

    ``announced`` decides the rates of uploads from outside; without it the rates are this server's own (an import, a
    replay), or 1 where none is stated. Raises ``StoreUnavailable`` or ``DiskFull`` if the transaction fails; then
    nothing is stored.
    """
    settled = prepared if announced is None else announced.settle(prepared)
    sound = [each for each in settled if isinstance(each, Prepared)]
    committed = iter(_retried(store, sound, holdout_share, now, rules))
    return [next(committed) if isinstance(each, Prepared) else each for each in settled]


def _retried(
    store: Store, prepared: Sequence[Prepared], holdout_share: float, now: datetime, rules: Rules
) -> list[Answer]:
    if not prepared:
        return []
    for _ in range(DEADLOCK_RETRIES):
        with suppress(Contention):  # two batches locked the same sources in different orders: nothing of ours is stored
            return _commit(store, prepared, holdout_share, now, rules)
    return _commit(store, prepared, holdout_share, now, rules)


def _commit(
    store: Store, prepared: Sequence[Prepared], holdout_share: float, now: datetime, rules: Rules
) -> list[Answer]:
    with store.write() as tx:
        decisions = _decisions(tx, prepared, holdout_share, now, rules)
        decided = [decisions.decide(upload) for upload in prepared]
        stored = _write(tx, decisions, now)
    return [
        _receipt(answer, stored, decisions.senders[upload.source].role) if isinstance(answer, Taken) else answer
        for upload, answer in zip(prepared, decided, strict=True)
    ]


def _decisions(
    tx: Session, prepared: Sequence[Prepared], holdout_share: float, now: datetime, rules: Rules
) -> Decisions:
    """What decides, with all that the store contains of these sources, keys and contents."""
    found = senders.hold(tx, {upload.source for upload in prepared}, holdout_share, now)
    rows = [(found[upload.source].id, upload.columns) for upload in prepared]
    keys = uploads.bound(tx, {(source, row["key"]) for source, row in rows})
    last_words = uploads.last_words(tx, {(source, row["digest"]) for source, row in rows})
    return Decisions(found, keys, last_words, now, rules.per_day, rules.exempt_before)


def _write(tx: Session, decisions: Decisions, now: datetime) -> dict[Prepared, Stored]:
    """Write the decisions; the rows of the new uploads."""
    ids = dict(zip(decisions.new, uploads.reserve(tx, len(decisions.new)), strict=True))
    rows = [_row(decisions, upload, ids) for upload in decisions.new]
    uploads.supersede(tx, [word.id for word in decisions.supersedes.values() if isinstance(word, Stored)])
    uploads.add(tx, rows)
    stored = {
        upload: Stored(**{name: row[name] for name in Stored.__slots__})
        for upload, row in zip(decisions.new, rows, strict=True)
    }
    replays = [
        {
            "source_id": decisions.senders[upload.source].id,
            "key": upload.columns["key"],
            "body_digest": upload.columns["body_digest"],
            "correction_id": (stored[first] if isinstance(first, Prepared) else first).id,
            "answered_at": now,
        }
        for upload, first in decisions.bound
    ]
    uploads.bind(tx, replays)
    senders.spend(tx, decisions.used, today(now))
    erased = {sender.id for sender in decisions.senders.values() if sender.erased_at is not None}
    senders.forget(tx, erased | decisions.unattested)
    return stored


def _row(decisions: Decisions, upload: Prepared, ids: dict[Prepared, int]) -> dict[str, Any]:
    replaced = decisions.supersedes.get(upload)
    return upload.columns | {
        "id": ids[upload],
        "source_id": decisions.senders[upload.source].id,
        "key": decisions.keys.get(upload, upload.columns["key"]),
        "status": Status.SUPERSEDED if upload in decisions.superseded else upload.columns["status"],
        "supersedes": ids[replaced] if isinstance(replaced, Prepared) else replaced and replaced.id,
    }


def _receipt(taken: Taken, stored: dict[Prepared, Stored], role: Role) -> Receipt:
    found = stored[taken.upload] if isinstance(taken.upload, Prepared) else taken.upload
    return Receipt(
        found.id,
        found.digest,
        found.status,
        role,
        taken.duplicate,
        found.received_at,
        taken.replayed,
        None if taken.duplicate else found.supersedes,
    )


def _prepared_or_reason(upload: Upload, now: datetime) -> Prepared | ClientError:
    try:
        return prepare(upload, now)
    except ClientError as refused:
        return refused


def _accept_batch(
    store: Store, ready: Sequence[Prepared | ClientError], holdout_share: float, now: datetime, vouched: bool
) -> list[Answer]:
    sound = [upload for upload in ready if isinstance(upload, Prepared)]
    committed = iter(commit(store, sound, holdout_share, now))
    if vouched:
        with store.write() as tx:
            senders.vouch(tx, {upload.source for upload in sound}, now)
    return [next(committed) if isinstance(upload, Prepared) else upload for upload in ready]
