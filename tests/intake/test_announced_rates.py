"""A confirmation gets the rate that the server announced, whatever its sender states."""

from datetime import datetime, timedelta

import pytest
from sqlalchemy.orm import Session

from loop import intake
from loop.errors import BadRate, RateNotAnnounced
from loop.intake import Receipt, Upload
from loop.intake.announced_rates import AnnouncedRates, Announcement, Timeline
from loop.store import Store, tables, values
from loop.store.feedback import weighing
from loop.store.phones import feeds
from loop.store.values import Flag, Kind
from tests.helpers.announcing import announce
from tests.intake.test_intake import drawn
from tests.store.conftest import add_version

DAY = timedelta(days=1)


def confirmation(rate: float | None = None, seed: int = 0, **fields: object) -> Upload:
    """A confirmation with this stated rate."""
    said = {"kind": Kind.CONFIRMATION, "predicted": 4, "rate": rate} | fields
    return Upload("phone", drawn(seed), 4, **said)  # type: ignore[arg-type]  # the fields of each test


def stored_rate(store: Store, upload: Upload, now: datetime, rates: AnnouncedRates | None = None) -> float:
    """The rate with which an upload from outside is stored. Raises its refusal."""
    rates = rates or AnnouncedRates(store, 0.05)
    (answer,) = intake.commit(store, [intake.prepare(upload, now)], 0.2, now, announced=rates)
    if not isinstance(answer, Receipt):
        raise answer
    with store.read() as tx:
        return tx.get_one(tables.Correction, answer.id).rate


@pytest.mark.parametrize("stated", [None, 0.05, 0.025, 0.1, 0.0499999])
def test_without_a_feed_the_setting_is_stored(store: Store, now: datetime, stated: float | None) -> None:
    """Left out, equal, or within a factor of two."""
    assert stored_rate(store, confirmation(stated), now) == 0.05


@pytest.mark.parametrize("stated", [1e-6, 1e-3, 0.0249, 0.1001, 1.0])
def test_any_other_rate_is_refused(store: Store, now: datetime, stated: float) -> None:
    """The message has the announced rate, and nothing is stored."""
    with pytest.raises(RateNotAnnounced, match=r"expected 0\.05, announced by the feed, got .*; send the rate"):
        stored_rate(store, confirmation(stated), now)
    with store.read() as tx:
        assert tx.query(tables.Correction).count() == tx.query(tables.Source).count() == 0


def test_the_feed_counts_not_the_setting(store: Store, now: datetime) -> None:
    """Once a feed was signed, the setting is what the next one will announce."""
    announce(store, 1, 0.4, now - DAY)
    assert stored_rate(store, confirmation(), now) == 0.4
    with pytest.raises(RateNotAnnounced):
        stored_rate(store, confirmation(0.05), now)


def test_a_phone_that_synced_late(store: Store, now: datetime) -> None:
    """The rate of an earlier feed counts for 30 days after it was replaced, and then no longer."""
    announce(store, 1, 0.4, now - 60 * DAY)
    announce(store, 2, 0.01, now - 29 * DAY, versions=[2])
    assert stored_rate(store, confirmation(0.4), now) == 0.4
    assert stored_rate(store, confirmation(0.3, 1), now) == 0.4
    assert stored_rate(store, confirmation(seed=2), now) == 0.01
    assert stored_rate(store, confirmation(seed=3, captured_at=now - 29.5 * DAY), now) == 0.4
    later = now + 2 * DAY
    assert stored_rate(store, confirmation(0.4, 4, version=1), later) == 0.4  # it was announced with version 1
    with pytest.raises(RateNotAnnounced, match=r"expected 0\.01"):
        stored_rate(store, confirmation(0.4, 5), later)
    with pytest.raises(RateNotAnnounced, match=r"expected 0\.01, announced by the feed for version 2, got 0\.4"):
        stored_rate(store, confirmation(0.4, 5, version=2), later)


def test_a_rate_of_zero_asks_for_none(store: Store, now: datetime) -> None:
    """No confirmation is accepted, once those of the time before have arrived."""
    announce(store, 1, 0.05, now - 60 * DAY)
    announce(store, 2, 0, now - 20 * DAY)
    assert stored_rate(store, confirmation(0.05), now) == 0.05
    later = now + 20 * DAY
    for stated in (None, 0.05):
        with pytest.raises(RateNotAnnounced, match="send none"):
            stored_rate(store, confirmation(stated, 1, version=2), later)


@pytest.mark.parametrize("kind", [Kind.CORRECTION, Kind.NOT_A_DIGIT, Kind.UNREADABLE])
def test_other_kinds_weigh_one(store: Store, now: datetime, kind: Kind) -> None:
    """1 or nothing is stated; any other rate is a fault of the app."""
    upload = Upload("phone", drawn(), 4 if kind.has_label else None, kind=kind, predicted=9)
    assert stored_rate(store, upload, now) == 1
    with pytest.raises(BadRate, match="expected 1 for a"):
        stored_rate(store, Upload("phone", drawn(1), upload.label, kind=kind, predicted=9, rate=0.05), now)


