"""Facts that a restored backup must not undo: roots, sequences and withdrawals that phones have seen, erased sources,
uploads that were taken back, revoked keys, removed webhooks, and ids that were given.

``read`` reads them from the store that is about to be replaced, ``give_back`` writes them to the restored one, in the
same transaction.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Table, func, insert, select, update
from sqlalchemy.orm import Session

from loop.errors import BadBackup
from loop.store import tables
from loop.store.backup import sequences
from loop.store.feedback import own_uploads
from loop.store.service import hooks
from loop.store.values import Status

Rows = list[dict[str, Any]]
TAKEN_BACK = (Status.WITHDRAWN, Status.SUPERSEDED)


@dataclass(frozen=True, slots=True)
class CarriedOver:
    """Rows of the tables; ``taken_back`` are the words that are no longer current, ``number`` is the highest version
    number given, ``last`` the highest id by table.
    """

    roots: Rows
    entries: Rows
    withdrawals: Rows
    erasures: Rows
    taken_back: Rows
    revoked: Mapping[str, datetime]
    unhooked: Rows
    number: int
    last: Mapping[str, int]


def read(tx: Session) -> CarriedOver:
    """Read them from the store."""
    revoked = select(tables.Key.secret_digest, tables.Key.revoked_at).where(tables.Key.revoked_at.is_not(None))
    withdrawn = (
        select(_table(tables.Withdrawal), tables.Version.artifact_digest)
        .join(tables.Version, tables.Version.number == tables.Withdrawal.version)
        .order_by(tables.Withdrawal.version)
    )
    hook, upload = tables.Hook, tables.Correction
    taken_back = select(upload.id, upload.body_digest, upload.status).where(upload.status.in_(TAKEN_BACK))
    unhooked = select(hook.id, hook.added_at, hook.removed_at).where(hook.removed_at.is_not(None))
    return CarriedOver(
        roots=_rows(tx, select(_table(tables.FeedRoot)).order_by(tables.FeedRoot.version)),
        entries=_rows(tx, select(_table(tables.FeedEntry)).order_by(tables.FeedEntry.epoch, tables.FeedEntry.sequence)),
        withdrawals=_rows(tx, withdrawn),
        erasures=_rows(tx, select(_table(tables.Erasure)).order_by(tables.Erasure.id)),
        taken_back=_rows(tx, taken_back),
        revoked={digest: moment for digest, moment in tx.execute(revoked) if moment is not None},
        unhooked=_rows(tx, unhooked),
        number=tx.scalar(select(func.max(tables.Run.reserved))) or 0,
        last=sequences.last(tx),
    )


def give_back(tx: Session, kept: CarriedOver) -> None:
    """Write them to the restored store. Raises ``BadBackup`` if the two stores have different feeds."""
    _roots(tx, kept.roots)
    known = set(tx.execute(select(tables.FeedEntry.epoch, tables.FeedEntry.sequence)))
    _add(tx, tables.FeedEntry, [row for row in kept.entries if (row["epoch"], row["sequence"]) not in known])
    _withdrawals(tx, kept.withdrawals)
    _erasures(tx, kept.erasures)
    _take_back(tx, kept.taken_back)
    for digest, moment in kept.revoked.items():
        mine = (tables.Key.secret_digest == digest, tables.Key.revoked_at.is_(None))
        tx.execute(update(tables.Key).where(*mine).values(revoked_at=moment))
    _hooks(tx, kept.unhooked)


def _roots(tx: Session, kept: Rows) -> None:
    """Keep the longer of the two chains; one must begin with the other."""
    loaded = _rows(tx, select(_table(tables.FeedRoot)).order_by(tables.FeedRoot.version))
    for mine, other in zip(loaded, kept, strict=False):
        if mine["document"] != other["document"]:
            raise BadBackup(
                f"root {mine['version']} of the feed differs between the backup and this store: they are two "
                "installations; restore the backup beside this one, with another LOOP_HOME and LOOP_DATABASE_URL"
            )
    _add(tx, tables.FeedRoot, kept[len(loaded) :])


def _withdrawals(tx: Session, kept: Rows) -> None:
    """Keep the withdrawals of versions that the backup contains; the same number must be the same model."""
    known = set(tx.scalars(select(tables.Withdrawal.version)))
    models = dict(tx.execute(select(tables.Version.number, tables.Version.artifact_digest)).all())
    rows = []
    for row in kept:
        digest = row.pop("artifact_digest")
        if row["version"] not in known and models.get(row["version"]) == digest:
            rows.append(row)
    _add(tx, tables.Withdrawal, rows)


def _erasures(tx: Session, kept: Rows) -> None:
    known = set(tx.execute(select(tables.Erasure.name_digest, tables.Erasure.erased_at)))
    rows = [row for row in kept if (row["name_digest"], row["erased_at"]) not in known]
    _add(tx, tables.Erasure, [{name: value for name, value in row.items() if name != "id"} for row in rows])


def _take_back(tx: Session, kept: Rows) -> None:
    """Withdraw and supersede again the words that were withdrawn and superseded after the backup."""
    upload = tables.Correction
    for row in kept:
        status = select(upload.status).where(upload.id == row["id"], upload.body_digest == row["body_digest"])
        loaded = tx.scalar(status)
        if loaded is None or loaded == row["status"]:
            continue
        if row["status"] == Status.WITHDRAWN:
            own_uploads.mark_withdrawn(tx, row["id"])
        else:
            tx.execute(update(upload).where(upload.id == row["id"]).values(status=Status.SUPERSEDED))


def _hooks(tx: Session, kept: Rows) -> None:
    """Remove again the webhooks that were removed after the backup, with the deliveries that waited for them."""
    live = select(tables.Hook.id, tables.Hook.added_at).where(tables.Hook.removed_at.is_(None))
    added = dict(tx.execute(live).all())
    for row in kept:
        if added.get(row["id"]) == row["added_at"]:
            hooks.remove(tx, row["id"], row["removed_at"])


def _add(tx: Session, kind: type[tables.Base], rows: Rows) -> None:
    if rows:
        tx.execute(insert(_table(kind)), rows)


def _rows(tx: Session, query: Any) -> Rows:
    return [dict(row) for row in tx.execute(query).mappings()]


def _table(kind: type[tables.Base]) -> Table:
    table = kind.__table__
    if not isinstance(table, Table):
        raise TypeError(f"{kind.__name__} is not mapped to a table")
    return table
