"""An event is written with the change that it reports: neither exists without the other."""

import signal
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from loop import registry
from loop.errors import NotPromotable
from loop.feed import authority, expiry, publish
from loop.home import Home
from loop.home.artifacts import Artifacts
from loop.home.settings import Settings
from loop.store import Store, values
from loop.store.nights import runs, versions
from loop.store.service import messages, outbox
from loop.store.service.messages import Kind
from loop.store.service.outbox import Event
from loop.store.values import Attribution, RunStatus
from tests.conftest import NOW
from tests.helpers.paths import ROOT
from tests.store.conftest import version

WHY = Attribution("ops", "a reason")
REASONS = [
    {"check": "a", "outcome": "passed", "text": "fine"},
    {"check": "b", "outcome": "failed", "text": "n=3, need 9"},
]


@pytest.fixture
def home(store: Store, url: str, tmp_path: Path) -> Home:
    """A home with versions that have real files."""
    made = Settings(home=tmp_path / "home", database_url=url)
    return Home(made, store, Artifacts(made.home / "artifacts"))


def told(home: Home) -> list[Event]:
    """Every event, oldest first."""
    with home.store.read() as tx:
        return outbox.recent(tx, limit=1000)[::-1]


def kinds(home: Home) -> list[Kind]:
    """The kinds of the events, oldest first."""
    return [event.kind for event in told(home)]


def register(home: Home, outcome: str = "passed") -> int:
    """A night that registers one more version."""
    with home.store.exclusive() as tx:
        run = runs.claim(tx, "cnn", "night", runs.me(), 60, NOW)
        runs.reserve(tx, run.id)
        run = runs.get(tx, run.id)
        digest = home.artifacts.put(f"model {run.reserved}".encode(), ".mlmodel")
        new = version(run, artifact_digest=digest)
        verdict = values.Verdict(new.number, "good enough", outcome, {"reasons": REASONS}, NOW)
        registry.register(tx, new, [verdict], WHY, NOW)
        runs.finish(tx, run.id, RunStatus.FINISHED, None, {}, NOW)
    return new.number


def test_a_night_that_registers(home: Home) -> None:
    """A night records the event of its version, then its own, with the version's number."""
    number = register(home)
    assert kinds(home) == [Kind.REGISTERED, Kind.NIGHT_FINISHED]
    body = told(home)[-1].body
    assert (body["status"], body["version"], body["reason"], body["family"]) == ("finished", number, None, "cnn")


@pytest.mark.parametrize("outcome", ["failed", "inconclusive"])
def test_a_refused_challenger(home: Home, outcome: str) -> None:
    """The event of a refusal lists the checks that did not pass, in words, and no others."""
    number = register(home, outcome)
    assert kinds(home) == [Kind.REGISTERED, Kind.GATE_REFUSED, Kind.NIGHT_FINISHED]
    assert told(home)[1].body == {
        "family": "cnn",
        "version": number,
        "verdicts": {"good enough": outcome},
        "reasons": ["n=3, need 9"],
    }


@pytest.mark.parametrize("status", [RunStatus.SKIPPED, RunStatus.FAILED])
def test_a_night_that_makes_nothing(home: Home, status: RunStatus) -> None:
    """The event of a failed night has its reason and no version, even if it reserved a number."""
    with home.store.exclusive() as tx:
        run = runs.claim(tx, "cnn", "night", runs.me(), 60, NOW)
        runs.reserve(tx, run.id)
        runs.finish(tx, run.id, status, "disk full", {}, NOW)
    body = told(home)[0].body
    assert (body["status"], body["reason"], body["version"]) == (status, "disk full", None)


def test_a_night_that_was_taken_over(home: Home) -> None:
    """The next claim records the end of a dead night, once."""
    for hours in (0, 1, 2):
        with home.store.exclusive() as tx:
            runs.claim(tx, "cnn", "night", "elsewhere:-:1", 60, NOW + timedelta(hours=hours))
    assert kinds(home) == [Kind.NIGHT_FINISHED] * 2
    assert {event.body["status"] for event in told(home)} == {"failed"}
    assert "abandoned" in told(home)[0].body["reason"]


