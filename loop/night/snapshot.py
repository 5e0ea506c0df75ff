"""Freeze the training set of a night: the accepted uploads of the teaching sources, with their weights.

``choosing`` chooses them. The digest covers content, not row numbers: the same images, labels and weights beside the
same corpus have the same digest in any store.
"""

import hashlib
from dataclasses import dataclass
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from loop.store import Store
from loop.store.nights import runs, snapshots
from loop.store.values import Pool

CONFIRMATION_WEIGHT = 1.0  # relative probability of being drawn; a correction has 1.0


@dataclass(frozen=True, slots=True, eq=False)
class Snapshot:
    """A frozen training set: row i of ``pool`` is drawn with relative probability ``weights[i]``."""

    id: int
    digest: str
    pool: Pool
    weights: NDArray[np.float64]


def freeze(store: Store, run_id: int, corpus_digest: str, pool: Pool, now: datetime) -> Snapshot:
    """Weight and store the chosen uploads that the run teaches. Raises ``LeaseLost``.

    Uploads that were erased, withdrawn, superseded or quarantined since they were chosen are left out.
    """
    with store.exclusive() as tx:  # from here on no upload is erased or withdrawn
        pool = pool[np.isin(pool.ids, snapshots.accepted(tx, pool.ids))]
        weights = np.where(pool.corrected, 1.0, CONFIRMATION_WEIGHT)
        content = digest(pool, weights, corpus_digest)
        snapshot_id = snapshots.keep(tx, content, corpus_digest, pool, weights, now)
        runs.freeze(tx, run_id, snapshot_id)
    return Snapshot(snapshot_id, content, pool, weights)


def digest(pool: Pool, weights: NDArray[np.float64], corpus_digest: str) -> str:
    """SHA-256 over corpus, images, labels and weights, independent of the order of the rows."""
    lines = sorted(
        hashlib.sha256(pixels.tobytes() + bytes([label]) + weight.tobytes()).digest()
        for pixels, label, weight in zip(pool.pixels, pool.labels, weights.astype("<f8"), strict=True)
    )
    return hashlib.sha256(b"snapshot 1\n" + corpus_digest.encode() + b"".join(lines)).hexdigest()
