"""A stopped process that holds a lock beyond its lease does not block others forever.

On SQLite a transaction's lock ends only with its process, and waiting writers get an error after half a minute. On
PostgreSQL the server ends the transaction.
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
def test_a_stopped_process_loses_its_transaction(templates: Templates, tmp_path: Path, point: str) -> None:
    """Others get an error at once; then the server ends the transaction, and the next night succeeds."""
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
def test_a_publication_that_hangs_is_reported(
    templates: Templates, tmp_path: Path, backend: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next publication does not wait forever, and once the first has ended, the feed is published."""
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


def test_the_loop_connects_with_these_timeouts(postgres: str) -> None:
    """Connections have the timeouts that end such transactions, unless the URL sets others."""
    for url, expected in ((postgres, ["30s", "1min"]), (postgres + IMPATIENT, ["300ms", "3s"])):
        store = Store(url)
        with store.read() as tx:
            values = [tx.connection().exec_driver_sql(f"SHOW {name}").scalar() for name in NAMES]
        store.close()
        assert values == expected


NAMES = ("lock_timeout", "idle_in_transaction_session_timeout")
