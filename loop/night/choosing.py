"""Choose a night's lesson out of the store: assess the sources, take turns, read the chosen pictures, drop near copies.

Two copies of a drawing may both be chosen before anybody has seen their pixels. One of them is then left out, and the
turns are taken again, so that another upload gets its place; after some rounds no new picture is read any more.
"""

from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from loop.home.settings import Settings
from loop.night import copies, lesson, trust
from loop.night.lesson import Offers, Rows, Senders, Shares
from loop.night.trust import Assessment
from loop.store import Store
from loop.store.feedback import corrections, labelled
from loop.store.feedback import trust as stored
from loop.store.feedback.labelled import SECONDS_A_DAY, Columns, Sources
from loop.store.values import Pool, Status

ROUNDS = 6
"""How often the places of near copies are given to others."""
PART = 2_000  # trust rows in one transaction: uploads wait for it
CHANGED = 0.005
"""A trust that moved by less is not stored anew."""


@dataclass(frozen=True, slots=True)
class Without:
    """Sources that a lesson leaves out: by name, by id, those with a quarantined or rejected upload, young ones.
    ``uploads`` are single uploads, by id. ``labels`` are digits about which only vouched sources and reviewers teach.
    """

    names: frozenset[str] = frozenset()
    ids: frozenset[int] = frozenset()
    quarantined: bool = False
    young: bool = False
    uploads: frozenset[int] = frozenset()
    labels: frozenset[int] = frozenset()

    @property
    def nobody(self) -> bool:
        """Whether every source may teach all that it sent."""
        return self == NOBODY


NOBODY = Without()


@dataclass(frozen=True, slots=True)
class Makeup:
    """What a lesson consists of: numbers of uploads and sources, offered and taught."""

    offered: int
    offering: int
    taught: int
    teaching: int
    young: int
    """Uploads of sources that were first seen less than ``trust.days`` ago."""
    copies: int
    """Uploads that were left out because another one is the same drawing."""
    labels: tuple[int, ...] = ()
    """Digits that drew triggers: only vouched sources and reviewers teach them."""
    unheard: int = 0
    """Uploads with these labels that were left out."""

    @property
    def text(self) -> str:
        """One line for a log."""
        line = f"{self.taught:,} of {self.offered:,} uploads, from {self.teaching:,} of {self.offering:,} sources"
        parts = [f"{self.young:,} from young sources", f"{self.copies:,} copies left out"]
        if self.labels:
            named = " and ".join(map(str, self.labels))
            parts.append(f"{self.unheard:,} with label {named} left out, since triggers are read as {named}")
        return f"{line}; {', '.join(parts)}"


@dataclass(frozen=True, slots=True, eq=False)
class Chosen:
    """The chosen uploads, ordered by id, with the trust of every source as this night assessed it.

    Row i of ``offers`` and of ``fresh (n,) float32`` (what an observation about it weighs) belongs to upload i of
    ``pool``; row j of ``senders`` to source j of ``sources``.
    """

    pool: Pool
    makeup: Makeup
    sources: Sources
    assessed: Assessment
    offers: Offers
    fresh: NDArray[np.float32]
    senders: Senders
    shares: Shares


