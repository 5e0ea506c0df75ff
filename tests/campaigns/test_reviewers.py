"""Reviewers at once, on a server that is killed repeatedly: each question gets exactly its answers, none is lost."""

import hashlib
import logging
import signal
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import numpy as np
import pytest
from sqlalchemy import func, select

from loop import access
from loop.access import Role
from loop.clock import utc_now
from loop.home import at
from loop.home.settings import Settings
from loop.store import Store, tables
from loop.store.values import Status
from tests.asking.conftest import ask, drawing, send
from tests.campaigns.served import Served

QUORUM = 2
AHEAD = 5  # questions that one request fetches
SKIPPED = 0.01
WRONG = 0.03
TIMEOUT_SECONDS = 60.0  # in which an answer must be acknowledged, despite any kill
SENT_AT_ONCE = 500

log = logging.getLogger(__name__)


@dataclass(eq=False)
class Reviewer:
    """One person with a key: fetches a few, answers each, and repeats a request until it is answered."""

    name: str
    url: str
    key: str
    careful: bool
    """Answers always, and always right."""
    done: threading.Event
    acknowledged: dict[int, int | None] = field(default_factory=dict)
    """Question → the label; None is a skip."""
    again: int = 0
    """Requests that were repeated, and answers that the server had already."""
    refused: list[str] = field(default_factory=list)

    def start(self) -> None:
        """Begin."""
        self._thread = threading.Thread(target=self._work, name=self.name, daemon=True)
        self._thread.start()

    def join(self, seconds: float) -> None:
        """Wait for the end."""
        self._thread.join(seconds)
        assert not self._thread.is_alive(), f"{self.name} still works: {self.refused}"

    def _work(self) -> None:
        headers = {"Authorization": f"Bearer {self.key}"}
        with httpx.Client(base_url=f"{self.url}/v1/review/", headers=headers, timeout=20) as client:
            while not self.done.is_set() and not self.refused:
                got = self._ask(client, "next", {"count": AHEAD})
                for each in got["questions"]:
                    self._answer(client, each["id"])
                if not got["questions"]:
                    time.sleep(0.05)

    def _answer(self, client: httpx.Client, number: int) -> None:
        label = self._reads(number)
        said = self._ask(
            client, "answers", {"question": number} | ({"skip": True} if label is None else {"label": label})
        )
        if said:
            if number in self.acknowledged:
                self.refused.append(f"asked {number} twice")
            self.acknowledged[number] = label
            self.again += bool(said["repeated"])

    def _reads(self, number: int) -> int | None:
        chance = int.from_bytes(hashlib.blake2b(f"{self.name} {number}".encode(), digest_size=4).digest()) / 2**32
        if self.careful or chance > SKIPPED + WRONG:
            return number % 10
        return None if chance < SKIPPED else (number + 1) % 10

    def _ask(self, client: httpx.Client, path: str, body: dict[str, object]) -> dict[str, list[dict[str, int]]]:
        end = time.monotonic() + TIMEOUT_SECONDS
        while time.monotonic() < end:
            try:
                answer = client.post(path, json=body)
            except httpx.HTTPError:
                answer = None
            if answer is not None and answer.status_code < 500:
                if answer.is_success:
                    return answer.json()
                self.refused.append(answer.text)
                return {"questions": []} if path == "next" else {}
            self.again += 1
            time.sleep(0.05)
        self.refused.append(f"{path} {body}: no answer within {TIMEOUT_SECONDS:g} s")
        return {"questions": []} if path == "next" else {}


def prepared(settings: Settings, count: int, people: int) -> list[str]:
    """A store with questions about new drawings; the keys of the reviewers."""
    home = at(settings, migrated=False)
    try:
        for begin in range(0, count, SENT_AT_ONCE):
            uploads = [drawing(f"phone {seed % 50}", seed) for seed in range(begin, min(begin + SENT_AT_ONCE, count))]
            ask(home.store, [each.id for each in send(home.store, *uploads, at=utc_now())], QUORUM)
        return [
            access.create(home, f"reviewer {i}", Role.REVIEWER, actor="tests", now=utc_now())[0] for i in range(people)
        ]
    finally:
        home.store.close()