def test_a_retry_gets_its_first_answer(store: Store, now: datetime) -> None:
    """The body is what the phone sent, not what is stored: a stated rate that was replaced is no other body."""
    rates = AnnouncedRates(store, 0.05)
    for stated in (0.04, None):
        sent = [intake.prepare(confirmation(stated, seed=7, key=f"{stated}"), now)] * 2
        first, again = intake.commit(store, sent, 0.2, now, announced=rates)
        assert isinstance(first, Receipt)
        assert isinstance(again, Receipt)
        assert (again.id, again.replayed) == (first.id, True)


def test_a_new_feed_and_a_new_version_are_known_at_once(store: Store, now: datetime) -> None:
    """The cache is read again where an upload states what it lacks, whatever its age."""
    rates = AnnouncedRates(store, 0.05, monotonic=lambda: 0.0)
    assert stored_rate(store, confirmation(), now, rates) == 0.05
    version = add_version(store).number
    announce(store, 1, 0.5, now, versions=[version])
    assert stored_rate(store, confirmation(0.5, 1, version=version), now, rates) == 0.5
    assert flags(store) == [None, None]


def test_nonsense_reads_nothing_again(store: Store, now: datetime, monkeypatch: pytest.MonkeyPatch) -> None:
    """An unknown version costs a query, not a new look at all feeds; each kind of news (the control) is looked at."""
    rates, read = AnnouncedRates(store, 0.05, monotonic=lambda: 0.0), list[tuple[int, int]]()
    plain = feeds.after

    def noting(tx: Session, epoch: int, sequence: int) -> list[values.FeedEntry]:
        read.append((epoch, sequence))
        return plain(tx, epoch, sequence)

    monkeypatch.setattr(feeds, "after", noting)
    for seed in range(3):
        stored_rate(store, confirmation(seed=seed, version=987_654), now, rates)
    assert read == [(0, 0)]
    announce(store, 1, 0.05, now)
    stored_rate(store, confirmation(seed=4, version=987_654), now, rates)
    add_version(store)
    stored_rate(store, confirmation(seed=5, version=987_654), now, rates)
    assert len(read) == 3


def test_an_unknown_version_is_flagged(store: Store, now: datetime) -> None:
    """It is kept; a known version and none are not flagged."""
    known = add_version(store).number
    for seed, version in enumerate([known, None, known + 1, 987_654]):
        stored_rate(store, confirmation(seed=seed, version=version), now)
    assert flags(store) == [None, None, Flag.UNKNOWN_VERSION, Flag.UNKNOWN_VERSION]


@pytest.mark.parametrize(
    ("when", "flag"),
    [
        ("1970-01-01T00:00:00Z", Flag.CAPTURED_AT),
        ("2006-12-31T23:59:59Z", Flag.CAPTURED_AT),
        ("2007-01-01T00:00:00Z", None),
        ("2026-05-03T03:00:00Z", None),
        ("2026-05-04T03:00:00Z", None),
        ("2026-05-04T03:00:01Z", Flag.CAPTURED_AT),
        ("9998-12-31T00:00:00Z", Flag.CAPTURED_AT),
    ],
)
def test_a_time_that_cannot_be_is_flagged(store: Store, now: datetime, when: str, flag: Flag | None) -> None:
    """Before 2007, or more than a day after the arrival."""
    stored_rate(store, confirmation(captured_at=datetime.fromisoformat(when)), now)
    assert flags(store) == [flag]


def test_the_least_rate(store: Store, now: datetime) -> None:
    """Half of the lowest rate that a feed announced; of the setting before the first feed."""
    with store.read() as tx:
        assert weighing.least_announced(tx, 0.05) == 0.025
        assert weighing.least_announced(tx, 0.0) == 0.5
    for sequence, rate in enumerate([0.4, 0.0, 0.01, 1.0], 1):
        announce(store, sequence, rate, now)
    with store.read() as tx:
        assert weighing.least_announced(tx, 0.001) == 0.005


def test_a_long_history_is_a_few_periods(now: datetime) -> None:
    """Renewals of the same rate add nothing, so that an upload is checked against a handful of rates."""
    feeds = [Announcement(now + i * DAY, 0.05 if i < 500 else 0.1, frozenset({i // 100})) for i in range(1000)]
    timeline = Timeline().after(feeds[:300]).after(feeds[300:])
    assert timeline == Timeline().after(feeds)
    assert len(timeline.periods) == 2
    at = now + 1000 * DAY
    assert timeline.rates(9, at, at) == [0.1]
    assert timeline.rates(3, at, at) == [0.1, 0.05]


def test_a_feed_that_cannot_be_read_stops_no_upload(
    store: Store, now: datetime, caplog: pytest.LogCaptureFixture
) -> None:
    """A damaged row is logged once, and the other feeds count."""
    announce(store, 1, 0.4, now - DAY)
    with store.exclusive() as tx:
        feeds.add_entry(tx, values.FeedEntry(1, 2, b"damaged", "tests", now))
    rates = AnnouncedRates(store, 0.05)
    assert [stored_rate(store, confirmation(None, seed), now, rates) for seed in range(2)] == [0.4, 0.4]
    with store.read() as tx:
        assert weighing.least_announced(tx, 0.05) == 0.2
    assert caplog.text.count("feed 2 of epoch 1 in the store cannot be read") == 1


def flags(store: Store) -> list[str | None]:
    """The flags of all uploads, oldest first."""
    with store.read() as tx:
        return [flag for (flag,) in tx.query(tables.Correction.flag).order_by(tables.Correction.id)]
