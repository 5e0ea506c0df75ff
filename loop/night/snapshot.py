"""Freeze the training set of a night: the accepted uploads of the teaching sources, with their weights.

Rules: holdout sources never enter. No source contributes more than ``source_cap`` uploads, so that no single person
dominates the training set. Past the ``budget``, corrections precede confirmations (they are hard for the model), and
within each the digits take turns, newest first (so that rare digits are included). The digest covers content, not row
numbers: the same images, labels and weights beside the same corpus have the same digest in any store.
"""

import hashlib
from dataclasses import dataclass
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from loop.store import Store
from loop.store.feedback import corrections
from loop.store.nights import runs, snapshots
from loop.store.values import Pool, Role

CONFIRMATION_WEIGHT = 1.0  # relative probability of being drawn; a correction has 1.0


@dataclass(frozen=True, slots=True, eq=False)
class Snapshot:
    """A frozen training set: row i of ``pool`` is drawn with relative probability ``weights[i]``."""

    id: int
    digest: str
    pool: Pool
    weights: NDArray[np.float64]


def freeze(store: Store, run_id: int, corpus_digest: str, budget: int, source_cap: int, now: datetime) -> Snapshot:
    """Choose, weight and store the uploads that the run teaches. Raises ``LeaseLost``.

    Uploads that were erased, withdrawn or superseded between the read and the write are left out.
    """
    with store.read() as tx:
        pool = corrections.pool(tx, Role.TRAIN)
    chosen = choose(pool, budget, source_cap)
    with store.exclusive() as tx:  # from here on no upload is erased or withdrawn
        chosen = chosen[np.isin(chosen.ids, snapshots.accepted(tx, chosen.ids))]
        weights = np.where(chosen.corrected, 1.0, CONFIRMATION_WEIGHT)
        content = digest(chosen, weights, corpus_digest)
        snapshot_id = snapshots.keep(tx, content, corpus_digest, chosen, weights, now)
        runs.freeze(tx, run_id, snapshot_id)
    return Snapshot(snapshot_id, content, chosen, weights)


def choose(pool: Pool, budget: int, source_cap: int) -> Pool:
    """The uploads to teach, ordered by id."""
    capped = pool[np.sort(_capped(pool, source_cap))]
    if len(capped) <= budget:
        return capped
    return capped[np.sort(_turns(capped)[:budget])]


def digest(pool: Pool, weights: NDArray[np.float64], corpus_digest: str) -> str:
    """SHA-256 over corpus, images, labels and weights, independent of the order of the rows."""
    lines = sorted(
        hashlib.sha256(pixels.tobytes() + bytes([label]) + weight.tobytes()).digest()
        for pixels, label, weight in zip(pool.pixels, pool.labels, weights.astype("<f8"), strict=True)
    )
    return hashlib.sha256(b"snapshot 1\n" + corpus_digest.encode() + b"".join(lines)).hexdigest()


def _capped(pool: Pool, source_cap: int) -> NDArray[np.int64]:
    """The rows that remain when each source keeps its first ``source_cap`` in the order of ``_turns``."""
    rows = _turns(pool)
    seen: dict[int, int] = {}
    kept = []
    for row in rows:
        source = int(pool.sources[row])
        seen[source] = seen.get(source, 0) + 1
        if seen[source] <= source_cap:
            kept.append(row)
    return np.array(kept, np.int64)


def _turns(pool: Pool) -> NDArray[np.int64]:
    """All rows: corrections first; within each kind the digits take turns, each newest first."""
    turn = np.zeros(len(pool), np.int64)
    for corrected in (True, False):
        for label in range(10):
            rows = np.flatnonzero((pool.corrected == corrected) & (pool.labels == label))[::-1]
            turn[rows] = np.arange(len(rows))
    return np.lexsort((pool.labels, turn, ~pool.corrected))
