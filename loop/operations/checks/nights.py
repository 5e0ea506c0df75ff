"""Nights: does a clock run, did the last ones end well, does anything hold them up?"""

from collections.abc import Iterator
from datetime import timedelta

from loop.operations.checks import Installation
from loop.operations.finding import Finding, broken, note, ok, warning
from loop.schedule import slots
from loop.schedule.scheduler import PROCESS_NAME
from loop.store.nights import runs
from loop.store.service import health
from loop.store.values import RunStatus

MISSED_HEARTBEATS = 4
"""Signs of life that a scheduler may miss; one of them is a slow database."""
FAILURES_IN_A_ROW = 3


def scheduler(patient: Installation) -> Iterator[Finding]:
    """One lives, and is not told to pause."""
    silent = timedelta(seconds=max(120.0, MISSED_HEARTBEATS * patient.home.settings.schedule.heartbeat_seconds))
    with patient.home.store.read() as tx:
        beats = [beat for beat in health.beats(tx) if beat.what == PROCESS_NAME]
    living = [beat for beat in beats if patient.now - beat.beat_at < silent and not runs.gone(beat.holder)]
    if not beats:
        yield note("scheduler", "none ever ran here: nights begin by hand", "loop up, or loop schedule")
    elif not living:
        came = f"{beats[0].holder} was last seen at {beats[0].beat_at:%Y-%m-%d %H:%M} UTC"
        yield broken("scheduler", "a scheduler that lives", came, "start loop up (or loop schedule) again; see its log")
    elif (pause := slots.paused(patient.home)) is not None:
        yield note("scheduler", f"paused by {pause.actor} ({pause.reason})", "loop resume")
    else:
        yield ok("scheduler", f"{len(living)} at work")


def abandoned(patient: Installation) -> Iterator[Finding]:
    """No run is called running whose process is gone."""
    with patient.home.store.read() as tx:
        dead = [run for run in health.running(tx) if not runs.alive(tx, run.id, patient.now)]
    for run in dead:
        came = f"run {run.id} ({run.family}) of {run.holder} is gone, in step {run.step or 'none'}"
        yield warning(
            "runs", "runs that live or have ended", came, "loop gc, or the next night, writes it down as failed"
        )


def failing(patient: Installation) -> Iterator[Finding]:
    """Nights do not fail one after the other."""
    with patient.home.store.read() as tx:
        nights = [run for run in runs.recent(tx, 50) if run.kind == "night" and run.status is not RunStatus.RUNNING]
    last = nights[:FAILURES_IN_A_ROW]
    if len(last) == FAILURES_IN_A_ROW and all(run.status is RunStatus.FAILED for run in last):
        came = f"the last {FAILURES_IN_A_ROW} failed, run {last[0].id}: {last[0].reason or 'without a reason'}"
        yield broken("nights", "nights that end well", came, f"loop logs {last[0].id}")
