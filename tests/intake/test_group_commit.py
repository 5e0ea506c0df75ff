"""Uploads that share a transaction, on both databases: every answer follows the commit, and failures fail alone."""

import asyncio
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import event, func, select

from loop import home as homes
from loop import intake
from loop.data import digits
from loop.errors import Busy, StoreUnavailable
from loop.home import Home
from loop.home.artifacts import Artifacts
from loop.home.sections import Serving
from loop.home.settings import Settings
from loop.intake import Prepared, Receipt, Upload
from loop.intake.group_commit import GroupCommit
from loop.store import Store, schema, tables
from tests.conftest import NOW


@lru_cache
def upload(number: int, source: str = "s") -> Prepared:
    """A valid upload; each number gives another."""
    pixels = np.random.default_rng(number).integers(0, 256, (28, 28)).astype(np.uint8)
    return intake.prepare(Upload(source, digits.digit(pixels), number % 10, key=f"k{number}"), NOW)


def home_of(store: Store, folder: Path, **serving: object) -> Home:
    """A home around a store, with these ``serve`` settings."""
    settings = Settings(home=folder, serve=replace(Serving(source_per_day=10**6), **serving))
    return Home(settings, store, Artifacts(folder / "artifacts"))


@contextmanager
def writing(home: Home) -> Iterator[GroupCommit]:
    """A group commit, closed at the end."""
    commits = GroupCommit(home, lambda: NOW)
    try:
        yield commits
    finally:
        commits.close()


@contextmanager
def commits_of(store: Store) -> Iterator[list[object]]:
    """Collects an entry for each transaction that is committed."""
    made: list[object] = []
    note = made.append
    event.listen(store.engine, "commit", note)
    yield made
    event.remove(store.engine, "commit", note)


def stored(store: Store) -> int:
    """The number of uploads in the store."""
    with store.read() as tx:
        return tx.scalar(select(func.count()).select_from(tables.Correction)) or 0


async def each(commits: GroupCommit, uploads: list[Prepared]) -> list[intake.Answer]:
    """One caller for each upload, all at once; their answers in order."""
    answers = await asyncio.gather(*(commits.submit([one]) for one in uploads))
    return [answer for [answer] in answers]


def test_many_callers_share_few_commits(store: Store, tmp_path: Path) -> None:
    """200 concurrent callers get the answers of sequential ones, with far fewer commits than callers."""
    sent = [upload(i % 150) for i in range(200)]
    with writing(home_of(store, tmp_path, commit_wait_ms=20)) as commits, commits_of(store) as made:
        answers = asyncio.run(each(commits, sent))
    again = [isinstance(answer, Receipt) and answer.replayed for answer in answers]
    assert again == [i >= 150 for i in range(200)]
    assert len({answer.id for answer in answers if isinstance(answer, Receipt)}) == stored(store) == 150
    assert len(made) <= 4


def test_an_answer_means_committed(store: Store, url: str, tmp_path: Path) -> None:
    """At the moment a caller is answered, another connection to the database sees the row."""
    other = Store(url)

    async def seen(commits: GroupCommit, number: int) -> bool:
        [answer] = await commits.submit([upload(number)])
        with other.read() as tx:
            return tx.get(tables.Correction, answer.id) is not None

    async def all_seen(commits: GroupCommit) -> list[bool]:
        return await asyncio.gather(*(seen(commits, i) for i in range(40)))

    with writing(home_of(store, tmp_path, commit_batch=8)) as commits:
        assert asyncio.run(all_seen(commits)) == [True] * 40
    other.close()


