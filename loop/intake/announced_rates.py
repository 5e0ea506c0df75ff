"""The weight of an upload is the server's: the rate that its feeds announced, which a phone can only repeat.

Rules:
- A confirmation is stored with the rate of a signed feed; where no feed was ever signed, with ``confirm_rate``.
- A phone may be late: it may state any rate that was in force within ``LATE`` before the upload arrives, and the last
  one that was announced together with its version. A rate within a factor of ``TOLERANCE`` of one of these is stored as
  that one; any other is refused. Without a stated rate, the one in force when the digit was drawn is stored.
- A rate of 0 asks for no confirmations: then none is accepted.
- The rate of a drawing, and of a user's answer about one, is that of an asking policy: ``announced_chances``.
- Uploads of other kinds weigh 1.
- An upload that names a version which was never registered is kept and flagged.

Feeds, policies and versions are cached. Whether any is new is asked at most once for each batch: if a batch states
something that the cache lacks, or after ``REFRESH_SECONDS``. So no phone that follows the newest feed is refused for a
cache that is late, and a sender of nonsense costs one small query for each batch.
"""

import logging
import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy.orm import Session

from loop.errors import BadRate, ClientError, FeedRefused, RateNotAnnounced
from loop.feed import document, envelope
from loop.intake import announced_chances
from loop.intake.announced_chances import Chances
from loop.intake.upload import Prepared, known_time
from loop.store import Store
from loop.store.asking import policies
from loop.store.feedback.weighing import TOLERANCE, announced
from loop.store.nights import versions
from loop.store.phones import announced as announcements
from loop.store.phones import feeds
from loop.store.values import FeedEntry, Flag, Kind

LATE = timedelta(days=30)
"""Background uploads of a phone that was offline arrive within this time."""
REFRESH_SECONDS = 1.0
SAMPLED = frozenset({Kind.CONFIRMATION, Kind.DRAWING, Kind.ASKED})
"""The kinds of which phones send a share. They send all of the others."""
log = logging.getLogger(__name__)
_NEAR = math.log(TOLERANCE) + 1e-9


@dataclass(frozen=True, slots=True)
class Announcement:
    """A signed feed: when it was issued, the rate that it announced, the versions that it named."""

    issued: datetime
    rate: float
    versions: frozenset[int]


@dataclass(frozen=True, slots=True)
class Period:
    """The rate of consecutive feeds, from the first until the next rate was announced (None: it is in force)."""

    rate: float
    since: datetime
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Timeline:
    """All that was announced: periods, oldest first, and the last rate announced with each version."""

    periods: tuple[Period, ...] = ()
    last: tuple[tuple[int, float], ...] = ()

    def after(self, announced: Iterable[Announcement]) -> "Timeline":
        """This timeline with later feeds, oldest first."""
        periods, last = list(self.periods), dict(self.last)
        for each in announced:
            if not periods or periods[-1].rate != each.rate:
                if periods:
                    periods[-1] = replace(periods[-1], until=each.issued)
                periods.append(Period(each.rate, each.issued))
            last |= dict.fromkeys(each.versions, each.rate)
        return Timeline(tuple(periods), tuple(last.items()))

    def rates(self, version: int | None, drawn: datetime, arrived: datetime) -> list[float]:
        """The rates above 0 that a phone may state: first the one in force when it drew, then the newest first."""
        late = [each for each in self.periods if each.until is None or each.until > arrived - LATE]
        begun = [each.rate for each in late if each.since <= drawn]
        found = begun[-1:] + [each.rate for each in reversed(late)] + [rate for v, rate in self.last if v == version]
        return [rate for rate in dict.fromkeys(found) if rate > 0]