@pytest.mark.parametrize("kind", ["base", "dry-run"])
def test_other_runs_are_no_nights(home: Home, kind: str) -> None:
    """A dry run records no event."""
    with home.store.exclusive() as tx:
        run = runs.claim(tx, "cnn", kind, runs.me(), 60, NOW)
        runs.finish(tx, run.id, RunStatus.FINISHED, None, {}, NOW)
    assert told(home) == []


@pytest.mark.slow
@given(st.lists(st.sampled_from(["register", "fail", "promote", "override", "rollback"]), max_size=12))
@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_every_line_of_the_ledger_is_told_once(home: Home, steps: list[str]) -> None:
    """After any sequence of operations, refused or not, the ledger and the events agree, in order."""
    numbers = [register(home)]
    for step in steps:
        try:
            if step in {"register", "fail"}:
                numbers.append(register(home, "passed" if step == "register" else "failed"))
            elif step == "rollback":
                registry.rollback(home, "cnn", None, WHY, NOW)
            else:
                registry.promote(home, numbers[-1], Attribution("ops", "!", step == "override"), NOW)
        except NotPromotable:
            continue
    with home.store.read() as tx:
        lines = [(messages.EVENT_OF_MOVE[m.verb], m.before, m.after, m.actor) for m in reversed(versions.ledger(tx))]
    moves = [event for event in told(home) if event.kind in messages.EVENT_OF_MOVE.values()]
    assert [(e.kind, e.body["before"], e.body["version"], e.body["actor"]) for e in moves] == lines


@pytest.mark.slow
@pytest.mark.parametrize(("point", "happened"), [("before:event", 0), ("after:event", 0), ("after:commit", 1)])
def test_killed_around_the_commit(home: Home, point: str, happened: int) -> None:
    """SIGKILL between change and event, between event and commit, or after the commit leaves both or neither."""
    number = register(home)
    command = [
        sys.executable,
        "-m",
        "tests.helpers.events_child",
        home.settings.url,
        str(home.settings.home),
        str(number),
    ]
    killed = subprocess.run([*command, point], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    with home.store.read() as tx:
        facts = [line for line in versions.ledger(tx) if line.verb == "promote"]
    assert (len(facts), kinds(home).count(Kind.PROMOTED)) == (happened, happened)
    if not happened:
        registry.promote(home, number, WHY, NOW)
    assert kinds(home).count(Kind.PROMOTED) == 1


def test_a_transaction_that_fails_tells_nothing(home: Home) -> None:
    """A rolled-back transaction leaves no event."""
    number = register(home)
    before = told(home)

    def promote_and_fail() -> None:
        with home.store.exclusive() as tx:
            registry.promote_in(tx, versions.get(tx, number), WHY, NOW)
            raise RuntimeError("the disk is full")

    with pytest.raises(RuntimeError, match="full"):
        promote_and_fail()
    assert told(home) == before


def test_a_withdrawal_is_told(home: Home) -> None:
    """A withdrawal's event has the model's digest, so that a mirror can remove the file."""
    number = register(home)
    withdrawn = authority.withdraw(home, number, WHY, NOW)
    assert kinds(home)[-1] is Kind.WITHDRAWN
    assert told(home)[-1].body["digest"] == withdrawn.artifact_digest


def test_a_feed_that_nears_its_end_is_told_once(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """A feed's near-expiry event is recorded once, in the last quarter of its validity."""
    from loop.feed import upkeep

    def published(issued_hours_ago: float, sequence: int) -> None:
        issued = NOW - timedelta(hours=issued_hours_ago)
        feed = publish.Feed(1, sequence, 1, issued, issued + timedelta(hours=168), 0, {})
        monkeypatch.setattr(upkeep, "published", lambda home: feed)

    monkeypatch.setattr(upkeep, "published", lambda home: None)
    assert not expiry.warn(home, NOW)
    published(125, 7)
    assert not expiry.warn(home, NOW)
    published(127, 7)
    assert [expiry.warn(home, NOW) for _ in range(3)] == [True, False, False]
    published(0, 8)
    assert not expiry.warn(home, NOW)
    published(160, 8)
    assert expiry.warn(home, NOW)
    assert [event.body["sequence"] for event in told(home)] == [7, 8]
