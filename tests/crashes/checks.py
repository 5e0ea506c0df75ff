"""What must hold for a home after a crash, and again after the next night. Each fault is a sentence."""

from collections import Counter
from collections.abc import Iterator
from datetime import datetime, timedelta

from sqlalchemy import func, select

from loop.errors import FeedRefused
from loop.feed import authority, client, upkeep
from loop.feed.client.verify import verify as verify_feed
from loop.home import Home
from loop.operations import files, garbage, verify
from loop.operations.finding import Severity
from loop.store import tables
from loop.store.nights import versions
from loop.store.values import RunStatus


def sound(home: Home, now: datetime) -> list[str]:
    """The faults that must never occur, not even right after a crash."""
    return [*_verified(home, now, but="feed"), *_device(home, now), *_rows(home)]


def settled(home: Home, now: datetime) -> list[str]:
    """The faults that must not remain after the next night and the next upkeep of the feed."""
    garbage.sweep(home, garbage.Options(grace_hours=0), now + timedelta(hours=2))
    return [*_verified(home, now), *_device(home, now), *_rows(home), *_ended(home), *_fed(home, now), *_tidy(home)]


def _verified(home: Home, now: datetime, but: str = "") -> Iterator[str]:
    """The broken findings of ``loop verify``, without one of its checks."""
    for each in verify.verify(home, now).findings:
        if each.severity >= Severity.BROKEN and each.check != but:
            yield f"verify: {each.check}: expected {each.expected}, {each.actual}"


def _device(home: Home, now: datetime) -> Iterator[str]:
    """A phone that has only the first root must accept the feed and install its models."""
    try:
        with client.at(str(home.settings.published)) as source:
            verify_feed(source, authority.first(home), now)
    except FeedRefused as error:
        yield f"device: {error}"


def _rows(home: Home) -> Iterator[str]:
    with home.store.read() as tx:
        slots = {slot.name: slot.attempts for slot in tx.scalars(select(tables.Slot))}
        version, run = tables.Version, tables.Run
        counted = select(run.slot, func.count()).join(version, version.run_id == run.id).group_by(run.slot)
        published = dict(tx.execute(counted).all())
        events = [(event.kind, event.body) for event in tx.scalars(select(tables.Event))]
        deliveries = tx.scalar(select(func.count()).select_from(tables.Delivery))
        first = tx.scalar(select(tables.Hook.since))
        since = tx.scalar(select(func.count()).select_from(tables.Event).where(tables.Event.id > first))
    for name, attempts in slots.items():
        if attempts > home.settings.schedule.attempts:
            yield f"slot {name}: tried {attempts} times"
        if published.get(name, 0) > 1:
            yield f"slot {name}: {published[name]} versions"
    counts = Counter((kind, body.get("run", body.get("version"))) for kind, body in events)
    yield from (f"event {kind} of {which}: {n} times" for (kind, which), n in counts.items() if n > 1)
    if deliveries != since:
        yield f"{deliveries} deliveries of {since} events"


def _ended(home: Home) -> Iterator[str]:
    with home.store.read() as tx:
        running = tx.scalars(select(tables.Run.id).where(tables.Run.status == RunStatus.RUNNING)).all()
    yield from (f"run {run} still has the status running" for run in running)


def _fed(home: Home, now: datetime) -> Iterator[str]:
    if (why := upkeep.reason(home, upkeep.published(home), now)) is not None:
        yield f"feed: {why}"


def _tidy(home: Home) -> Iterator[str]:
    """There must be no file that no row names, no unfinished file, and no file with a wrong digest."""
    with home.store.read() as tx:
        named = files.named(versions.every(tx))
    yield from (f"orphan {path.name}" for name, path in files.stored(home.artifacts) if name not in named)
    yield from (f"unfinished {path}" for path in files.unfinished(home.settings.home))
