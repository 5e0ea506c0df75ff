"""After a kill, an error or a stall at any point of a night the home is intact, and the next night needs no help."""

import random
import signal
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import func, select

from loop.clock import utc_now
from loop.schedule import slots
from loop.store import tables
from loop.store.feedback import corrections
from loop.store.nights import runs, versions
from loop.store.nights import slots as stored
from loop.store.values import Role, Run, RunStatus
from tests.crashes import acts, checks, process
from tests.crashes.acts import ACTS, RAISED
from tests.crashes.points import POINTS, STEPS, Lock, Phase, Point
from tests.crashes.process import Plan, begin, ended
from tests.crashes.site import BACKENDS, Site, Templates

UNCERTIFIED = "device: feed: expected 1 valid signatures by certified keys, got 0"
EVERYWHERE = [(point, act, backend) for point in POINTS for act in ACTS for backend in BACKENDS]


def sample(seed: int) -> Iterator[tuple[str, str, str]]:
    """A kill, an error and a stall for every step, at one of its points, on alternating databases."""
    chance = random.Random(seed)  # noqa: S311 (which cases, not a secret)
    cases = [(step, kind) for step in STEPS for kind in ("killed", "stalled", "failed")]
    for turn, (step, kind) in enumerate(cases):
        point = chance.choice([point.name for point in POINTS.values() if point.step == step])
        yield point, chance.choice(RAISED) if kind == "failed" else kind, BACKENDS[turn % 2]


@pytest.mark.parametrize(("point", "act", "backend"), list(sample(seed=5)))
def test_a_sample(templates: Templates, tmp_path: Path, point: str, act: str, backend: str) -> None:
    """The home is intact after one crash of each kind in each step."""
    crash(templates, tmp_path, POINTS[point], act, backend)


@pytest.mark.campaign
@pytest.mark.parametrize(("point", "act", "backend"), EVERYWHERE)
def test_everywhere(templates: Templates, tmp_path: Path, point: str, act: str, backend: str) -> None:
    """The home is intact after every kind of crash at every point, on both databases."""
    crash(templates, tmp_path, POINTS[point], act, backend)


def crash(templates: Templates, folder: Path, point: Point, act: str, backend: str, family: str = "fast") -> None:
    """Run one case."""
    with templates.site(backend, folder, family) as site:
        slot = slots.ask(site.home, "cnn", "ops", utc_now())
        plan = replace(site.plan, slot=slot.name, point=point.name, act=act)
        now = _stalled(plan, point) if act == "stalled" else _ended(site, plan, point)
        _consistent(site, plan, now)


def _ended(site: Site, plan: Plan, point: Point) -> datetime:
    """A night that is killed or raises at the point."""
    status = ended(begin(process.work, plan), plan)
    assert plan.reached.exists(), f"{point.name} was never reached: {plan.output.read_text()}"
    killed = plan.act == "killed"
    silent = killed or point.unheard
    assert (status == -signal.SIGKILL) == killed, plan.output.read_text()
    assert checks.sound(site.home, utc_now()) == ([UNCERTIFIED] if point.halfway else [])
    again = slots.ready(site.home, utc_now())  # as a scheduler does; this also ends runs with a dead process
    run = _last(site)
    if point.phase is Phase.BEFORE:
        assert run.kind == "base"
    elif point.phase is Phase.DURING:
        assert run.status is RunStatus.FAILED
        assert ("stopped without ending the run" if silent else acts.REASONS[plan.act]) in str(run.reason)
    else:
        assert run.status is RunStatus.FINISHED
    free = point.phase is Phase.BEFORE or (silent and point.phase is Phase.DURING)
    assert (None if again is None else again.name) == (plan.slot if free else None)
    return utc_now()


def _stalled(plan: Plan, point: Point) -> datetime:
    """A night that is stopped at the point past its lease, while another does its work, and then continues."""
    output = process.overtaken(plan, waits=point.lock is not Lock.NONE)
    if point.lock is not Lock.DATABASE:
        _refused(output, point)
    return utc_now() + process.AHEAD


def _refused(output: str, point: Point) -> None:
    """A night that was stopped past its lease writes nothing, unless it had already published."""
    if point.phase is Phase.AFTER:
        assert "Error" not in output
    elif point.phase is Phase.DURING:
        assert "loop.errors.LeaseLost: run 2 was taken over" in output
    else:
        assert "loop.errors.SlotTaken" in output


def _consistent(site: Site, plan: Plan, now: datetime) -> None:
    """The next night succeeds, trains on all uploads, and leaves no fault."""
    lost = [run for run in _runs(site) if run.status is RunStatus.FAILED]
    assert len(lost) <= 1
    after = replace(plan, point="", ahead=now - utc_now(), log="after", hand=4)
    assert ended(begin(process.follow, after), after) == 0, after.output.read_text()
    assert after.output.read_text().endswith("finished\n")
    assert checks.settled(site.home, now + timedelta(minutes=1)) == []
    with site.home.store.read() as tx:
        assert stored.get(tx, plan.slot).attempts <= 2
        newest = versions.every(tx)[0]
        assert newest.run_id == _last(site).id
        taught = select(func.count()).where(tables.SnapshotItem.snapshot_id == newest.snapshot_id)
        assert tx.scalar(taught) == len(corrections.pool(tx, Role.TRAIN))


def _runs(site: Site) -> list[Run]:
    with site.home.store.read() as tx:
        return runs.recent(tx)


def _last(site: Site) -> Run:
    return _runs(site)[0]
