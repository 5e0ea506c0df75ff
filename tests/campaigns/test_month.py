"""A month of ``loop up`` with phones, operators, and random kills of API, scheduler and nights ends consistent."""

import shutil
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import func, select

from loop import access, registry
from loop import home as homes
from loop.access import Role
from loop.feed import authority, upkeep
from loop.home import Home
from loop.operations import backup, doctor, restore, verify
from loop.operations.finding import Finding, Severity
from loop.schedule import slots as due
from loop.store import tables
from loop.store.feedback import live_scores, split
from loop.store.nights import versions
from loop.store.values import Attribution, RunStatus
from tests.campaigns import month
from tests.campaigns.fast_clock import FastClock, real_now
from tests.campaigns.month import Month, wait
from tests.campaigns.people import Person
from tests.helpers import stores

PEOPLE = 8
WHY = Attribution("ops", "it was time")
BETWEEN = "TooFewSignatures: feed: expected 1 valid signatures by certified keys"
"""The refusal of a phone that syncs between a rotation's new root and its feed; the phone keeps its model."""


@pytest.mark.slow
@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
def test_a_few_days(url: str, tmp_path: Path, small_corpus: Path) -> None:
    """Four nights on SQLite end consistent."""
    lived = live(url, tmp_path, small_corpus, days=4, seed=1)
    assert lived.finished >= 3


@pytest.mark.campaign
@pytest.mark.parametrize("seed", [1, 2])
def test_a_month(url: str, tmp_path: Path, small_corpus: Path, seed: int) -> None:
    """Thirty nights on each database end consistent."""
    lived = live(url, tmp_path, small_corpus, days=30, seed=seed)
    print(lived)  # noqa: T201 (for docs/results.md)
    assert lived.finished >= 25
    assert lived.killed_up >= 10
    assert lived.killed_nights >= 10


@dataclass(frozen=True, slots=True)
class Lived:
    """The results of a month."""

    nights: int
    finished: int
    versions: int
    champions: int
    killed_up: int
    killed_nights: int
    acknowledged: int
    resent: int
    syncs: int


def live(url: str, folder: Path, corpus: Path, days: int, seed: int) -> Lived:
    """Simulate ``days`` days, which end now."""
    chance = np.random.default_rng(seed)
    clock = FastClock(folder / "clock")
    first = real_now().date() - timedelta(days=days)
    clock.begin(datetime.combine(first, datetime.min.time(), real_now().tzinfo) - timedelta(hours=12))
    with ExitStack() as stack:
        home = _founded(url, folder)
        stack.callback(home.store.close)
        loop = Month(home, clock, corpus, chance)
        loop.run("init")
        key, _ = access.create(home, "the app", Role.APP, actor="ops", now=clock.now())
        authority.create(home, 2, 1, 365, None, WHY, clock.now())
        loop.start()
        stack.callback(lambda: loop.up and loop.up.kill())
        people = [_person(loop, key, each, folder, authority.first(home)) for each in range(PEOPLE)]
        erased = _days(loop, people, first, days, folder)
        _calm(loop, people)
        lived = _examined(loop, people, erased)
        _restored(folder)
        assert loop.end() == 0
    return lived


def _founded(url: str, folder: Path) -> Home:
    home = homes.at(month.made(url, folder), migrated=False)
    home.settings.home.mkdir(exist_ok=True)
    stores.migrate(home.store)
    with home.store.write() as tx:
        split.set_salt(tx, "salt")  # which decides between training and holdout sources
    return home


def _person(loop: Month, key: str, number: int, folder: Path, root: bytes) -> Person:
    chance = np.random.default_rng([number, int(loop.chance.integers(1 << 30))])
    return Person(folder / f"phone-{number}", loop.url, key, root, loop.clock, chance)


