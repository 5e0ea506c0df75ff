"""The scheduler measures what asking is worth when it is due, once, and never beside a run."""

import sys
import time
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from loop.asking import kept_worth
from loop.clock import iso
from loop.home import Home
from loop.home.artifacts import Artifacts
from loop.home.settings import Settings
from loop.schedule.worth_process import WorthProcess
from loop.store import Store
from loop.store.nights import runs
from tests.conftest import NOW

WEEK = timedelta(days=7)


def at(store: Store, folder: Path, days: float = 7) -> tuple[Home, WorthProcess, Path]:
    """A home, a measurement that only leaves a line in a file, and the file."""
    settings = Settings(home=folder)
    settings = settings.model_copy(update={"ask": replace(settings.ask, worth_days=days)})
    home, file = Home(settings, store, Artifacts(folder / "artifacts")), folder / "calls"
    script = f"import sys; open({str(file)!r}, 'a').write(' '.join(sys.argv[1:]) + '\\n')"
    return home, WorthProcess(home, (sys.executable, "-c", script)), file


def calls(file: Path, expected: int) -> list[str]:
    """The lines, once there are so many, or after some seconds."""
    for _ in range(200):
        found = file.read_text().splitlines() if file.exists() else []
        if len(found) >= expected:
            return found
        time.sleep(0.05)
    return found


@pytest.mark.slow
def test_once_when_it_is_due(store: Store, tmp_path: Path) -> None:
    """At first, then a week after the last try or measurement; the time is a setting."""
    home, process, file = at(store, tmp_path)
    process.follow(NOW)
    assert calls(file, 1) == ["--family cnn --minutes 10"]
    for _ in range(20):  # until it is collected
        process.follow(NOW + timedelta(minutes=10))
        time.sleep(0.02)
    assert len(calls(file, 1)) == 1
    kept_worth.keep(home, {"at": iso(NOW + WEEK), "text": "", "curves": {}})
    process.follow(NOW + WEEK)
    assert len(calls(file, 1)) == 1
    process.follow(NOW + 2 * WEEK)
    assert len(calls(file, 2)) == 2


@pytest.mark.slow
def test_never_by_default_nor_beside_a_run(store: Store, tmp_path: Path) -> None:
    """Without the setting nothing is started; while a night runs it waits."""
    _, off, file = at(store, tmp_path, days=0)
    off.follow(NOW)
    _, process, file = at(store, tmp_path)
    with store.exclusive() as tx:
        run = runs.claim(tx, "cnn", "night", "somebody", 60, NOW)
    process.follow(NOW)
    time.sleep(0.3)
    assert not file.exists()
    with store.exclusive() as tx:
        runs.finish(tx, run.id, runs.RunStatus.FINISHED, None, {}, NOW)
    process.follow(NOW)
    assert len(calls(file, 1)) == 1
