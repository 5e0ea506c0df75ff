"""The control of ``loop.schedule.scheduler``: APScheduler as its manual says, several of them on one shared job store.

``python -m tests.helpers.plain URL``: prints that it is ready, starts at the first line of its standard
input, stops at its end.
"""

import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

from apscheduler.jobstores.sqlalchemy import SQLAlchemyJobStore
from apscheduler.schedulers.background import BackgroundScheduler


def work(done: str) -> None:
    """A night: one line."""
    with Path(done).open("a") as file:
        file.write("done\n")


def scheduler(url: str) -> BackgroundScheduler:
    """One of them, not yet at work."""
    made = BackgroundScheduler(jobstores={"default": SQLAlchemyJobStore(url)}, timezone=UTC)
    made.start(paused=True)
    return made


def plan(url: str, done: Path, begin: datetime, count: int) -> None:
    """Write down a job that is due so many times, twice a second."""
    planner = scheduler(url)
    end, patient = begin + timedelta(seconds=0.5 * count - 0.1), {"misfire_grace_time": None, "coalesce": False}
    times = {"seconds": 0.5, "start_date": begin, "end_date": end}
    planner.add_job(work, "interval", [str(done)], **times, **patient, max_instances=count)
    planner.shutdown()


if __name__ == "__main__":
    mine = scheduler(sys.argv[1])
    print("ready", flush=True)  # noqa: T201 (a process of its own, read through its output)
    sys.stdin.readline()
    mine.resume()
    sys.stdin.read()
