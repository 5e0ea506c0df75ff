"""Rounds of asking: what the choice of their questions depended on. Transactions that change it must be exclusive.

Of the pool only narrow columns are kept, as compressed arrays: about 0.1 MB for 100,000 drawings. A drawing's source,
picture and digest are those of its upload, while that is stored. An erasure replaces the ids of the erased uploads by
``ERASED``; what is left of them is a place in the order, a chance, and whether the lottery was held.
"""

import io
import zipfile
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from datetime import datetime, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import delete, exists, func, select, update
from sqlalchemy.orm import Session

from loop.errors import OpsError, one_line
from loop.store import tables
from loop.store.asking.values import Arm
from loop.store.feedback.json_rows import dialect, given, listed
from loop.store.tables.base import Id
from loop.store.values import Status

ERASED = 0
"""The id of an upload that was erased since."""
KEPT_DAYS, KEPT = 90, 500
"""Rounds older than this, and all before the newest ``KEPT``, are removed when another round is stored."""
IDS_AT_ONCE = 10_000
ROUND, QUESTION, UPLOAD = tables.Round, tables.Question, tables.Correction


@dataclass(frozen=True, slots=True, eq=False)
class KeptPool:
    """The pool of a round, by id; row i of each array belongs to drawing i.

    ``ids (n,) int64``, ``rates (n,) float64``, ``drawn (n,) bool``, ``repeats (n,) bool``: as ``queue.PoolColumns``;
    ``labelled (m,) int64``: the labelled uploads that strategies of distance compared with.
    """

    ids: NDArray[np.int64]
    rates: NDArray[np.float64]
    drawn: NDArray[np.bool_]
    repeats: NDArray[np.bool_]
    labelled: NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Round:
    """What all questions of a round share; ``models`` are digests of files, the champion's first; ``rules`` are the
    fields of ``queue.AskingRules``.
    """

    family: str
    version: int
    models: tuple[str, ...]
    rules: Mapping[str, Any]
    seed: int
    quorum: int
    questions: int
    pool_digest: str
    pool: KeptPool
    asked_at: datetime


@dataclass(frozen=True, slots=True)
class StoredQuestion:
    """How a question was chosen, as it is stored."""

    id: int
    correction_id: int
    arm: Arm
    strategy: str
    score: float
    chance: float | None
    reason: str
    seed: int
    pool_digest: str


@dataclass(frozen=True, slots=True, eq=False)
class StillStored:
    """Of the drawings of a pool: ``stored (n,) bool``, and of those that are stored ``sources (n,) int64`` and
    ``digests (n, 32) uint8``. The others have a source and a digest that nothing else has.
    """

    stored: NDArray[np.bool_]
    sources: NDArray[np.int64]
    digests: NDArray[np.uint8]


def add(tx: Session, made: Round) -> int:
    """Store a round and return its id; remove old ones. Of uploads that are not stored any more no id is kept."""
    gone = np.array(sorted(_missing(tx, made.pool.ids) | _missing(tx, made.pool.labelled)), np.int64)
    pool = _without(made.pool, gone)
    columns = {each.name: getattr(made, each.name) for each in fields(Round)}
    row = ROUND(**columns | {"models": list(made.models), "rules": dict(made.rules), "pool": _packed(pool)})
    tx.add(row)
    tx.flush()
    newest = select(ROUND.id).order_by(ROUND.id.desc()).offset(KEPT).limit(1)
    past = (ROUND.asked_at < made.asked_at - timedelta(days=KEPT_DAYS)) | (ROUND.id <= newest.scalar_subquery())
    old = tx.scalars(select(ROUND.id).where(past)).all()
    _remove(tx, old)
    return row.id


def newest(tx: Session) -> int | None:
    """The id of the last round that is kept."""
    return tx.scalar(select(func.max(ROUND.id)))


def get(tx: Session, round_id: int) -> Round | None:
    """A round; None if it is not kept. Raises ``OpsError`` if its pool cannot be read."""
    row = tx.get(ROUND, round_id)
    if row is None:
        return None
    columns = {each.name: getattr(row, each.name) for each in fields(Round)}
    return Round(**columns | {"models": tuple(row.models), "pool": _unpacked(row.id, row.pool)})


def questions(tx: Session, round_id: int) -> list[StoredQuestion]:
    """The questions of a round that are still stored, in the order in which they were planned."""
    columns = [getattr(QUESTION, each.name) for each in fields(StoredQuestion)]
    rows = tx.execute(select(*columns).where(QUESTION.round_id == round_id).order_by(QUESTION.id)).mappings()
    return [StoredQuestion(**dict(row) | {"arm": Arm(row["arm"])}) for row in rows]


