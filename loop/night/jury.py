"""The judge's slices: the base corpus's test images, and the jury: uploads of holdout sources, drawn by a secret.

Rules (ADR 17):
- A hand judges only after it was seen on several UTC days, or once an operator vouches for it. Its side is decided by
  the secret salt when it is first seen. Flagged uploads, and confirmations that weigh too much, never judge; a picture
  that several hands sent counts once, for the first of them.
- The jury is bounded, and so is each hand's part of it. Hands and digits take turns; within a hand's digit the uploads
  with the smallest keyed hashes are drawn. The same store gives the same jury, one new upload replaces at most one, and
  nobody without the salt can tell which of its uploads are drawn, or make one that is.
- The draw reads narrow columns; only the pixels of what was drawn are loaded.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import blake2b, sha256
from typing import Any

import numpy as np
from numpy.typing import NDArray

from loop.data.corpus import Corpus
from loop.evaluation.scoring import KEY_BYTES, Slice
from loop.evaluation.verdict import FEEDBACK
from loop.home.sections import Jury
from loop.intake import announced_rates
from loop.store import Store
from loop.store.feedback import corrections, jurors, narrow
from loop.store.feedback.jurors import Hands
from loop.store.feedback.narrow import Narrow


@dataclass(frozen=True, slots=True, eq=False)
class Drawn:
    """The slices of a night: the base slice, named after its corpus, and ``feedback``, the jury.

    ``hands`` and ``items`` are in the jury, ``waiting`` hands are too new for it. ``heavy`` uploads weigh too much, and
    ``copies`` repeat another hand's picture; both never judge.
    """

    slices: tuple[Slice, Slice]
    hands: int
    items: int
    waiting: Hands
    days: int
    heavy: int
    copies: int

    @property
    def text(self) -> str:
        """Who judges and who waits, in words."""
        with_ = f" with {self.items:,} uploads" if self.hands else ""
        return jurors.judging(self.hands) + with_ + jurors.too_new(self.waiting, self.days)

    def summary(self) -> dict[str, Any]:
        """The figures and the words as JSON values."""
        names = ("hands", "items", "days", "heavy", "copies", "text")
        return {name: getattr(self, name) for name in names} | {
            "waiting": self.waiting.waiting,
            "first": None if self.waiting.first is None else self.waiting.first.isoformat(),
        }


def draw(store: Store, corpus: Corpus, rules: Jury, confirm_rate: float, now: datetime) -> Drawn:
    """Draw the jury as of now. Raises ``StoreUnavailable``.

    ``confirm_rate`` is the rate of confirmations where no feed was signed: one that weighs more than any announced rate
    explains is older than the check of rates, and never judges.
    """
    with store.write() as tx:
        secret = sha256(b"jury\n" + corrections.set_salt(tx).encode()).digest()
    with store.frozen() as tx:
        hands = jurors.hands(tx, rules.days, now.astimezone(UTC).date())
        pool = narrow.judging(tx, rules.days)
        rank = ranks(pool, secret)
        heaviest = min(rules.max_weight, 1 / announced_rates.least(tx, confirm_rate))
        light = np.flatnonzero(weights(pool) <= heaviest)
        own = light[np.sort(np.unique(rank[light], return_index=True)[1])]  # the first upload of each picture
        chosen = pool[own[choose(pool.sources[own], pool.labels[own], rank[own], rules.items, rules.hand_items)]]
        feedback = Slice(
            FEEDBACK,
            narrow.pixels(tx, chosen.ids),
            chosen.labels,
            weights(chosen),
            chosen.sources,
            _confirmed(chosen),
            keys(chosen, secret),
        )
    base = Slice(corpus.name, corpus.test_images, corpus.test_labels, np.ones(len(corpus.test_labels)))
    judging = len(np.unique(chosen.sources))
    heavy, copies = len(pool) - len(light), len(light) - len(own)
    return Drawn((base, feedback), judging, len(chosen), hands, rules.days, heavy, copies)


def choose(
    sources: NDArray[np.int64], labels: NDArray[np.uint8], rank: NDArray[np.uint64], items: int, hand_items: int
) -> NDArray[np.intp]:
    """The drawn rows, ascending: at most ``items``, at most ``hand_items`` of a source.

    Each (source, label) is a queue, the smallest ``rank`` first. In each round every queue gives one row, in the order
    of their ranks, except those of a source that has given its share. So one more row moves others of its own queue
    back by one place at most, and drives out at most one drawn row.
    """
    turn = _places(np.lexsort((rank, labels, sources)), sources, labels)
    of_hand = _places(np.lexsort((rank, turn, sources)), sources)
    rows = np.flatnonzero(of_hand < hand_items)
    return np.sort(rows[np.lexsort((rank[rows], turn[rows]))[:items]])


def ranks(pool: Narrow, secret: bytes) -> NDArray[np.uint64]:
    """``(n,) uint64``: the keyed hash of each picture, by which it is drawn."""
    found = (blake2b(digest, digest_size=8, key=secret, person=b"jury draw").digest() for digest in _digests(pool))
    return np.fromiter(map(int.from_bytes, found), np.uint64, len(pool))


def keys(pool: Narrow, secret: bytes) -> NDArray[np.uint8]:
    """``(n, 16) uint8``: names each picture with its label in stored reports; tells nothing without the secret."""
    items = zip(_digests(pool), pool.labels.tolist(), strict=True)
    found = (
        blake2b(bytes((*digest, label)), digest_size=KEY_BYTES, key=secret, person=b"jury item").digest()
        for digest, label in items
    )
    return np.frombuffer(b"".join(found), np.uint8).reshape(-1, KEY_BYTES)


def weights(pool: Narrow) -> NDArray[np.float64]:
    """``(n,) float64``: 1/rate for a confirmation, 1 for anything else, whatever rate it states."""
    found = np.ones(len(pool))
    confirmed = _confirmed(pool)
    with np.errstate(over="ignore"):  # a subnormal rate gives infinity, which no limit lets judge
        found[confirmed] = 1 / pool.rates[confirmed]
    return found


def _confirmed(pool: Narrow) -> NDArray[np.bool_]:
    # Without the phone's prediction nobody confirmed anything: a stranger leaves it out at will.
    confirmed: NDArray[np.bool_] = ~pool.corrected & pool.has_prediction
    return confirmed


def _digests(pool: Narrow) -> Iterator[memoryview]:
    data = pool.digests.reshape(-1).data
    return (data[begin : begin + 32] for begin in range(0, len(data), 32))


def _places(order: NDArray[np.intp], *groups: NDArray[Any]) -> NDArray[np.intp]:
    """Each row's place, from 0, within the rows that share its groups; ``order`` sorts by the groups first."""
    place = np.zeros(len(order), np.intp)
    if len(order):
        begins = np.any([np.diff(group[order].astype(np.int64), prepend=-1) != 0 for group in groups], axis=0)
        begins[0] = True
        starts = np.flatnonzero(begins)
        place[order] = np.arange(len(order)) - np.repeat(starts, np.diff(starts, append=len(order)))
    return place