def _days(loop: Month, people: list[Person], first: date, days: int, folder: Path) -> Person:
    """Simulate the days; returns the person who was erased."""
    home, clock = loop.home, loop.clock
    for person in people:
        person.start()
    for number, strike in enumerate(month.strikes(days, loop.chance)):
        wait("a day's uploads", lambda goal=(number + 1) * 5 * PEOPLE: _acknowledged(people) >= goal)
        loop.night(first + timedelta(days=number), strike)
        if number + 1 == days // 4:
            authority.rotate(
                home, authority.RotationOptions(), [authority.folder(home)], lambda _: None, None, WHY, clock.now()
            )
        if number + 1 == days // 2:
            backup.backup(home, folder / "backup.tar.gz", clock.now())
            people[0].end()
            assert people[0].erase() == 200
        if number + 1 == days * 3 // 4:
            left = registry.champion(home, "cnn")
            registry.rollback(home, "cnn", None, WHY, clock.now())
            authority.withdraw(home, left.number, WHY, clock.now())
    return people[0]


def _acknowledged(people: list[Person]) -> int:
    return sum(len(person.acknowledged) for person in people)


def _calm(loop: Month, people: list[Person]) -> None:
    """Stop drawing at the real time, finish everything due, and sync every phone once more."""
    home, clock = loop.home, loop.clock
    for person in people[1:]:
        person.end()
    clock.set(real_now())
    wait("nights that are due", lambda: not due.due(home, clock.now()) and not _running(home))
    wait("the scorer", lambda: not _backlog(home))
    wait("the feed", lambda: upkeep.reason(home, upkeep.published(home), clock.now()) is None)
    champion = registry.champion(home, "cnn")
    for person in people[1:]:
        with person.client() as client:
            assert person.sync(client)
        assert person.model == champion.artifact_digest
        assert [refusal for refusal in person.refused if not refusal.startswith(BETWEEN)] == []


def _running(home: Home) -> int:
    with home.store.read() as tx:
        running = tables.Run.status == RunStatus.RUNNING
        return tx.scalar(select(func.count()).select_from(tables.Run).where(running)) or 0


def _backlog(home: Home) -> int:
    with home.store.read() as tx:
        return live_scores.backlog(tx)


def _examined(loop: Month, people: list[Person], erased: Person) -> Lived:
    home, now = loop.home, real_now()
    assert _wrong(verify.verify(home, now).findings, Severity.WARNING) == []
    assert _wrong(doctor.examine(home, now), Severity.WARNING) == []
    sent = {(person.source, key): digest for person in people[1:] for key, digest in person.acknowledged.items()}
    assert Counter(_stored(home)) == Counter((*upload, digest) for upload, digest in sent.items())
    assert erased.acknowledged
    with home.store.read() as tx:
        nights = [run for run in tx.scalars(select(tables.Run)) if run.kind == "night"]
        finished = [run for run in nights if run.status == RunStatus.FINISHED]
        champions = {move.after for move in versions.ledger(tx, "cnn") if move.alias == "champion"}
        every = versions.every(tx)
    assert max(Counter(run.slot for run in finished).values()) == 1
    assert len(every) == len(finished) + 1
    return Lived(
        nights=len(nights),
        finished=len(finished),
        versions=len(every),
        champions=len(champions),
        killed_up=loop.killed_up,
        killed_nights=loop.killed_nights,
        acknowledged=_acknowledged(people),
        resent=sum(person.resent for person in people),
        syncs=sum(person.syncs for person in people),
    )


def _wrong(findings: list[Finding] | tuple[Finding, ...], least: Severity) -> list[Finding]:
    return [each for each in findings if each.severity >= least]


def _stored(home: Home) -> Iterator[tuple[str, str, str]]:
    with home.store.read() as tx:
        upload, source = tables.Correction, tables.Source
        yield from map(tuple, tx.execute(select(source.name, upload.key, upload.digest).join(source)))


def _restored(folder: Path) -> None:
    """The backup from the middle of the month restores into a new home, beside a copy of the sealing key."""
    made = month.made(f"sqlite:///{folder / 'other.db'}", folder / "other")
    made.home.mkdir(parents=True)
    shutil.copy(month.made("", folder).sealing_key_file, made.sealing_key_file)
    home = homes.at(made, migrated=False)
    restore.restore(home, folder / "backup.tar.gz", restore.Options(), real_now())
    findings = [each for each in verify.verify(home, real_now()).findings if each.check != "feed"]
    assert _wrong(findings, Severity.WARNING) == []
    home.store.close()