def choose(store: Store, settings: Settings, now: datetime, without: Without = NOBODY) -> Chosen:
    """The uploads that a night may teach now. Nothing is stored."""
    with store.frozen() as tx:
        sources, uploads = labelled.read(tx)
        decided = stored.decisions(tx)
        reviewed = labelled.reviewed(tx) if without.labels else np.empty(0, np.int64)
        left_out = _left_out(sources, uploads, corrections.ids_of_sources(tx, without.names), without)
    today = now.timestamp() / SECONDS_A_DAY
    evidence = trust.history(sources, uploads, today, settings.trust)
    stays = np.isin(decided.sources, sources.ids)
    evidence.append(
        trust.observed(
            trust.REVIEWERS,
            np.searchsorted(sources.ids, decided.sources[stays]),
            decided.accepted[stays],
            trust.freshness(today - decided.days[stays], settings.trust.half_life_days),
            len(sources),
        )
    )
    assessed = trust.assess(evidence, sources.vouched, settings.trust.prior)
    senders = Senders(
        assessed.values,
        _young(sources, settings, now),
        sources.vouched,
        np.argsort(np.argsort(sources.seen, kind="stable")),
    )
    if without.young:
        left_out |= senders.young & ~senders.vouched
    usable = uploads.are(Status.ACCEPTED) & sources.teaches[uploads.sources] & ~left_out[uploads.sources]
    usable &= ~np.isin(uploads.ids, np.array(sorted(without.uploads), np.int64))
    unheard = usable & _unheard(sources, uploads, reviewed, without)
    kept = np.flatnonzero(usable & ~unheard)
    offered = uploads[kept]
    offers = Offers(offered.ids, offered.sources, offered.labels, offered.corrected, offered.digests)
    del uploads, kept, usable  # of a million uploads, before the turns need as much again
    shares = _shares(settings)
    pool, taken, near = _settled(store, offers, senders, shares)
    witnessed = trust.near_witnesses(sources, offered, near)
    half_life = settings.trust.half_life_days
    evidence.append(trust.agreement(trust.NEARLY, sources, offered, witnessed, today, half_life))
    return Chosen(
        pool,
        replace(
            _makeup(offers, senders, taken, len(near)),
            labels=tuple(sorted(without.labels)),
            unheard=int(np.count_nonzero(unheard)),
        ),
        sources,
        trust.assess(evidence, sources.vouched, settings.trust.prior),
        offers[taken],
        trust.freshness(today - offered.days[taken], half_life),
        senders,
        shares,
    )


def heard(chosen: Chosen, agrees: NDArray[np.bool_], settings: Settings) -> Chosen:
    """The same lesson, after an independent reader has read it: ``agrees (n,)`` with the label of each upload."""
    read = trust.observed(trust.READER, chosen.offers.sources, agrees, chosen.fresh, len(chosen.sources))
    evidence = (*chosen.assessed.evidence, trust.beyond_usual(read))
    return replace(chosen, assessed=trust.assess(evidence, chosen.sources.vouched, settings.trust.prior))


def holding_back(chosen: Chosen, ids: NDArray[np.int64]) -> Chosen:
    """The lesson without these uploads; its shares hold of what is left. No other upload gets their places."""
    if not np.isin(chosen.pool.ids, ids).any():
        return chosen
    rows = np.sort(lesson.choose(chosen.offers, chosen.senders, chosen.shares, np.isin(chosen.offers.ids, ids)))
    offers = chosen.offers[rows]
    young = (chosen.senders.young & ~chosen.senders.vouched)[offers.sources]
    makeup = replace(
        chosen.makeup, taught=len(rows), teaching=len(np.unique(offers.sources)), young=int(np.count_nonzero(young))
    )
    return replace(chosen, pool=chosen.pool[rows], makeup=makeup, offers=offers, fresh=chosen.fresh[rows])


def remember(store: Store, chosen: Chosen, now: datetime) -> int:
    """Store the trust of every source whose trust has changed; how many. Vouched ones keep their operator's words."""
    with store.read() as tx:
        ids, before = stored.stored(tx)
    known = np.isin(chosen.sources.ids, ids)
    changed = ~known
    changed[known] = np.abs(before[np.isin(ids, chosen.sources.ids)] - chosen.assessed.values[known]) >= CHANGED
    rows = np.flatnonzero(changed)
    for start in range(0, len(rows), PART):
        made = [
            {
                "source_id": int(chosen.sources.ids[row]),
                "value": float(chosen.assessed.values[row]),
                "reasons": chosen.assessed.reasons(row),
            }
            for row in rows[start : start + PART]
        ]
        with store.exclusive() as tx:
            stored.put(tx, made, now)
    return len(rows)


def _young(sources: Sources, settings: Settings, now: datetime) -> NDArray[np.bool_]:
    """Which sources are new; one that should be attested, and is not, stays young whatever its age (ADR 23)."""
    recent = sources.seen > (now - timedelta(days=settings.trust.days)).timestamp() / SECONDS_A_DAY
    lacking = ~sources.attested & (sources.seen >= settings.attest.exempt_before.timestamp() / SECONDS_A_DAY)
    young: NDArray[np.bool_] = recent | lacking
    return young


def _shares(settings: Settings) -> Shares:
    own = settings.trust
    return Shares(
        settings.snapshot_budget, own.young_share, own.source_share, own.floor, own.source_floor, settings.source_cap
    )


