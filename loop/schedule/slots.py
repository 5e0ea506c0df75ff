"""Which nights are due: by the clock, by volume, or by request.

The rules:
- A slot is a row with a unique name, written when it becomes due. The night's own process takes it, once
  (``store.nights.slots``, ``lease.hold``).
- The clock creates one slot at a time, for the newest time that has passed. Nights missed while no scheduler ran, or
  while the loop was paused, are caught up once, never as a backlog.
- The clock creates no slot before the family has a base, nor if a slot exists between that time and the next time
  after now: a clock that is set back repeats no night and creates no older one. A slot further in the future was
  created by a wrong clock, and blocks nothing.
- Times are UTC: no hour is repeated in autumn and none is missing in spring.
"""

import hashlib
import json
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache

from apscheduler.triggers.cron import CronTrigger
from sqlalchemy.orm import Session

from loop.errors import BadReason, BadSettings, KeyConflict, OpsError
from loop.home import Home
from loop.home.sections import Schedule
from loop.store.nights import runs, versions
from loop.store.nights import slots as stored
from loop.store.nights.slots import Slot
from loop.store.service import key_values
from loop.store.values import Attribution

PAUSE_KEY = "paused"


@dataclass(frozen=True, slots=True)
class Pause:
    """A pause of the schedule: its actor, its reason and its start."""

    actor: str
    reason: str
    since: datetime


def due(home: Home, now: datetime) -> list[Slot]:
    """The free slots that are due, oldest first; slots that became due since the last call are created first."""
    with home.store.exclusive() as tx:
        runs.reap(tx, now)
        return _due(tx, home.settings.schedule, now)


def ready(home: Home, now: datetime) -> Slot | None:
    """The slot to start now; None while the loop is paused or a run is under way."""
    with home.store.exclusive() as tx:
        running = runs.reap(tx, now)
        waiting = _due(tx, home.settings.schedule, now)
        return waiting[0] if waiting and running is None and _pause(tx) is None else None


def ask(home: Home, family: str, actor: str, now: datetime, key: str | None = None) -> Slot:
    """Request a night. The same actor and key return the same slot again.

    Raises ``OpsError`` if the family has no base, ``KeyConflict`` if the key was used for another family.
    """
    name = uuid.uuid4().hex if key is None else hashlib.sha256(f"{actor}\0{key}".encode()).hexdigest()[:32]
    with home.store.exclusive() as tx:
        if versions.base(tx, family) is None:
            raise OpsError(f"{family} has no base yet; run `loop init --family {family}` first")
        slot = stored.add(tx, Slot(f"asked/{name}", family, "asked", actor, now))
    if slot.family != family:
        raise KeyConflict(f"idempotency key: expected a new key, this one requested a night of {slot.family}")
    return slot


def pause(home: Home, attribution: Attribution, now: datetime) -> Pause:
    """Start no slots from now on; a night under way continues. Raises ``OpsError`` if the loop is already paused."""
    data = json.dumps(
        {"actor": attribution.actor, "reason": attribution.reason, "since": now.isoformat()}, ensure_ascii=False
    )
    if len(data) > key_values.MAX_CHARACTERS:
        raise BadReason(
            f"reason: expected at most {key_values.MAX_CHARACTERS - len(data) + len(attribution.reason)} characters"
        )
    with home.store.exclusive() as tx:
        if (before := _pause(tx)) is not None:
            since = f"{before.since:%Y-%m-%d %H:%M}Z by {before.actor}"
            raise OpsError(f"paused since {since}: {before.reason}; `loop resume` ends the pause")
        key_values.put(tx, PAUSE_KEY, data)
    return Pause(attribution.actor, attribution.reason, now)


def resume(home: Home) -> Pause | None:
    """Start slots again; returns the pause that ended, or None."""
    with home.store.exclusive() as tx:
        before = _pause(tx)
        key_values.drop(tx, PAUSE_KEY)
    return before


def paused(home: Home) -> Pause | None:
    """The current pause, or None."""
    with home.store.read() as tx:
        return _pause(tx)


@lru_cache(maxsize=8)
def trigger(cron: str) -> CronTrigger:
    """The times of a cron expression, in UTC. Raises ``BadSettings``.

    Weekdays must be named, because APScheduler's 0 is Monday and cron's 0 is Sunday.
    """
    if any(character.isdigit() for character in cron.split()[4]):
        raise BadSettings(
            f"schedule.cron: expected weekdays by name (mon, tue-fri), got {cron!r}; 0 is not Sunday here"
        )
    try:
        times = CronTrigger.from_crontab(cron, timezone=UTC)
    except ValueError as error:
        raise BadSettings(f"schedule.cron: {error}; expected five fields as in 0 3 * * *, got {cron!r}") from None
    if following(times, datetime(2000, 1, 1, tzinfo=UTC)) is None:
        raise BadSettings(f"schedule.cron: {cron!r} names a day that does not exist; correct it in loop.toml")
    return times


def following(times: CronTrigger, after: datetime) -> datetime | None:
    """The first time later than ``after``."""
    time: datetime | None = times.get_next_fire_time(None, after + timedelta(microseconds=1))
    return time


def newest(times: CronTrigger, since: datetime, now: datetime) -> datetime | None:
    """The last time after ``since`` and not after ``now``, by bisection: a year's backlog is as cheap as a day's."""
    last, end = following(times, since), now
    if last is None or last > now:
        return None
    while (later := following(times, last)) is not None and later <= now:
        middle = last + (end - last) / 2
        candidate = following(times, middle)
        if candidate is not None and candidate <= now:
            last = candidate
        else:
            end = middle
    return last


def _due(tx: Session, schedule: Schedule, now: datetime) -> list[Slot]:
    if (base := versions.base(tx, schedule.family)) is not None:
        _by_the_clock(tx, schedule, base.registered_at, now)
        _by_volume(tx, schedule, now)
    return stored.waiting(tx, now, schedule.attempts)


def _by_the_clock(tx: Session, schedule: Schedule, since: datetime, now: datetime) -> None:
    times = trigger(schedule.cron)
    time = newest(times, since, now)
    if time is None or stored.between(tx, "clock", schedule.family, time, following(times, now) or now):
        return
    stored.add(tx, Slot(f"clock/{schedule.family}/{time:%Y-%m-%dT%H:%MZ}", schedule.family, "clock", "clock", time))


def _by_volume(tx: Session, schedule: Schedule, now: datetime) -> None:
    interval = timedelta(hours=schedule.volume_hours)
    if not schedule.volume or stored.between(tx, "volume", schedule.family, now - interval, now + interval):
        return
    if stored.fresh(tx, schedule.family, schedule.volume) >= schedule.volume:
        name = f"volume/{schedule.family}/{now:%Y-%m-%dT%H:%M:%SZ}"
        stored.add(tx, Slot(name, schedule.family, "volume", "volume", now))


def _pause(tx: Session) -> Pause | None:
    data = key_values.get(tx, PAUSE_KEY)
    if data is None:
        return None
    pause = json.loads(data)
    return Pause(pause["actor"], pause["reason"], datetime.fromisoformat(pause["since"]))