def campaign(served: Served, people: int, count: int, kills: int, seed: int, careful: int = 0) -> None:
    """``people`` answer ``count`` questions while the server is killed; each question gets exactly its quorum."""
    served.prepare()
    keys = prepared(served.settings, count, people)
    served.start()
    done = threading.Event()
    url = "http://{}:{}".format(*served.address)
    team = [Reviewer(f"reviewer {i}", url, key, i < careful, done) for i, key in enumerate(keys)]
    chance = np.random.default_rng(seed)
    began = time.monotonic()
    for each in team:
        each.start()
    store = Store(served.settings.url)
    try:
        for kill in range(kills):  # spread over all the answers, anywhere in a request
            _until(lambda kill=kill: _answers(team) > QUORUM * count * (kill + 1) / (kills + 1), team)
            time.sleep(chance.random() * 0.02)
            served.stop(signal.SIGKILL)
            served.start()
        _until(lambda: _open(store) == 0, team)
        seconds = time.monotonic() - began
        done.set()
        for each in team:
            each.join(TIMEOUT_SECONDS)
        check(store, team, count)
    finally:
        done.set()
        served.stop(signal.SIGTERM)
        served.close()
        store.close()
    repeated = sum(each.again for each in team)
    log.info("%d questions, %d answers, %d kills, %.0f s", count, _answers(team), kills, seconds)
    log.info("%d requests repeated or answered again", repeated)
    assert repeated >= kills


def check(store: Store, team: list[Reviewer], count: int) -> None:
    """Every acknowledged answer is there once, no other is, and each question has exactly its quorum."""
    assert [text for each in team for text in each.refused] == []
    answer, question = tables.Answer, tables.Question
    with store.read() as tx:
        rows = tx.execute(select(answer.reviewer, answer.question_id, answer.label)).all()
        quorums = {number: (quorum, status) for number, quorum, status in tx.execute(
            select(question.id, question.quorum, question.status)
        )}  # fmt: skip
        accepted = tx.scalar(select(func.count()).where(tables.Correction.status == Status.ACCEPTED))
        assert tx.scalar(select(func.count()).select_from(tables.Hold)) == 0
    given = {(each.name, number): label for each in team for number, label in each.acknowledged.items()}
    assert {(name, number): label for name, number, label in rows} == given
    assert len(rows) == len(given), "one person's answer is there twice"
    counts = Counter(number for _, number, label in rows if label is not None)
    assert {number: quorum for number, (quorum, _) in quorums.items()} == counts
    assert len(quorums) == count
    agreed = sum(status == "answered" for _, status in quorums.values())
    assert accepted == agreed
    assert agreed >= 0.99 * count


def _answers(team: list[Reviewer]) -> int:
    return sum(len(each.acknowledged) for each in team)


def _open(store: Store) -> int:
    with store.read() as tx:
        return tx.scalar(select(func.count()).where(tables.Question.status == "open")) or 0


def _until(holds: object, team: list[Reviewer]) -> None:
    """Wait; fail if nobody answers for a while, or somebody was refused."""
    answers, since = _answers(team), time.monotonic()
    while not holds():  # type: ignore[operator]
        if (now := _answers(team)) > answers:
            answers, since = now, time.monotonic()
        assert not any(each.refused for each in team), [each.refused for each in team]
        assert time.monotonic() - since < TIMEOUT_SECONDS, "the reviewers make no progress"
        time.sleep(0.005)


@pytest.mark.slow
def test_three_reviewers_and_two_kills(tmp_path: Path) -> None:
    """60 questions on SQLite."""
    campaign(Served(tmp_path, tmp_path / "log"), people=3, count=60, kills=2, seed=1, careful=2)


@pytest.mark.campaign
@pytest.mark.parametrize("count", [2_000, 10_000])
def test_eight_reviewers_and_twenty_kills(url: str, tmp_path: Path, count: int) -> None:
    """On each database."""
    campaign(Served(tmp_path, tmp_path / "log", url), people=8, count=count, kills=20, seed=2)
