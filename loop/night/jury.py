"""The judge's slices: the base corpus's test images, the jury: uploads of holdout sources, drawn by a secret, and the
users: what hands of the holdout drew, each with a known chance.

Rules (ADR 17):
- A hand judges only after it was seen on several UTC days, or once an operator vouches for it. Its side is decided by
  the secret salt when it is first seen. Flagged uploads, and confirmations that weigh too much, never judge; a picture
  that several hands sent counts once, for the first of them.
- The jury is bounded, and so is each hand's part of it. Hands and digits take turns; within a hand's digit the uploads
  with the smallest keyed hashes are drawn. The same store gives the same jury, one new upload replaces at most one, and
  nobody without the salt can tell which of its uploads are drawn, or make one that is.
- The draw reads narrow columns; only the pixels of what was drawn are loaded.
- Drawings that a query strategy chose judge in the jury, with weight 1. The slice ``users`` is an unbiased picture of
  what those hands draw (ADR 22): answered drawings of the random arm, weighted by 1/(chance that the phone sent it ×
  chance of its lottery), and what users said themselves, which takes drawings away (``population``). Such words may be
  in the jury, too; each slice scores them with its own weights.
- A word weighs much less than an answer by lot, since all are sent. So words take part in a lottery by keyed hash, with
  the chance word's weight/usual weight of an answer, and a drawn word has that weight: the expectation is the same, and
  the gate's counts, and its caps of uploads and hands, mean in ``users`` what they mean elsewhere.
- Answers that nobody has given yet, or in time, are stood for by those that are there. Without one there is no slice.
- It is bounded as the jury is; what a bound leaves out is left out by hash, whatever it shows, and a hand that is cut
  keeps its weight.
"""

from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime
from hashlib import blake2b, sha256
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy.orm import Session

from loop.data.corpus import Corpus
from loop.evaluation.scoring import KEY_BYTES, Slice
from loop.evaluation.users import drawn_words
from loop.evaluation.verdict import FEEDBACK, USERS
from loop.home.sections import Jury
from loop.store import Store
from loop.store.feedback import jurors, narrow, population, split, weighing
from loop.store.feedback.jurors import Hands
from loop.store.feedback.narrow import Narrow


@dataclass(frozen=True, slots=True, eq=False)
class Drawn:
    """The slices of a night: the base slice, named after its corpus, ``feedback``, the jury, and ``users`` if there are
    any.

    ``hands`` and ``items`` are in the jury, ``waiting`` hands are too new for it. ``heavy`` uploads weigh too much, and
    ``copies`` repeat another hand's picture; both never judge. ``users`` counts the items of that slice, ``by_lot``
    those of them that are answers to questions by lot.
    """

    slices: tuple[Slice, ...]
    hands: int
    items: int
    waiting: Hands
    days: int
    heavy: int
    copies: int
    users: int = 0
    by_lot: int = 0

    @property
    def text(self) -> str:
        """Who judges and who waits, in words."""
        with_ = f" with {self.items:,} uploads" if self.hands else ""
        said = self.users - self.by_lot
        words = f" and {said:,} of users' own {'word' if said == 1 else 'words'}" if said else ""
        lot = f"; {self.by_lot:,} answers drawn by lot{words} picture all users" if self.users else ""
        return jurors.judging(self.hands) + with_ + jurors.too_new(self.waiting, self.days) + lot

    def summary(self) -> dict[str, Any]:
        """The figures and the words as JSON values."""
        names = ("hands", "items", "days", "heavy", "copies", "users", "by_lot", "text")
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
        secret = sha256(b"jury\n" + split.set_salt(tx).encode()).digest()
    with store.frozen() as tx:
        hands = jurors.hands(tx, rules.days, now.astimezone(UTC).date())
        heaviest = min(rules.max_weight, 1 / weighing.least_announced(tx, confirm_rate))
        pool = _joined([_candidates(part, secret) for part in narrow.judging(tx, rules.days)])
        light = np.flatnonzero(pool.weights <= heaviest)
        own = _own(pool, light)
        rows = own[choose(pool.sources[own], pool.labels[own], pool.ranks[own], rules.items, rules.hand_items)]
        drawn, total = pool[rows], len(pool)
        del pool  # a million rows, before the pictures are loaded
        images = narrow.pixels(tx, drawn.ids)
        lot, answers = _users(tx, rules, secret)
        lot_images = narrow.pixels(tx, lot.ids)
    base = Slice(corpus.name, corpus.test_images, corpus.test_labels, np.ones(len(corpus.test_labels)))
    slices = (base, _slice(FEEDBACK, drawn, images, secret), _slice(USERS, lot, lot_images, secret))
    return Drawn(
        slices if len(lot) else slices[:2],
        len(np.unique(drawn.sources)),
        len(rows),
        hands,
        rules.days,
        total - len(light),
        len(light) - len(own),
        len(lot),
        answers,
    )


def users(store: Store, rules: Jury) -> Slice:
    """The slice ``users`` alone, which may be empty. Raises ``StoreUnavailable``."""
    with store.write() as tx:
        secret = sha256(b"jury\n" + split.set_salt(tx).encode()).digest()
    with store.frozen() as tx:
        lot, _ = _users(tx, rules, secret)
        return _slice(USERS, lot, narrow.pixels(tx, lot.ids), secret)


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


def ranks(digests: NDArray[np.uint8], secret: bytes) -> NDArray[np.uint64]:
    """The keyed hash of each picture, by which it is drawn: ``(n, 32) uint8`` digests → ``(n,) uint64``."""
    data = digests.reshape(-1).data
    each = (data[begin : begin + 32] for begin in range(0, len(data), 32))
    found = (blake2b(digest, digest_size=8, key=secret, person=b"jury draw").digest() for digest in each)
    return np.fromiter(map(int.from_bytes, found), np.uint64, len(digests))


