"""What a version learned from whom, and what of it should not have been taught."""

from dataclasses import dataclass

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from loop.store import tables
from loop.store.values import Status

REFUSED = (Status.WITHDRAWN, Status.QUARANTINED, Status.REJECTED)
"""The status of an upload that should not have been taught; one that was erased is not there any more."""


@dataclass(frozen=True, slots=True)
class Taught:
    """What one source contributed to a lesson: numbers of uploads, by their status today, and its share of the lesson.

    ``stands`` counts uploads that nobody objects to, ``superseded`` those with a newer label by the same source.
    """

    source: str
    taught: int
    share: float
    stands: int
    superseded: int
    withdrawn: int
    quarantined: int
    rejected: int

    @property
    def tainted(self) -> bool:
        """Whether the lesson should not have had some of it."""
        return bool(self.withdrawn or self.quarantined or self.rejected)


@dataclass(frozen=True, slots=True)
class Taint:
    """The lesson of a version: its size when it was taught, how many uploads of it were erased since, and its sources,
    the largest contribution first. The base of a family has no lesson: ``size`` is 0.
    """

    version: int
    snapshot: int | None
    size: int
    erased: int
    sources: tuple[Taught, ...]

    @property
    def tainted(self) -> bool:
        """Whether an upload of the lesson was erased, withdrawn, quarantined or rejected since."""
        return bool(self.erased) or any(source.tainted for source in self.sources)


def of(tx: Session, version: int, snapshot_id: int | None) -> Taint:
    """What a version learned from whom."""
    snapshot = None if snapshot_id is None else tx.get(tables.Snapshot, snapshot_id)
    if snapshot is None:
        return Taint(version, None, 0, 0, ())
    item, upload, source = tables.SnapshotItem, tables.Correction, tables.Source
    counted = {status: func.count().filter(upload.status == status) for status in (Status.SUPERSEDED, *REFUSED)}
    query = (
        select(source.name, func.count(), *counted.values())
        .select_from(item)
        .join(upload, upload.id == item.correction_id)
        .join(source, source.id == upload.source_id)
        .where(item.snapshot_id == snapshot_id)
        .group_by(source.id, source.name)
        .order_by(func.count().desc(), source.id)
    )
    size = snapshot.size
    found = tuple(
        Taught(name, taught, taught / size, taught - sum(objected), *objected)
        for name, taught, *objected in tx.execute(query)
    )
    return Taint(version, snapshot_id, size, size - sum(source.taught for source in found), found)


def learners(tx: Session, source: str) -> list[int]:
    """The versions that were taught with uploads of this source, oldest first."""
    version, item, upload = tables.Version, tables.SnapshotItem, tables.Correction
    query = (
        select(version.number)
        .join(item, item.snapshot_id == version.snapshot_id)
        .join(upload, upload.id == item.correction_id)
        .join(tables.Source, tables.Source.id == upload.source_id)
        .where(tables.Source.name == source)
    )
    return list(tx.scalars(query.distinct().order_by(version.number)))