def test_what_comes_together_is_stored_together(store: Store, tmp_path: Path) -> None:
    """A submission is never split over two transactions, unless it alone is larger than a batch."""
    sixes = [[upload(100 + i) for i in range(start, start + 6)] for start in range(0, 24, 6)]
    sizes: list[int] = []
    home = home_of(store, tmp_path, commit_batch=10, commit_wait_ms=20)
    commits = GroupCommit(home, lambda: NOW, lambda uploads, seconds: sizes.append(uploads))

    async def at_once() -> None:
        await asyncio.gather(*(commits.submit(six) for six in sixes))

    asyncio.run(at_once())
    answers = asyncio.run(commits.submit([upload(i) for i in range(25)]))
    commits.close()
    assert sizes == [6, 6, 6, 6, 10, 10, 5]  # 6 + 6 do not fit into 10
    assert [type(answer) for answer in answers] == [Receipt] * 25
    assert stored(store) == 24 + 25


def test_every_commit_is_told(store: Store, tmp_path: Path) -> None:
    """``on_commit`` is called for each committed transaction with its uploads and its time, not for a failed one."""
    heard: list[tuple[int, float]] = []
    commits = GroupCommit(home_of(store, tmp_path, commit_batch=10), lambda: NOW, lambda *told: heard.append(told))
    asyncio.run(commits.submit([upload(i) for i in range(25)]))
    with pytest.raises(Exception, match=r"(?i)label"):
        asyncio.run(commits.submit([Prepared("s", True, upload(30).columns | {"label": 77})]))
    commits.close()
    assert [size for size, _ in heard] == [10, 10, 5]
    assert all(0 < seconds < 30 for _, seconds in heard)


def test_a_refusal_stays_with_its_sender(store: Store, tmp_path: Path) -> None:
    """A conflict and an exceeded quota in a batch do not affect its other uploads."""
    with writing(home_of(store, tmp_path, commit_wait_ms=20, source_per_day=3)) as commits:
        conflict = Prepared("s", True, upload(3).columns | {"key": "k0"})
        answers = asyncio.run(each(commits, [upload(0), conflict, upload(1), upload(2), upload(4), upload(5, "t")]))
    words = [type(answer).__name__ for answer in answers]
    assert words == ["Receipt", "KeyConflict", "Receipt", "Receipt", "QuotaSpent", "Receipt"]


def test_a_caller_who_hangs_up_disturbs_nobody(store: Store, tmp_path: Path) -> None:
    """Half the callers are cancelled while they wait; the others are answered, and everything is stored."""

    async def half_hang_up(commits: GroupCommit) -> list[object]:
        callers = [asyncio.create_task(commits.submit([upload(i)])) for i in range(40)]
        await asyncio.sleep(0)
        for caller in callers[::2]:
            caller.cancel()
        return await asyncio.gather(*callers, return_exceptions=True)

    with writing(home_of(store, tmp_path, commit_wait_ms=20)) as commits:
        outcomes = asyncio.run(half_hang_up(commits))
    assert [type(outcome).__name__ for outcome in outcomes] == ["CancelledError", "list"] * 20
    assert stored(store) == 40


def test_a_loop_that_is_gone_disturbs_nobody(store: Store, tmp_path: Path) -> None:
    """The writer survives when the event loop of a waiting caller ends before the commit."""
    with writing(home_of(store, tmp_path, commit_wait_ms=200)) as commits:
        with suppress(TimeoutError):
            asyncio.run(asyncio.wait_for(commits.submit([upload(0)]), 0.05))
        [answer] = asyncio.run(commits.submit([upload(1)]))
    assert isinstance(answer, Receipt)
    assert stored(store) == 2


def test_too_many_waiting(store: Store, tmp_path: Path) -> None:
    """Past the limit a caller is refused at once with a retry time, and the waiting callers are still answered."""

    async def flood(commits: GroupCommit) -> list[object]:
        return await asyncio.gather(*(commits.submit([upload(i)]) for i in range(30)), return_exceptions=True)

    with writing(home_of(store, tmp_path, waiting=20, commit_wait_ms=50)) as commits:
        outcomes = asyncio.run(flood(commits))
        turned_away = [outcome for outcome in outcomes if isinstance(outcome, Busy)]
        assert len(turned_away) == 10
        assert turned_away[0].retry_after > 0
        assert asyncio.run(commits.submit([upload(i) for i in range(100, 125)]))  # alone, it need not fit
    assert stored(store) == 20 + 25


