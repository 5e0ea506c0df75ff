"""Which nights are due, and why: by the clock, by volume, or because somebody asked.

The rules:
- A slot is a row with a unique name, written down when it becomes due; the night's own process takes it, once
  (``store.slots``, ``lease.hold``).
- The clock makes one slot at a time: the newest time that has come. Nights missed while nothing ran, or while the
  loop was paused, are caught up once, never as a backlog.
- A time makes no slot before the family has a base, nor while one stands between it and the time after now: a clock
  that is set back makes none anew and none older. A slot further ahead was made by a clock that was wrong, and holds
  up nothing.
- Times are UTC: no hour comes twice in autumn, none is missing in spring.
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
    """Who stopped the clock, why, since when."""

    actor: str
    reason: str
    since: datetime


def due(home: Home, now: datetime) -> list[Slot]:
    """The free slots whose time has come, oldest first, after writing down those that came due since the last look."""
    with home.store.exclusive() as tx:
        runs.reap(tx, now)
        return _due(tx, home.settings.schedule, now)


def ready(home: Home, now: datetime) -> Slot | None:
    """The slot to start now: none while the loop is paused, or while a run is under way."""
    with home.store.exclusive() as tx:
        living = runs.reap(tx, now)
        waiting = _due(tx, home.settings.schedule, now)
        return waiting[0] if waiting and living is None and _pause(tx) is None else None


def ask(home: Home, family: str, actor: str, now: datetime, key: str | None = None) -> Slot:
    """A night because somebody wants one; the same actor and key give the same slot again.

    Raises ``OpsError`` where the family has no base, ``KeyConflict`` where the key was used for another family.
    """
    told = uuid.uuid4().hex if key is None else hashlib.sha256(f"{actor}\0{key}".encode()).hexdigest()[:32]
    with home.store.exclusive() as tx:
        if versions.base(tx, family) is None:
            raise OpsError(f"{family} has no base yet; run `loop init --family {family}` first")
        slot = stored.add(tx, Slot(f"asked/{told}", family, "asked", actor, now))
    if slot.family != family:
        raise KeyConflict(f"idempotency key: expected a new one, this one asked for a night of {slot.family}")
    return slot


def pause(home: Home, order: Attribution, now: datetime) -> Pause:
    """From now on no slot is started; a night under way goes on. Raises ``OpsError`` if it is paused already."""
    said = json.dumps({"actor": order.actor, "reason": order.reason, "since": now.isoformat()}, ensure_ascii=False)
    if len(said) > key_values.MAX_CHARACTERS:
        raise BadReason(
            f"reason: expected at most {key_values.MAX_CHARACTERS - len(said) + len(order.reason)} characters"
        )
    with home.store.exclusive() as tx:
        if (before := _pause(tx)) is not None:
            since = f"{before.since:%Y-%m-%d %H:%M}Z by {before.actor}"
            raise OpsError(f"paused since {since}: {before.reason}; `loop resume` ends it")
        key_values.put(tx, PAUSE_KEY, said)
    return Pause(order.actor, order.reason, now)


def resume(home: Home) -> Pause | None:
    """Start slots again; the pause that this ended, if there was one."""
    with home.store.exclusive() as tx:
        before = _pause(tx)
        key_values.drop(tx, PAUSE_KEY)
    return before


def paused(home: Home) -> Pause | None:
    """The pause, if there is one."""
    with home.store.read() as tx:
        return _pause(tx)


@lru_cache(maxsize=8)
def trigger(cron: str) -> CronTrigger:
    """The times of a cron expression, in UTC. Raises ``BadSettings``.

    Weekdays must be named: APScheduler counts 0 to 6 from Monday, cron from Sunday.
    """
    if any(sign.isdigit() for sign in cron.split()[4]):
        raise BadSettings(
            f"schedule.cron: expected weekdays by name (mon, tue-fri), got {cron!r}; 0 is not Sunday here"
        )
    try:
        made = CronTrigger.from_crontab(cron, timezone=UTC)
    except ValueError as error:
        raise BadSettings(f"schedule.cron: {error}; expected five fields as in 0 3 * * *, got {cron!r}") from None
    if following(made, datetime(2000, 1, 1, tzinfo=UTC)) is None:
        raise BadSettings(f"schedule.cron: {cron!r} names a day that never comes; mend it in loop.toml")
    return made


def following(times: CronTrigger, after: datetime) -> datetime | None:
    """The first time later than ``after``."""
    found: datetime | None = times.get_next_fire_time(None, after + timedelta(microseconds=1))
    return found


def newest(times: CronTrigger, since: datetime, now: datetime) -> datetime | None:
    """The last time after ``since`` and not after ``now``, by bisection: a year's backlog is as cheap as a day's."""
    found, late = following(times, since), now
    if found is None or found > now:
        return None
    while (later := following(times, found)) is not None and later <= now:
        middle = found + (late - found) / 2
        here = following(times, middle)
        if here is not None and here <= now:
            found = here
        else:
            late = middle
    return found


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
    apart = timedelta(hours=schedule.volume_hours)
    if not schedule.volume or stored.between(tx, "volume", schedule.family, now - apart, now + apart):
        return
    if stored.fresh(tx, schedule.family, schedule.volume) >= schedule.volume:
        name = f"volume/{schedule.family}/{now:%Y-%m-%dT%H:%M:%SZ}"
        stored.add(tx, Slot(name, schedule.family, "volume", "volume", now))


def _pause(tx: Session) -> Pause | None:
    said = key_values.get(tx, PAUSE_KEY)
    if said is None:
        return None
    found = json.loads(said)
    return Pause(found["actor"], found["reason"], datetime.fromisoformat(found["since"]))
