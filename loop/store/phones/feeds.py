"""The feed's roots, every signed feed, and the withdrawals. All append-only."""

from sqlalchemy import and_, func, or_, select
from sqlalchemy.orm import Session

from loop.store import tables, values
from loop.store.feedback.json_rows import dialect


def roots(tx: Session) -> list[values.FeedRoot]:
    """The chain of root documents, oldest first."""
    rows = tx.scalars(select(tables.FeedRoot).order_by(tables.FeedRoot.version))
    return [values.FeedRoot(row.version, row.document.encode(), row.actor, row.reason, row.added_at) for row in rows]


def add_root(tx: Session, root: values.FeedRoot) -> None:
    """Append a root; its version must be new."""
    columns = {name: getattr(root, name) for name in values.FeedRoot.__slots__}
    tx.add(tables.FeedRoot(**columns | {"document": root.document.decode("ascii")}))
    tx.flush()


def last_sequence(tx: Session, epoch: int) -> int:
    """The highest sequence signed in an epoch; 0 if none was."""
    return tx.scalar(select(func.max(tables.FeedEntry.sequence)).where(tables.FeedEntry.epoch == epoch)) or 0


def add_entry(tx: Session, entry: values.FeedEntry) -> None:
    """Append a signed feed; its sequence must be new."""
    columns = {name: getattr(entry, name) for name in values.FeedEntry.__slots__}
    tx.add(tables.FeedEntry(**columns | {"document": entry.document.decode("ascii")}))
    tx.flush()


def entries(tx: Session, limit: int = 20) -> list[values.FeedEntry]:
    """The last signed feeds, newest first."""
    order = (tables.FeedEntry.epoch.desc(), tables.FeedEntry.sequence.desc())
    return [_entry(row) for row in tx.scalars(select(tables.FeedEntry).order_by(*order).limit(limit))]


def after(tx: Session, epoch: int, sequence: int) -> list[values.FeedEntry]:
    """The feeds that were signed after this one, oldest first; all after ``(0, 0)``."""
    row = tables.FeedEntry
    later = or_(row.epoch > epoch, and_(row.epoch == epoch, row.sequence > sequence))
    return [_entry(each) for each in tx.scalars(select(row).where(later).order_by(row.epoch, row.sequence))]


def announced_ppm(tx: Session) -> set[int]:
    """Every confirmation rate that a signed feed announced, in millionths, read without parsing a document.

    A document without one is damaged and does not count.
    """
    document, field = tables.FeedEntry.document, '"confirm_ppm":'  # canonical JSON: no blank, and digits follow
    find = func.strpos if dialect(tx) == "postgresql" else func.instr
    place = find(document, field)
    found = tx.scalars(select(func.substr(document, place + len(field), 8)).where(place > 0).distinct())
    return {int(digits) for digits in (text.partition(",")[0] for text in found) if digits.isdecimal()}


def withdraw(tx: Session, withdrawal: values.Withdrawal) -> None:
    """Store a withdrawal; the version must not be withdrawn already."""
    columns = {name: getattr(withdrawal, name) for name in values.Withdrawal.__slots__ if name != "digest"}
    tx.add(tables.Withdrawal(**columns))
    tx.flush()


def withdrawn(tx: Session) -> list[values.Withdrawal]:
    """Every withdrawal, latest version first."""
    rows = tx.execute(
        select(tables.Withdrawal, tables.Version.artifact_digest)
        .join(tables.Version, tables.Version.number == tables.Withdrawal.version)
        .order_by(tables.Withdrawal.version.desc())
    )
    return [values.Withdrawal(row.version, digest, row.actor, row.reason, row.withdrawn_at) for row, digest in rows]


def _entry(row: tables.FeedEntry) -> values.FeedEntry:
    return values.FeedEntry(row.epoch, row.sequence, row.document.encode(), row.actor, row.signed_at)