def still_stored(tx: Session, ids: NDArray[np.int64]) -> StillStored:
    """What the store still has of these uploads."""
    n = len(ids)
    own = np.arange(n, dtype=np.int64)
    digests = np.zeros((n, 32), np.uint8)
    digests[:, :8] = own.view(np.uint8).reshape(n, 8)
    found = StillStored(np.zeros(n, np.bool_), -1 - own, digests)
    sought = given(dialect(tx), id=Id)
    query = select(UPLOAD.id, UPLOAD.source_id, UPLOAD.digest).join(sought, sought.c.id == UPLOAD.id)
    for begin in range(0, n, IDS_AT_ONCE):
        part = ids[begin : begin + IDS_AT_ONCE].tolist()
        row_of = {number: begin + i for i, number in enumerate(part)}
        numbers, sources, contents = _columns(tx.execute(query, listed({"id": number} for number in part)).all())
        rows = [row_of[number] for number in numbers]
        found.stored[rows], found.sources[rows] = True, sources
        found.digests[rows] = np.frombuffer(bytes.fromhex("".join(contents)), np.uint8).reshape(-1, 32)
    return found


def erase(tx: Session, ids: Iterable[int]) -> None:
    """Replace the ids of erased uploads, and remove the rounds that have no question left.

    A round with a pool that cannot be read is removed too: nothing shows that it names none of them.
    """
    tx.execute(delete(ROUND).where(~exists().where(QUESTION.round_id == ROUND.id)))
    gone = np.array(sorted(ids), np.int64)
    for number in tx.scalars(select(ROUND.id)).all() if len(gone) else ():
        try:
            pool = _unpacked(number, tx.scalars(select(ROUND.pool).where(ROUND.id == number)).one())
        except OpsError:
            _remove(tx, [number])
            continue
        if np.isin(pool.ids, gone).any() or np.isin(pool.labelled, gone).any():
            tx.execute(update(ROUND).where(ROUND.id == number).values(pool=_packed(_without(pool, gone))))


def _remove(tx: Session, numbers: Sequence[int]) -> None:
    tx.execute(update(QUESTION).where(QUESTION.round_id.in_(numbers)).values(round_id=None))
    tx.execute(delete(ROUND).where(ROUND.id.in_(numbers)))


def _missing(tx: Session, ids: NDArray[np.int64]) -> set[int]:
    """Those of these uploads that are not stored. Most of them wait: an index answers for these, without a row read."""
    waiting = set(tx.scalars(select(UPLOAD.id).where(UPLOAD.status == Status.PENDING)))
    others = np.array([number for number in ids.tolist() if number not in waiting], np.int64)
    return set(others[~still_stored(tx, others).stored].tolist())


def _without(pool: KeptPool, gone: NDArray[np.int64]) -> KeptPool:
    ids, labelled = (np.where(np.isin(each, gone), ERASED, each) for each in (pool.ids, pool.labelled))
    return replace(pool, ids=ids, labelled=labelled)


def _columns(rows: Sequence[Any]) -> tuple[tuple[Any, ...], ...]:
    return tuple(zip(*rows, strict=True)) if rows else ((), (), ())


def _packed(pool: KeptPool) -> bytes:
    """As ``.npz`` bytes. Ids ascend almost always, so their steps are small numbers, which compress well."""
    file = io.BytesIO()
    arrays: dict[str, Any] = asdict(pool) | {"ids": _steps(pool.ids), "labelled": _steps(pool.labelled)}
    np.savez_compressed(file, allow_pickle=False, **arrays)
    return file.getvalue()


def _unpacked(round_id: int, data: bytes) -> KeptPool:
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
            ids, labelled = (np.cumsum(arrays[name], dtype=np.int64) for name in ("ids", "labelled"))
            # the first rounds were stored without it, and passed over nothing
            repeats = arrays["repeats"] if "repeats" in arrays else np.zeros(len(ids), np.bool_)
            pool = KeptPool(ids, arrays["rates"], arrays["drawn"], repeats, labelled)
    except (ValueError, KeyError, EOFError, OSError, RuntimeError, zlib.error, zipfile.BadZipFile) as error:
        raise OpsError(  # RuntimeError: zipfile finds an encrypted file or another version of the format
            f"round {round_id}: its stored pool cannot be read ({one_line(error)}); restore a backup"
        ) from None
    if not len(pool.ids) == len(pool.rates) == len(pool.drawn) == len(pool.repeats):
        raise OpsError(f"round {round_id}: its stored pool has columns of different lengths; restore a backup")
    return pool


def _steps(ids: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.diff(ids, prepend=np.int64(0))