def test_closing_answers_all_that_waits(store: Store, tmp_path: Path) -> None:
    """``close`` with 50 waiting callers stores and answers all of them, and refuses the next."""
    commits = GroupCommit(home_of(store, tmp_path, commit_batch=8, commit_wait_ms=10_000), lambda: NOW)

    async def close_behind() -> list[intake.Answer]:
        waiting = asyncio.create_task(each(commits, [upload(i) for i in range(50)]))
        await asyncio.sleep(0.05)
        await asyncio.to_thread(commits.close)
        return await waiting

    assert [type(answer) for answer in asyncio.run(close_behind())] == [Receipt] * 50
    assert stored(store) == 50
    with pytest.raises(Busy, match="stopping"):
        asyncio.run(commits.submit([upload(60)]))


def test_a_database_that_fails_and_returns(store: Store, tmp_path: Path) -> None:
    """While the table is missing every caller of a batch gets the error; afterwards uploads work again."""
    with writing(home_of(store, tmp_path, commit_wait_ms=20)) as commits:
        with store.write() as tx:
            tx.connection().exec_driver_sql("ALTER TABLE arrivals RENAME TO gone")

        async def all_fail() -> list[object]:
            return await asyncio.gather(*(commits.submit([upload(i)]) for i in range(9)), return_exceptions=True)

        assert [type(outcome) for outcome in asyncio.run(all_fail())] == [StoreUnavailable] * 9
        assert stored(store) == 0
        with store.write() as tx:
            tx.connection().exec_driver_sql("ALTER TABLE gone RENAME TO arrivals")
        answers = asyncio.run(each(commits, [upload(i) for i in range(9)]))
    assert [type(answer) for answer in answers] == [Receipt] * 9


def test_after_a_failure_the_log_is_written_back_first(tmp_path: Path) -> None:
    """SQLite's log is truncated before the next answer, so that rows of a failed commit never count as stored."""
    store = Store(f"sqlite:///{tmp_path / 'loop.db'}")
    schema.migrate(store)
    log = tmp_path / "loop.db-wal"
    with writing(home_of(store, tmp_path)) as commits:
        asyncio.run(each(commits, [upload(i) for i in range(300)]))
        with store.write() as tx:
            tx.connection().exec_driver_sql("ALTER TABLE arrivals RENAME TO gone")
        with pytest.raises(StoreUnavailable):
            asyncio.run(commits.submit([upload(500)]))
        with store.write() as tx:
            tx.connection().exec_driver_sql("ALTER TABLE gone RENAME TO arrivals")
        before = log.stat().st_size
        asyncio.run(commits.submit([upload(500)]))
        assert log.stat().st_size < before / 10
    store.close()


def test_a_fault_of_ours_is_not_silent(store: Store, tmp_path: Path) -> None:
    """A row that violates the schema is a bug: its callers get the error itself, and the writer survives."""
    broken = Prepared("s", True, upload(0).columns | {"label": 77})
    with writing(home_of(store, tmp_path)) as commits:
        with pytest.raises(Exception, match=r"(?i)label"):
            asyncio.run(commits.submit([broken]))
        [answer] = asyncio.run(commits.submit([upload(0)]))
    assert isinstance(answer, Receipt)


def test_opened_home(tmp_path: Path) -> None:
    """A single upload waits for ``commit_wait_ms`` and the disk, and no longer."""
    settings = Settings(home=tmp_path)
    schema.migrate(Store(settings.url))
    home = homes.at(settings)
    with writing(home) as commits:
        asyncio.run(commits.submit([upload(0)]))
        began = time.monotonic()
        asyncio.run(commits.submit([upload(1)]))
        assert time.monotonic() - began < 1
    assert not [thread for thread in threading.enumerate() if thread.name == "group-commit"]
    home.store.close()
