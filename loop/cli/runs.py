"""``loop runs``, ``logs``: what nights did and what the one under way is doing."""

import sys
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from loop.cli.output import Json, console, emit, errors, open_home, progress, say, table, when
from loop.clock import utc_now
from loop.errors import OpsError
from loop.home import Home
from loop.schedule import night_process
from loop.store import values
from loop.store.nights import runs as stored
from loop.store.values import RunStatus

POLL_SECONDS = 0.5


def runs(
    limit: Annotated[int, typer.Option(min=1, help="How many.")] = 20,
    follow: Annotated[bool, typer.Option("--follow", help="Watch the run under way until it ends.")] = False,
    as_json: Json = False,
) -> None:
    """The last runs, newest first: what each came to, and how long its steps took.

    --follow shows how far the run under way has come; its exit status says whether it failed.
    """
    home = open_home()
    if follow:
        _tell_end(_followed(home, quiet=as_json), as_json)
        return
    with home.store.read() as tx:
        recent = stored.recent(tx, limit)
    if as_json:
        emit([asdict(run) for run in recent])
        return
    shown = table("Runs", ">run", "family", "kind", "due by", "status", "started", ">seconds", "reason")
    for run in recent:
        took = f"{sum(run.seconds.values()):.1f}"
        status = _at(run) if run.status is RunStatus.RUNNING else run.status
        cause = "hand" if run.slot is None else run.slot.partition("/")[0]
        cells = (str(run.id), run.family, run.kind, cause, status, when(run.started_at), took)
        shown.add_row(*cells, run.reason or "")
    console.print(shown)


def logs(
    run: Annotated[int, typer.Argument(help="Number of the run.")],
    follow: Annotated[bool, typer.Option("--follow", help="Until the run has ended.")] = False,
) -> None:
    """What a run that the scheduler started wrote, TensorFlow's own messages included."""
    home = open_home()
    path = night_process.log_of(home, run)
    with home.store.read() as tx:
        stored.get(tx, run)  # an unknown run says so
    if not path.exists():
        raise OpsError(f"run {run} has no log in {path.parent}: it was run by hand, on another machine, or long ago")
    for part in _grown(home, run, path) if follow else [path.read_bytes()]:
        sys.stdout.buffer.write(part)
        sys.stdout.flush()


def _followed(home: Home, *, quiet: bool) -> values.Run:
    """The run under way, once it has ended, or its process is gone."""
    with home.store.read() as tx:
        run = next((run for run in stored.recent(tx) if run.status is RunStatus.RUNNING), None)
    if run is None:
        raise OpsError("no run is under way; `loop runs` shows the last ones")
    if not quiet:
        errors.print(f"run {run.id} of {run.family}, since {when(run.started_at)}")
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


def _tell_end(run: values.Run, as_json: bool) -> None:
    if as_json:
        emit(asdict(run))
    elif run.status is RunStatus.RUNNING:
        say(f"run {run.id}: its process is gone; the next night takes over")
    else:
        say(f"run {run.id}: {run.status}{f' – {run.reason}' if run.reason else ''}")
    if run.status in (RunStatus.RUNNING, RunStatus.FAILED):
        raise typer.Exit(1)


def _grown(home: Home, run: int, path: Path) -> Iterator[bytes]:
    """A log as it grows, until its run has ended."""
    with path.open("rb") as file:
        alive = True
        while alive:
            with home.store.read() as tx:
                alive = stored.alive(tx, run, utc_now())  # asked before the read: nothing is missed at the end
            yield file.read()
            if alive:
                time.sleep(POLL_SECONDS)


def _at(run: values.Run) -> str:
    return f"{run.step} {run.done}/{run.total}" if run.step else run.status
