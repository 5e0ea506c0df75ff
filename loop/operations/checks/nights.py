"""Checks of nights: a scheduler runs, no run is abandoned, and the last nights did not all fail."""

from collections.abc import Iterator
from datetime import timedelta

from loop.operations.checks import Installation
from loop.operations.finding import Finding, broken, note, ok, warning
from loop.schedule import PROCESS_NAME, slots
from loop.store.nights import runs
from loop.store.service import health
from loop.store.values import RunStatus

MISSED_HEARTBEATS = 4
"""Heartbeats that a scheduler may miss; a slow database alone can cost one."""
CONSECUTIVE_FAILURES = 3


def scheduler(installation: Installation) -> Iterator[Finding]:
    """A scheduler runs, and the loop is not paused."""
    silent = timedelta(seconds=max(120.0, MISSED_HEARTBEATS * installation.home.settings.schedule.heartbeat_seconds))
    with installation.home.store.read() as tx:
        beats = [beat for beat in health.beats(tx) if beat.what == PROCESS_NAME]
    alive = [beat for beat in beats if installation.now - beat.beat_at < silent and not runs.has_exited(beat.holder)]
    if not beats:
        yield note("scheduler", "none has run here: nights start only by hand", "loop up, or loop schedule")
    elif not alive:
        actual = f"{beats[0].holder} had its last heartbeat at {beats[0].beat_at:%Y-%m-%d %H:%M} UTC"
        yield broken("scheduler", "a running scheduler", actual, "start loop up (or loop schedule) again; see its log")
    elif (pause := slots.paused(installation.home)) is not None:
        yield note("scheduler", f"paused by {pause.actor} ({pause.reason})", "loop resume")
    else:
        yield ok("scheduler", f"{len(alive)} running")


def abandoned(installation: Installation) -> Iterator[Finding]:
    """No run has the status running without a live process."""
    with installation.home.store.read() as tx:
        dead = [run for run in health.running(tx) if not runs.alive(tx, run.id, installation.now)]
    for run in dead:
        actual = f"the process of run {run.id} ({run.family}, {run.holder}) died in step {run.step or 'none'}"
        yield warning(
            "runs", "no running run without a process", actual, "loop gc, or the next night, records it as failed"
        )


def failing(installation: Installation) -> Iterator[Finding]:
    """Not all of the last nights failed."""
    with installation.home.store.read() as tx:
        nights = [run for run in runs.recent(tx, 50) if run.kind == "night" and run.status is not RunStatus.RUNNING]
    last = nights[:CONSECUTIVE_FAILURES]
    if len(last) == CONSECUTIVE_FAILURES and all(run.status is RunStatus.FAILED for run in last):
        actual = f"the last {CONSECUTIVE_FAILURES} failed, run {last[0].id}: {last[0].reason or 'without a reason'}"
        yield broken("nights", "nights that succeed", actual, f"loop logs {last[0].id}")
