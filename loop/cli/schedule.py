"""``loop schedule``, ``pause``, ``resume``: the clock, and the switch that stops it."""

import signal
import threading

from loop.cli.output import Json, Reason, emit, open_home, say, when
from loop.clock import utc_now
from loop.home import logs
from loop.schedule import slots
from loop.store.values import Attribution


def schedule() -> None:
    """Start nights when they are due, until SIGTERM or Ctrl-C. Any number of these may share a database.

    A night under way is then asked to end at its next step, and its slot is free for the next scheduler. Beside nights
    it keeps the feed true and sends webhooks, as `loop up` does.
    """
    from loop.schedule import background  # here, so that other commands start without them
    from loop.schedule.scheduler import Scheduler

    home = open_home()
    logs.begin(home.settings)
    scheduler = Scheduler(home, chores=background.tasks(home))
    stopped = threading.Event()
    for sign in (signal.SIGTERM, signal.SIGINT):
        signal.signal(sign, lambda *_: stopped.set())
    say(f"nights of {home.settings.schedule.family} by {home.settings.schedule.cron!r} (UTC); {home.store.shown_url}")
    scheduler.start()
    stopped.wait()
    scheduler.close()


def pause(reason: Reason, as_json: Json = False) -> None:
    """Start no nights until `loop resume`. One under way goes on; missed ones are caught up once."""
    home = open_home()
    made = slots.pause(home, Attribution(home.actor, reason), utc_now())
    if as_json:
        emit(made)
    else:
        say(f"paused by {made.actor}: {made.reason}; `loop resume` goes on")


def resume(as_json: Json = False) -> None:
    """Start nights again; what was missed meanwhile is caught up once."""
    ended = slots.resume(open_home())
    if as_json:
        emit({"paused": ended})
    else:
        say("was not paused" if ended is None else f"no longer paused, as it was since {when(ended.since)}")