def _left_out(sources: Sources, uploads: Columns, named: Collection[int], without: Without) -> NDArray[np.bool_]:
    """Which sources must not teach."""
    out = np.isin(sources.ids, np.array([*named, *without.ids], np.int64))
    if without.quarantined:
        out[uploads.sources[uploads.are(Status.QUARANTINED, Status.REJECTED)]] = True
    return out


def _unheard(sources: Sources, uploads: Columns, reviewed: NDArray[np.int64], without: Without) -> NDArray[np.bool_]:
    """Which uploads have a label about which only vouched sources and reviewers teach, and are neither's."""
    out = np.isin(uploads.labels, np.array(sorted(without.labels), np.uint8))
    if without.labels:
        out &= ~sources.vouched[uploads.sources] & ~np.isin(uploads.ids, reviewed)
    return out


def _settled(store: Store, offers: Offers, senders: Senders, shares: Shares) -> tuple[Pool, Rows, Rows]:
    """The chosen uploads with their pictures, their rows, and all pairs of near copies ``(n, 2)`` as rows of offers."""
    state = _Read(store, offers)
    left_out = np.zeros(len(offers), np.bool_)
    for number in range(ROUNDS + 1):
        if number == ROUNDS:
            left_out |= ~state.read  # read no further pictures
        rows = lesson.choose(offers, senders, shares, left_out)
        again = state.add(rows, senders)
        if not again[rows].any():
            break
        left_out |= again
    rows = np.sort(rows[~again[rows]])
    return state.pool(rows), rows, state.near


class _Read:
    """The pictures that were read so far, their fingerprints, and which of them repeat another."""

    def __init__(self, store: Store, offers: Offers) -> None:
        self.store, self.offers = store, offers
        self.rows = np.empty(0, np.int64)
        self.prints = copies.fingerprints(np.empty((0, 28, 28), np.uint8))
        self.parts: list[Pool] = []
        self.read = np.zeros(len(offers), np.bool_)
        self.gone = np.zeros(len(offers), np.bool_)
        self.near = np.empty((0, 2), np.int64)

    def add(self, rows: Rows, senders: Senders) -> NDArray[np.bool_]:
        """Read the pictures of these rows; which offers must not be taught: near copies, and those that are gone."""
        new = rows[~self.read[rows]]
        with self.store.read() as tx:
            part = corrections.chosen(tx, self.offers.ids[new])
        self.read[new] = True
        there = np.isin(self.offers.ids[new], part.ids)
        self.gone[new[~there]] = True
        new = np.sort(new[there])  # ids ascend with the rows, as in the pool
        known = len(self.rows)
        self.parts.append(part)
        self.rows = np.concatenate([self.rows, new])
        self.prints = np.concatenate([self.prints, copies.fingerprints(part.pixels)])
        self.near = np.concatenate([self.near, self.rows[copies.pairs(self.prints, known)]])
        return self.gone | _repeats(self.offers, senders, self.near)

    def pool(self, rows: Rows) -> Pool:
        """The uploads at these rows of the offers, ordered by id."""
        whole = corrections.joined(self.parts)
        return whole[np.isin(whole.ids, self.offers.ids[rows])]


def _repeats(offers: Offers, senders: Senders, near: Rows) -> NDArray[np.bool_]:
    """Which offers are near copies of one that goes before them, and stays."""
    again = np.zeros(len(offers), np.bool_)
    place = np.empty(len(offers), np.int64)
    involved = np.unique(near)
    place[lesson.precedence(offers, senders, involved)] = np.arange(len(involved))
    swapped = place[near[:, 0]] > place[near[:, 1]]
    first, second = np.where(swapped[:, None], near[:, ::-1], near).T
    for row in np.argsort(place[first], kind="stable"):  # a copy of a copy that does not stay stays itself
        if not again[first[row]]:
            again[second[row]] = True
    return again


def _makeup(offers: Offers, senders: Senders, taken: Rows, near: int) -> Makeup:
    exact = len(offers) - len(np.unique(offers.digests))
    sources = offers.sources[taken]
    return Makeup(
        offered=len(offers),
        offering=len(np.unique(offers.sources)),
        taught=len(taken),
        teaching=len(np.unique(sources)),
        young=int((senders.young & ~senders.vouched)[sources].sum()),
        copies=exact + near,
    )
