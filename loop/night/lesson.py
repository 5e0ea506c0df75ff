"""Choose the uploads that a night teaches, from narrow columns: no picture is read before it is chosen.

Rules:
- Sources take turns. In each round every source may add one upload; one with trust 0.5 joins every second round. A
  source offers corrections before confirmations (they are hard for the model), the digits in turns, newest first.
- Sources that were first seen less than ``trust.days`` ago are *young*: all of them together fill at most
  ``trust.young_share`` of the lesson. One source fills at most ``trust.source_share`` of it, and less if its trust is
  below the neutral 0.5. Both are shares of what is taught in the end. Sources that an operator vouches for are exempt.
- A deployment with few sources could teach nothing by these shares. So an old source may always add
  ``trust.source_floor`` uploads; and as long as old sources fill less than ``trust.floor`` uploads, young ones may fill
  the lesson up to that number.
- A drawing counts once: of exact copies the one of the most trusted and then oldest source stays.

An honest crowd pays little for this; a stranger with a thousand sources gets a tenth of the lesson, not all of it.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from loop.night import copies
from loop.night.trust import NEUTRAL

Rows = NDArray[np.int64]
Mask = NDArray[np.bool_]

LEAST_TRUST = 0.05
"""A source with less trust takes turns as if it had this much."""


@dataclass(frozen=True, slots=True, eq=False)
class Offers:
    """Uploads that may be taught, without their pixels. Row i of each array belongs to upload i.

    ``ids (n,) int64``, ``sources (n,)`` (rows of ``Senders``), ``labels (n,) uint8``, ``corrected (n,) bool``,
    ``digests (n,) uint64`` (the first eight bytes of the image's SHA-256).
    """

    ids: NDArray[np.int64]
    sources: NDArray[np.int32]
    labels: NDArray[np.uint8]
    corrected: Mask
    digests: NDArray[np.uint64]

    def __len__(self) -> int:
        """The number of uploads."""
        return len(self.ids)

    def __getitem__(self, rows: NDArray[np.int64] | Mask) -> "Offers":
        """The uploads at these rows."""
        return Offers(self.ids[rows], self.sources[rows], self.labels[rows], self.corrected[rows], self.digests[rows])


@dataclass(frozen=True, slots=True, eq=False)
class Senders:
    """The sources of the offers: ``trust (m,)`` 0 to 1, ``young (m,) bool``, ``vouched (m,) bool``, and
    ``seniority (m,)``: a number that is smaller for a source that was first seen earlier.
    """

    trust: NDArray[np.float64]
    young: Mask
    vouched: Mask
    seniority: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Shares:
    """The limits of a lesson. ``budget``, floors and ``source_cap`` are numbers of uploads."""

    budget: int
    young_share: float
    source_share: float
    floor: int
    source_floor: int
    source_cap: int | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Limits:
    """What a lesson of ``size`` uploads may take: from each source, and from all young sources together."""

    size: int
    each: NDArray[np.int64]
    young: int


def choose(offers: Offers, senders: Senders, shares: Shares, left_out: Mask | None = None) -> Rows:
    """The rows of the uploads to teach, in the order of their turns. ``left_out`` are never chosen."""
    usable = np.ones(len(offers), np.bool_) if left_out is None else ~left_out
    order = turns(offers, senders, np.flatnonzero(usable))
    order = order[_first_of_each(offers, senders, order)]
    sources = offers.sources[order]
    limits = fit(np.bincount(sources, minlength=len(senders.trust)), senders, shares)
    within = _rank(sources) < limits.each[sources]
    young = (senders.young & ~senders.vouched)[sources]
    within &= ~young | (np.cumsum(young & within) <= limits.young)
    return order[within][: limits.size]


def fit(counts: NDArray[np.int64], senders: Senders, shares: Shares) -> Limits:
    """The largest lesson of which every share holds: of what is taught, not of what is there.

    ``counts (m,)`` are the uploads that each source offers. The limits of a lesson of ``size`` uploads allow at most so
    many; if they allow fewer, a smaller lesson has smaller limits, and so on until they allow what they assume.
    """
    size = min(shares.budget, int(counts.sum()))
    while True:
        limits, allowed = _limits(size, counts, senders, shares)
        if allowed >= size:
            return limits
        size = allowed


def turns(offers: Offers, senders: Senders, rows: Rows) -> Rows:
    """The rows in the order of their turns."""
    labels, late, sources = offers.labels[rows], ~offers.corrected[rows], offers.sources[rows]
    ids = np.empty(len(rows), np.int32)  # smaller for a newer upload; a million uploads must need little memory
    ids[np.argsort(offers.ids[rows])[::-1]] = np.arange(len(rows), dtype=np.int32)
    by_digit = _turn(np.lexsort((ids, labels, late, sources)), sources, late, labels)
    own = _turn(np.lexsort((ids, by_digit, late, sources)), sources)
    trust = np.where(senders.vouched, 1.0, np.clip(senders.trust, LEAST_TRUST, 1.0)).astype(np.float32)[sources]
    rounds = np.ceil((own + 1) / trust - np.float32(1e-4)).astype(np.int32)
    del trust, own
    by_digit = _turn(np.lexsort((ids, labels, late, rounds)), rounds, late, labels)
    ordered: Rows = rows[np.lexsort((ids, labels, by_digit, late, rounds))]
    return ordered


def precedence(offers: Offers, senders: Senders, rows: Rows) -> Rows:
    """The rows with those of vouched, then trusted, then senior sources first: of copies, the first one stays."""
    sources = offers.sources[rows]
    keys = (offers.ids[rows], senders.seniority[sources], -senders.trust[sources], ~senders.vouched[sources])
    ordered: Rows = rows[np.lexsort(keys)]
    return ordered


def _limits(size: int, counts: NDArray[np.int64], senders: Senders, shares: Shares) -> tuple[Limits, int]:
    """The limits of a lesson of this size, and how many uploads they allow."""
    weight = np.minimum(1, senders.trust / NEUTRAL)
    share = np.floor(shares.source_share * size * weight + 1e-9).astype(np.int64)
    cap = shares.budget if shares.source_cap is None else shares.source_cap
    each = np.maximum(share, np.floor(shares.source_floor * weight).astype(np.int64))
    each = np.where(senders.vouched, np.iinfo(np.int64).max, each)
    young = senders.young & ~senders.vouched
    old = int(np.minimum(counts, np.minimum(each, cap))[~young].sum())
    missing = max(0, shares.floor - old)
    together = max(int(shares.young_share * size + 1e-9), missing)
    each = np.where(young, np.maximum(share, np.minimum(each, missing)), each)
    each = np.minimum(each, cap)
    fresh = min(together, int(np.minimum(counts, each)[young].sum()))
    return Limits(size, each, together), min(shares.budget, old + fresh)


def _first_of_each(offers: Offers, senders: Senders, rows: Rows) -> Mask:
    """Which rows are the one that stays of their exact copies."""
    kept = ~copies.repeated(offers.digests[rows])
    ranked = precedence(offers, senders, rows[~kept])
    _, first = np.unique(offers.digests[ranked], return_index=True)
    stays = np.zeros(len(offers), np.bool_)
    stays[ranked[first]] = True
    kept |= stays[rows]
    return kept


def _turn(order: Rows, *keys: NDArray[np.generic]) -> NDArray[np.int32]:
    """For each element, how many of its group come before it in ``order``, which keeps groups (equal keys) together."""
    if not len(order):
        return np.empty(0, np.int32)
    begins = np.zeros(len(order), np.bool_)
    begins[0] = True
    for key in keys:
        begins[1:] |= key[order][1:] != key[order][:-1]
    starts = np.flatnonzero(begins)
    place = np.arange(len(order), dtype=np.int32)
    place -= np.repeat(starts.astype(np.int32), np.diff(np.append(starts, len(order))))
    found = np.empty(len(order), np.int32)
    found[order] = place
    return found


def _rank(groups: NDArray[np.int32]) -> NDArray[np.int32]:
    """For each element, how many earlier elements have its group."""
    return _turn(np.argsort(groups, kind="stable"), groups)
