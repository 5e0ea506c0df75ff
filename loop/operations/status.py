"""The state of the loop for one screen: champions, nights, queues, the feed, disk space, and quick checks."""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy.orm import Session

from loop.asking import kept_pace, kept_worth
from loop.errors import BadSettings, NotPublishable
from loop.feed import upkeep
from loop.home import Home
from loop.operations import doctor
from loop.operations.checks import machine
from loop.operations.finding import Finding, Severity
from loop.schedule import slots
from loop.schedule.slots import Pause
from loop.store import values
from loop.store.feedback import jurors, live_accuracy, quarantines, weighing
from loop.store.feedback.jurors import Hands
from loop.store.feedback.live_accuracy import Live
from loop.store.nights import runs, versions
from loop.store.service import health, metric_counts


@dataclass(frozen=True, slots=True)
class Champion:
    """A family's champion: its start, its verdict, and its accuracy on slices and for users."""

    family: str
    version: int
    since: datetime
    verdict: str
    accuracy: Mapping[str, float | None]
    live: Live | None


@dataclass(frozen=True, slots=True)
class Feed:
    """The published feed."""

    sequence: int
    expires: datetime


@dataclass(frozen=True, slots=True)
class Standing:
    """What ``loop status`` prints.

    ``quarantined`` uploads wait for a reviewer. ``uploads``, by status, are newer than the last night's snapshot;
    ``to_teach`` of them are from training sources, and a night needs ``min_new``.
    ``jury`` counts the hands that judge and those that are too new for it.
    """

    at: datetime
    database: str
    champions: tuple[Champion, ...]
    last: values.Run | None
    under_way: values.Run | None
    next_due: datetime | None
    paused: Pause | None
    quarantined: int
    uploads: Mapping[str, int]
    to_teach: int
    min_new: int
    jury: Hands
    jury_text: str
    worth: Mapping[str, Any] | None
    """What ``loop worth`` found last: ``at`` and ``text``."""
    questions_a_day: int
    """The pace that ``asking/stopping`` decided, at most ``ask.per_day``."""
    ask_per_day: int
    corpus: str
    arrivals: int
    deliveries: int
    feed: Feed | None
    disk_free: int
    warnings: tuple[Finding, ...]


def look(home: Home, now: datetime) -> Standing:
    """The current state. Raises ``StoreUnavailable``."""
    with home.store.read() as tx:
        nights = [run for run in runs.recent(tx, 200) if run.kind == "night"]
        ended = [run for run in nights if run.status is not values.RunStatus.RUNNING]
        champions = _champions(tx, home.settings.confirm_rate)
        hands = jurors.hands(tx, home.settings.jury.days, now.astimezone(UTC).date())
        uploads, to_teach = health.untaught(tx), health.untaught_by_teachers(tx)
        held = quarantines.count(tx)
        questions_a_day = kept_pace.per_day(tx, home.settings.ask)
        arrivals, deliveries = health.arrivals(tx).count, health.deliveries(tx).count
        under_way = next((runs.get(tx, run.id) for run in health.running(tx)), None)
    return Standing(
        at=now,
        database=home.store.shown_url,
        champions=champions,
        last=ended[0] if ended else None,
        under_way=under_way,
        next_due=_next(home, now),
        paused=slots.paused(home),
        quarantined=held,
        uploads=uploads,
        to_teach=to_teach,
        min_new=home.settings.min_new,
        jury=hands,
        jury_text=jurors.in_words(hands, home.settings.jury.days),
        worth=_worth(home),
        questions_a_day=questions_a_day,
        ask_per_day=home.settings.ask.per_day,
        corpus=home.settings.corpus,
        arrivals=arrivals,
        deliveries=deliveries,
        feed=_feed(home),
        disk_free=shutil.disk_usage(machine.existing(home.settings.home)).free,
        warnings=tuple(each for each in doctor.quick(home, now) if _matters(each)),
    )


def _matters(finding: Finding) -> bool:
    """Warnings, and the note that no scheduler will start the next night."""
    unscheduled = finding.check == "scheduler" and finding.severity is Severity.NOTE
    return finding.severity >= Severity.WARNING or unscheduled


def _champions(tx: Session, confirm_rate: float) -> tuple[Champion, ...]:
    found = live_accuracy.live(tx, weighing.least_announced(tx, confirm_rate))
    live = {each.version: each for each in reversed(found)}  # ``told`` is first, so it is kept
    outcomes = versions.outcomes(tx)
    champions = []
    for each in metric_counts.champions(tx):
        slices = versions.get(tx, each.version).summary.get("slices", [])
        accuracy = {part["name"]: part["accuracy"] for part in slices if part["n"]}
        verdict = outcomes.get(each.version, "none")
        champions.append(Champion(each.family, each.version, each.since, verdict, accuracy, live.get(each.version)))
    return tuple(champions)


def _next(home: Home, now: datetime) -> datetime | None:
    """The time of the next night by the clock; None if the cron expression is invalid, which the doctor reports."""
    try:
        return slots.following(slots.trigger(home.settings.schedule.cron), now)
    except BadSettings:
        return None


def _worth(home: Home) -> Mapping[str, Any] | None:
    found = kept_worth.last(home)
    return None if found is None else {name: found[name] for name in ("at", "text")}


def _feed(home: Home) -> Feed | None:
    """The published feed; None if there is none or it cannot be read, which the doctor reports."""
    try:
        feed = upkeep.published(home)
    except NotPublishable:
        return None
    return None if feed is None else Feed(feed.sequence, feed.expires)
