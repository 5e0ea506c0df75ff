"""A process that stands still with a lock in its hands, which would outlive every lease: others are told, and go on.

On SQLite nobody can take the lock of a transaction away: it ends with its process, and writers that wait are told after
half a minute. On PostgreSQL the server ends the transaction.
"""

import os
import signal
from dataclasses import replace
from pathlib import Path

import pytest

from loop.clock import utc_now
from loop.errors import NotPublishable, StoreUnavailable
from loop.feed import publish, upkeep
from loop.schedule import slots
from loop.store import Store
from tests.crashes import checks, process
from tests.crashes.process import begin, ended, stopped
from tests.crashes.site import Templates

IMPATIENT = "?options=-c%20lock_timeout%3D300ms%20-c%20idle_in_transaction_session_timeout%3D3s"


@pytest.mark.parametrize("point", ["claim/slot", "register/finished"])
def test_who_stands_still_in_a_transaction_loses_it(templates: Templates, tmp_path: Path, point: str) -> None:
    """Others are told at once that they wait; then the server ends the transaction, and the next night works."""
    with templates.site("postgresql", tmp_path) as site:
        slot = slots.ask(site.home, "cnn", "ops", utc_now())
        plan = replace(site.plan, url=site.plan.url + IMPATIENT, slot=slot.name, point=point, act="stalled")
        late = begin(process.work, plan)
        assert stopped(late), plan.output.read_text()
        impatient = process.opened(plan)
        with pytest.raises(StoreUnavailable, match="lock timeout"):
            slots.ready(impatient, utc_now())
        impatient.store.close()
        successor = replace(site.plan, ahead=process.AHEAD, log="successor")
        other = begin(process.follow, successor)
        assert ended(other, successor) == 0, successor.output.read_text()
        os.kill(late.pid, signal.SIGCONT)
        assert ended(late, plan) == 1
        assert "loop.errors.StoreUnavailable" in plan.output.read_text()
        assert checks.settled(site.home, utc_now() + process.AHEAD) == []


@pytest.mark.parametrize("backend", ["sqlite"])  # the lock is a file's
def test_a_publication_that_hangs_is_told_of(
    templates: Templates, tmp_path: Path, backend: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next one does not wait for ever, and once the first has ended, the feed is published."""
    monkeypatch.setattr(publish, "LOCK_SECONDS", 0.3)
    with templates.site(backend, tmp_path) as site:
        slot = slots.ask(site.home, "cnn", "ops", utc_now())
        plan = replace(site.plan, slot=slot.name, point="publish/gathered", act="stalled")
        late = begin(process.work, plan)
        assert stopped(late), plan.output.read_text()
        with pytest.raises(NotPublishable, match="another publication"):
            upkeep.follow(site.home, process.WHY, utc_now())
        late.kill()
        assert ended(late, plan) == -signal.SIGKILL
        assert upkeep.follow(site.home, process.WHY, utc_now()).action is upkeep.Action.PUBLISHED
        assert checks.settled(site.home, utc_now()) == []


def test_that_is_how_the_loop_connects(postgres: str) -> None:
    """Unless the URL says otherwise."""
    for url, expected in ((postgres, ["30s", "1min"]), (postgres + IMPATIENT, ["300ms", "3s"])):
        store = Store(url)
        with store.read() as tx:
            said = [tx.connection().exec_driver_sql(f"SHOW {name}").scalar() for name in NAMES]
        store.close()
        assert said == expected


NAMES = ("lock_timeout", "idle_in_transaction_session_timeout")
