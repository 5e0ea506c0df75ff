"""The control of ``loop.schedule.scheduler``: several APScheduler schedulers on one shared job store, as in its manual.

``python -m tests.helpers.plain URL``: prints that it is ready, starts at the first line of its standard
input, stops at its end.
"""

import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

from apscheduler.jobstores.sqlalchemy import SQLAlchemyJobStore
from apscheduler.schedulers.background import BackgroundScheduler


def work(done: str) -> None:
    """Run a night, which writes one line."""
    with Path(done).open("a") as file:
        file.write("done\n")


def scheduler(url: str) -> BackgroundScheduler:
    """One scheduler, not yet started."""
    made = BackgroundScheduler(jobstores={"default": SQLAlchemyJobStore(url)}, timezone=UTC)
    made.start(paused=True)
    return made


def plan(url: str, done: Path, begin: datetime, count: int) -> None:
    """Store a job that is due ``count`` times, twice a second."""
    planner = scheduler(url)
    end, patient = begin + timedelta(seconds=0.5 * count - 0.1), {"misfire_grace_time": None, "coalesce": False}
    times = {"seconds": 0.5, "start_date": begin, "end_date": end}
    planner.add_job(work, "interval", [str(done)], **times, **patient, max_instances=count)
    planner.shutdown()


if __name__ == "__main__":
    mine = scheduler(sys.argv[1])
    print("ready", flush=True)  # noqa: T201 (the parent process reads it)
    sys.stdin.readline()
    mine.resume()
    sys.stdin.read()
