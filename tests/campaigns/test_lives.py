"""Relabel, undo, batch and erase under concurrency and SIGKILL: nothing is lost, nothing taken back is taught."""

import logging
import signal
import threading
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import select

from loop import intake
from loop.data import digits
from loop.intake import Upload
from loop.night import snapshot
from loop.store import Store, tables
from loop.store.feedback import corrections, erasures, own_uploads
from loop.store.nights import ledger_chain, runs
from loop.store.values import Role, Status
from tests.campaigns import lives
from tests.campaigns.lives import Nights, Phone
from tests.campaigns.served import Served
from tests.conftest import NOW

log = logging.getLogger(__name__)


def lived(served: Served, people: int, turns: int, kills: int, seed: int) -> tuple[list[Phone], Nights]:
    """Phones live their lives, and nights are taught, while the server is killed so many times."""
    key = served.prepare()
    served.start()
    url = "http://{}:{}".format(*served.address)
    phones = [Phone(url, key, seed + number) for number in range(people)]
    nights, over = Nights(), threading.Event()
    store = Store(served.settings.url)

    def kill() -> None:
        chance = np.random.default_rng(seed)
        for _ in range(kills):
            if over.wait(float(chance.random()) + 0.3):
                return
            served.stop(signal.SIGKILL)
            served.start()
        over.set()

    threads = [threading.Thread(target=kill), threading.Thread(target=lives.teach, args=(store, nights, seed))]
    for thread in threads:
        thread.start()
    lives.live(phones, turns, over)
    over.set()
    nights.done = True
    for thread in threads:
        thread.join()
    served.stop(signal.SIGTERM)
    served.close()
    store.close()
    return phones, nights


def require_kept(store: Store, phones: list[Phone]) -> int:
    """Every acknowledged word is there, each image has the current word of its phone, and no other is taught."""
    with store.read() as tx:
        pools = [corrections.pool(tx, role) for role in Role]
        sources = dict(tx.execute(select(tables.Source.name, tables.Source.id)).all())
        rows = {row.id: row for row in tx.scalars(select(tables.Correction))}
        assert ledger_chain.uneven(tx) == []
    taught = {int(number): int(label) for pool in pools for number, label in zip(pool.ids, pool.labels, strict=True)}
    expected = {}
    for phone in phones:
        for word in phone.words:
            row = rows[word.id]
            assert (row.source_id, row.label) == (sources[phone.source], word.body.get("label"))
            assert (row.status == Status.WITHDRAWN) == word.withdrawn
        current = phone.current().values()
        expected |= {word.id: word.body["label"] for word in current if "label" in word.body}
        noted = {word.id for word in current if "label" not in word.body}
        its = [row for row in rows.values() if row.source_id == sources.get(phone.source)]
        assert {row.id for row in its if row.status == Status.NOTED} == noted
    assert taught == expected
    return sum(len(phone.words) for phone in phones)


def through(url: str, folder: Path, people: int, turns: int, kills: int, seed: int) -> Nights:
    """One campaign, checked."""
    served = Served(folder, folder / "log", url)
    phones, nights = lived(served, people, turns, kills, seed)
    store = Store(served.settings.url)
    kept = require_kept(store, phones)
    store.close()
    assert nights.taken_back == []
    answers: Counter[str] = sum((phone.answers for phone in phones), start=Counter())
    log.info("%d kills, %d words kept, answers %s", kills, kept, dict(sorted(answers.items())))
    log.info(
        "%d snapshots published, %d refused, none with a word that was taken back", nights.published, nights.refused
    )
    return nights


@pytest.mark.slow
def test_a_few_lives(url: str, tmp_path: Path) -> None:
    """Three phones, three kills: nothing lost, nothing taught that was taken back."""
    through(url, tmp_path, people=3, turns=40, kills=3, seed=1)


@pytest.mark.campaign
def test_many_lives(url: str, tmp_path: Path) -> None:
    """Eight phones, 100 kills: the same; snapshots were refused, so the nights prove something."""
    nights = through(url, tmp_path, people=8, turns=1_000, kills=100, seed=2)
    assert nights.refused > 0
    assert nights.published > 0


@pytest.mark.parametrize("marks", [True, False], ids=["as it is", "control"])
def test_a_withdrawal_during_a_night(store: Store, monkeypatch: pytest.MonkeyPatch, marks: bool) -> None:
    """The night is refused; the control: if a withdrawal leaves snapshots unmarked, what was taken back is taught."""
    images = [digits.digit(np.random.default_rng(n).integers(0, 256, (28, 28)).astype(np.uint8)) for n in range(2)]
    first, _ = (intake.accept(store, Upload("a phone", image, 4), 0.0, NOW) for image in images)
    nights = Nights()
    with store.exclusive() as tx:
        run = runs.claim(tx, "cnn", "night", runs.me(), 60, NOW)
    with store.read() as tx:
        pool = corrections.pool(tx, Role.TRAIN)
    frozen = snapshot.freeze(store, run.id, "c" * 64, pool, NOW)
    if not marks:
        monkeypatch.setattr(erasures, "unteach", lambda tx, its: ())
    with store.exclusive() as tx:
        own_uploads.withdraw(tx, "a phone", first.id)
    lives.publish(store, nights, run.id, frozen)
    assert (nights.published, nights.taken_back) == ((0, []) if marks else (1, [first.id]))