def keys(images: NDArray[np.uint8], labels: NDArray[np.uint8], secret: bytes) -> NDArray[np.uint8]:
    """``(n, 16) uint8``: names each picture with its label in stored reports; tells nothing without the secret."""
    found = (
        blake2b(image.tobytes() + bytes([label]), digest_size=KEY_BYTES, key=secret, person=b"jury item").digest()
        for image, label in zip(images, labels.tolist(), strict=True)
    )
    return np.frombuffer(b"".join(found), np.uint8).reshape(-1, KEY_BYTES)


@dataclass(frozen=True, slots=True, eq=False)
class _Candidates:
    """What the draw needs of each upload, 34 bytes: ``weights`` is 1/rate for a confirmation, 1 for anything else."""

    ids: NDArray[np.int64]
    sources: NDArray[np.int64]
    labels: NDArray[np.uint8]
    confirmed: NDArray[np.bool_]
    weights: NDArray[np.float64]
    ranks: NDArray[np.uint64]

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, rows: NDArray[np.intp]) -> "_Candidates":
        return _Candidates(*(getattr(self, field.name)[rows] for field in fields(self)))


def _candidates(part: Narrow, secret: bytes) -> _Candidates:
    # Without the phone's prediction nobody confirmed anything: a stranger leaves it out at will.
    confirmed = ~part.corrected & part.has_prediction
    weights = np.ones(len(part))
    with np.errstate(over="ignore"):  # a subnormal rate gives infinity, which no limit lets judge
        weights[confirmed] = 1 / part.rates[confirmed]
    return _Candidates(part.ids, part.sources, part.labels, confirmed, weights, ranks(part.digests, secret))


def _users(tx: Session, rules: Jury, secret: bytes) -> tuple["_Candidates", int]:
    """The slice ``users``, and how many of its items are answers by lot."""
    answers = _joined([_weighed(*each, secret) for each in population.by_lot(tx, rules.days)])
    if not len(answers):
        return answers, 0
    still = float((1 / population.unanswered(tx, rules.days)).sum())
    answers = replace(answers, weights=answers.weights * (1 + still / float(answers.weights.sum())))
    usual = float(np.median(answers.weights))
    words = [_drawn_words(*each, usual, secret) for each in population.words(tx, rules.days)]
    pool = _joined([answers, *words])
    pool = pool[np.argsort(pool.ids)]
    kept = _bounded(pool, _own(pool, np.arange(len(pool))), rules)
    return kept, int(np.isin(kept.ids, answers.ids).sum())


def _weighed(part: Narrow, chances: NDArray[np.float64], secret: bytes) -> "_Candidates":
    """Uploads weighted by 1/chance; one that would weigh infinitely much is left out."""
    with np.errstate(over="ignore", divide="ignore"):
        found = replace(_candidates(part, secret), weights=1 / chances)
    return found[np.flatnonzero(np.isfinite(found.weights))]


def _drawn_words(part: Narrow, chances: NDArray[np.float64], usual: float, secret: bytes) -> "_Candidates":
    """Words that a keyed hash draws, as alike in weight to answers as can be: another hash than fills the slice."""
    lots = ranks(part.digests, sha256(b"words\n" + secret).digest()) / 2.0**64
    won, weights = drawn_words(1 / chances, usual, lots)
    return replace(_candidates(part, secret)[won], weights=weights)


def _bounded(pool: "_Candidates", own: NDArray[np.intp], rules: Jury) -> "_Candidates":
    """At most so many in all and of each hand, those with the smallest hashes; a hand that is cut keeps its weight."""
    place = _places(np.lexsort((pool.ranks[own], pool.sources[own])), pool.sources[own])
    hand = np.unique(pool.sources[own], return_inverse=True)[1]
    scale = np.maximum(np.bincount(hand) / rules.hand_items, 1)[hand]
    fits = np.flatnonzero(place < rules.hand_items)
    fits = np.sort(fits[np.argsort(pool.ranks[own][fits], kind="stable")[: rules.items]])
    kept = pool[own[fits]]
    return replace(kept, weights=kept.weights * scale[fits])


def _own(pool: "_Candidates", rows: NDArray[np.intp]) -> NDArray[np.intp]:
    """Of these rows, the first of each picture."""
    return rows[np.sort(np.unique(pool.ranks[rows], return_index=True)[1])]


def _slice(name: str, items: "_Candidates", images: NDArray[np.uint8], secret: bytes) -> Slice:
    named = keys(images, items.labels, secret)
    return Slice(name, images, items.labels, items.weights, items.sources, items.confirmed, named)


def _joined(parts: list[_Candidates]) -> _Candidates:
    kinds = (np.int64, np.int64, np.uint8, np.bool_, np.float64, np.uint64)
    columns: list[Any] = [
        np.concatenate([np.zeros(0, kind), *(getattr(part, field.name) for part in parts)], dtype=kind)
        for field, kind in zip(fields(_Candidates), kinds, strict=True)
    ]
    return _Candidates(*columns)


def _places(order: NDArray[np.intp], *groups: NDArray[Any]) -> NDArray[np.intp]:
    """Each row's place, from 0, within the rows that share its groups; ``order`` sorts by the groups first."""
    place = np.zeros(len(order), np.intp)
    if len(order):
        begins = np.any([np.diff(group[order].astype(np.int64), prepend=-1) != 0 for group in groups], axis=0)
        begins[0] = True
        starts = np.flatnonzero(begins)
        place[order] = np.arange(len(order)) - np.repeat(starts, np.diff(starts, append=len(order)))
    return place
