"""``loop runs``, ``logs``: the outcome of each night, and the progress of the one that is running."""

import sys
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from loop.cli.output import Json, emit, errors, open_home, print_table, progress, say, table, when
from loop.clock import utc_now
from loop.errors import OpsError
from loop.home import Home
from loop.schedule import night_process
from loop.store import values
from loop.store.nights import runs as stored
from loop.store.values import RunStatus

POLL_SECONDS = 0.5


def runs(
    limit: Annotated[int, typer.Option(min=1, help="Number of runs.")] = 20,
    follow: Annotated[bool, typer.Option("--follow", help="Follow the run in progress until it ends.")] = False,
    as_json: Json = False,
) -> None:
    """List the last runs, newest first, with their outcome and duration.

    --follow shows the progress of the run that is running now; exit status 1 if it fails.
    """
    home = open_home()
    if follow:
        _report_end(_followed(home, quiet=as_json), as_json)
        return
    with home.store.read() as tx:
        recent = stored.recent(tx, limit)
    if as_json:
        emit([asdict(run) for run in recent])
        return
    shown = table("Runs", ">run", "kind", "due by", "status", "started", ">seconds", "reason")
    for run in recent:
        took = f"{sum(run.seconds.values()):.1f}"
        status = _at(run) if run.status is RunStatus.RUNNING else run.status
        cause = "hand" if run.slot is None else run.slot.partition("/")[0]
        cells = (str(run.id), f"{run.family} {run.kind}", cause, status, when(run.started_at), took)
        shown.add_row(*cells, run.reason or "")
    print_table(shown)


def logs(
    run: Annotated[int, typer.Argument(help="Number of a run, from `loop runs`.")],
    follow: Annotated[bool, typer.Option("--follow", help="Keep printing until the run ends.")] = False,
) -> None:
    """Print the log of a run that the scheduler started.

    It contains TensorFlow's messages, too.
    """
    home = open_home()
    path = night_process.log_of(home, run)
    with home.store.read() as tx:
        stored.get(tx, run)  # raises for an unknown run
    if not path.exists():
        raise OpsError(
            f"run {run} has no log in {path.parent}: it was run by hand or elsewhere, or `loop gc` deleted the log"
        )
    for part in _grown(home, run, path) if follow else [path.read_bytes()]:
        sys.stdout.buffer.write(part)
        sys.stdout.flush()


def _followed(home: Home, *, quiet: bool) -> values.Run:
    """The run in progress, after it ended or its process disappeared."""
    with home.store.read() as tx:
        run = next((run for run in stored.recent(tx) if run.status is RunStatus.RUNNING), None)
    if run is None:
        raise OpsError("no run is in progress; `loop runs` lists the last ones")
    if not quiet:
        errors.print(f"run {run.id} of {run.family}, started {when(run.started_at)}")
    with progress(quiet=quiet) as report:
        while True:
            with home.store.read() as tx:
                alive = stored.alive(tx, run.id, utc_now())
                run = stored.get(tx, run.id)
            if run.step is not None:
                report(run.step, run.done, run.total)
            if not alive:
                return run
            time.sleep(POLL_SECONDS)


def _report_end(run: values.Run, as_json: bool) -> None:
    if as_json:
        emit(asdict(run))
    elif run.status is RunStatus.RUNNING:
        say(f"run {run.id}: its process disappeared; the next night takes over")
    else:
        say(f"run {run.id}: {run.status}{f' – {run.reason}' if run.reason else ''}")
    if run.status in (RunStatus.RUNNING, RunStatus.FAILED):
        raise typer.Exit(1)


def _grown(home: Home, run: int, path: Path) -> Iterator[bytes]:
    """A log as it grows, until its run ends."""
    with path.open("rb") as file:
        alive = True
        while alive:
            with home.store.read() as tx:
                alive = stored.alive(tx, run, utc_now())  # asked before the read, so that the end of the log is read
            yield file.read()
            if alive:
                time.sleep(POLL_SECONDS)


def _at(run: values.Run) -> str:
    return f"{run.step} {run.done}/{run.total}" if run.step else run.status