class AnnouncedRates:
    """The rates and versions that this server announced, cached, for use by one thread."""

    def __init__(self, store: Store, confirm_rate: float, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._store, self._monotonic = store, monotonic
        self._setting = announced(confirm_rate)
        self._timeline = Timeline()
        self._chances: tuple[Chances, ...] = ()
        self._versions: frozenset[int] = frozenset()
        self._last, self._last_policy = (0, 0), 0
        self._mark: announcements.Mark | None = None  # of what was read last
        self._read_at = float("-inf")

    def settle(self, uploads: Sequence[Prepared]) -> list[Prepared | ClientError]:
        """Each upload with the server's rate and flag, or its refusal. Raises ``StoreUnavailable``."""
        is_late = self._monotonic() - self._read_at >= REFRESH_SECONDS
        if is_late:
            self.refresh()
        settled = [self._settled(upload) for upload in uploads]
        if is_late or not any(
            isinstance(each, ClientError) or each.columns["flag"] is Flag.UNKNOWN_VERSION for each in settled
        ):
            return settled
        return [self._settled(upload) for upload in uploads] if self.refresh() else settled

    def refresh(self) -> bool:
        """Read what was announced since the last time, if anything was. Raises ``StoreUnavailable``."""
        asked_at = self._monotonic()
        with self._store.read() as tx:
            mark = announcements.mark(tx)
            if mark != self._mark:
                self._read(tx)
        is_new, self._mark, self._read_at = mark != self._mark, mark, asked_at
        return is_new

    def _read(self, tx: Session) -> None:
        new = feeds.after(tx, *self._last)
        later = policies.after(tx, self._last_policy)
        self._versions = versions.numbers(tx)
        if later:
            self._chances = announced_chances.after(self._chances, [policy for _, policy in later])
            self._last_policy = later[-1][0]
        self._timeline = self._timeline.after(filter(None, map(_announcement, new)))
        if new:
            self._last = (new[-1].epoch, new[-1].sequence)

    def _settled(self, upload: Prepared) -> Prepared | ClientError:
        columns = upload.columns
        rate = self._rate(columns, upload.stated_rate)
        if isinstance(rate, ClientError):
            return rate
        version = columns["version"]
        flag = columns["flag"] if version is None or version in self._versions else Flag.UNKNOWN_VERSION
        if rate == columns["rate"] and flag == columns["flag"]:
            return upload
        return Prepared(upload.source, upload.keyed, columns | {"rate": rate, "flag": flag}, upload.stated_rate)

    def _rate(self, columns: Mapping[str, Any], stated: float | None) -> float | ClientError:
        """The rate to store, or why the stated one is refused."""
        kind, version, arrived = columns["kind"], columns["version"], columns["received_at"]
        if kind not in SAMPLED:
            return 1.0 if stated is None or stated == 1 else _sampled(kind, stated)
        drawn = known_time(columns["captured_at"], arrived) or arrived
        if kind != Kind.CONFIRMATION:
            late = announced_chances.in_force(self._chances, arrived - LATE)
            chances = announced_chances.of(late, columns, drawn)
            return _nearest(chances, stated) or announced_chances.refusal(columns, chances, late, stated)
        rates = [self._setting] if self._setting > 0 else []
        if self._timeline.periods:
            rates = self._timeline.rates(version, drawn, arrived)
        return _nearest(rates, stated) or _unannounced(rates, version, stated)


def _announcement(entry: FeedEntry) -> Announcement | None:
    """What a feed in the store announced. Uploads go on without one that was damaged since it was signed."""
    try:
        feed = document.parse_feed(envelope.unseal(entry.document).body)
    except FeedRefused as error:
        log.error("feed %s of epoch %s in the store cannot be read (%s)", entry.sequence, entry.epoch, error)
        return None
    named = frozenset(release.version for release in feed.channels.values())
    return Announcement(feed.issued, feed.confirm_ppm / document.MILLION, named)


def _nearest(rates: Sequence[float], stated: float | None) -> float | None:
    """The rate to store: the one nearest to the stated one, or the first where none is stated; None: none is near."""
    near = rates if stated is None else [rate for rate in rates if _distance(rate, stated) <= _NEAR]
    if not near:
        return None
    return near[0] if stated is None else min(near, key=lambda rate: _distance(rate, stated))


def _distance(rate: float, stated: float) -> float:
    return abs(math.log(rate / stated))


def _sampled(kind: str, stated: float) -> BadRate:
    return BadRate(f"rate: expected 1 for a {kind}, got {stated:g}; leave it out, and send every {kind}")


def _unannounced(rates: Sequence[float], version: int | None, stated: float | None) -> RateNotAnnounced:
    got = "a confirmation" if stated is None else f"{stated:g}"
    if not rates:
        return RateNotAnnounced(f"rate: expected no confirmation, since the feed's rate is 0, got {got}; send none")
    of = "" if version is None else f" for version {version}"
    return RateNotAnnounced(
        f"rate: expected {' or '.join(f'{rate:g}' for rate in rates[:5])}, announced by the feed{of}, got {got}; "
        "send the rate of the feed that the phone had when it drew, or leave it out"
    )
