"""``loop schedule``, ``pause``, ``resume``: start nights by the clock, stop that, and continue."""

import signal
import threading

from loop import home as homes
from loop.cli.output import Json, Reason, emit, open_home, say, when
from loop.clock import utc_now
from loop.home import logs
from loop.schedule import slots
from loop.store.values import Attribution


def schedule() -> None:
    """Start nights when they are due, until SIGTERM or Ctrl-C.

    Any number of schedulers may share a database. A scheduler that stops asks its running night to end at its next
    step, and frees the slot for another scheduler. Like `loop up`, it also publishes the feed and sends webhooks.
    """
    from loop.schedule import background  # here, so that `pause` and `resume` do not import them
    from loop.schedule.scheduler import Scheduler

    home = open_home()
    logs.begin(home.settings)
    homes.require_secrets(home)
    scheduler = Scheduler(home, tasks=background.tasks(home))
    stopped = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.set())
    say(f"nights of {home.settings.schedule.family} by {home.settings.schedule.cron!r} (UTC); {home.store.shown_url}")
    scheduler.start()
    stopped.wait()
    scheduler.close()


def pause(reason: Reason, as_json: Json = False) -> None:
    """Start no nights until `loop resume`.

    A running night continues. The first night after the pause replaces all that were missed.
    """
    home = open_home()
    made = slots.pause(home, Attribution(home.actor, reason), utc_now())
    if as_json:
        emit(made)
    else:
        say(f"paused by {made.actor}: {made.reason}; `loop resume` ends the pause")


def resume(as_json: Json = False) -> None:
    """Start nights again; nights missed during the pause are caught up once."""
    ended = slots.resume(open_home())
    if as_json:
        emit({"paused": ended})
    else:
        say("not paused" if ended is None else f"the pause that began {when(ended.since)} has ended")
