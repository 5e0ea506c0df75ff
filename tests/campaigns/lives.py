"""Phones that change their minds, take back and erase, over HTTP, while their server is killed; and nights beside them.

Each phone has two threads of its own. The app relabels, sends batches, withdraws and erases, one request after the
other, and repeats a request until it is answered, so it knows what must be stored. The background delivers old requests
again, with their keys or with new ones, and must never change what is taught.
"""

import base64
import secrets
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import httpx
import numpy as np

from loop import access
from loop.clock import utc_now
from loop.data import digits
from loop.night import snapshot
from loop.store import Store, tables
from loop.store.feedback import corrections
from loop.store.nights import runs, snapshots
from loop.store.values import Role, RunStatus, Status

PICTURES = 6
RETRY_SECONDS = 0.05


@dataclass(slots=True)
class Word:
    """One word that an app said: the request, and its id once it was acknowledged."""

    picture: int
    body: dict[str, Any]
    id: int = 0
    withdrawn: bool = False


@dataclass(slots=True)
class Phone:
    """One source. ``words`` are acknowledged and not erased, oldest first; ``old`` may be delivered again."""

    url: str
    key: str
    seed: int
    secret: str = field(default_factory=lambda: secrets.token_urlsafe(32))
    words: list[Word] = field(default_factory=list)
    old: list[dict[str, Any]] = field(default_factory=list)
    answers: Counter[str] = field(default_factory=Counter)
    done: bool = False
    error: BaseException | None = None

    @property
    def source(self) -> str:
        """The name that its secret certifies."""
        return access.source_name(self.secret)

    def ask(self, client: httpx.Client, method: str, path: str, **options: Any) -> httpx.Response:
        """Repeat a request until it is answered with something other than 5xx."""
        headers = {"Authorization": f"Bearer {self.key}", "Loop-Source": self.secret}
        while True:
            try:
                answer = client.request(method, f"{self.url}{path}", headers=headers, **options)
                if answer.status_code < 500:
                    self.answers[f"{method} {answer.status_code}"] += 1
                    return answer
            except httpx.TransportError:
                self.answers["no answer"] += 1
            time.sleep(RETRY_SECONDS)

    def current(self) -> dict[int, Word]:
        """The current word about each picture; none where the last one was withdrawn."""
        last: dict[int, Word] = {word.picture: word for word in self.words}
        return {picture: word for picture, word in last.items() if not word.withdrawn}


def app(phone: Phone, turns: int, over: threading.Event) -> None:
    """Say, take back and erase at random, at least so many times; ``phone.words`` is what must be stored in the end."""
    chance, turn = np.random.default_rng(phone.seed), 0
    with httpx.Client(timeout=30) as client:
        while turn < turns or not over.is_set():
            turn, act = turn + 1, chance.random()
            if act < 0.5:
                _say(phone, client, [_word(phone, chance)])
            elif act < 0.7:
                _say_together(phone, client, [_word(phone, chance) for _ in range(int(chance.integers(2, 8)))])
            elif act < 0.97:
                _withdraw(phone, client, chance)
            else:
                _erase(phone, client)


def background(phone: Phone) -> None:
    """Deliver old requests again, until the app is done."""
    chance = np.random.default_rng(phone.seed + 1_000)
    with httpx.Client(timeout=30) as client:
        while not phone.done:
            old = list(phone.old)
            if not old:
                time.sleep(RETRY_SECONDS)
                continue
            body = old[int(chance.integers(len(old)))]
            if chance.random() < 0.5:
                body = body | {"key": secrets.token_hex(8)}
            answer = phone.ask(client, "POST", "/v1/corrections", json=body)
            assert answer.status_code in {201, 410}, answer.text


def _word(phone: Phone, chance: np.random.Generator) -> Word:
    picture, label = int(chance.integers(PICTURES)), int(chance.integers(11))
    says = {"label": label} if label < 10 else {"kind": "not-a-digit"}
    body = {"image": _image(phone.seed, picture), "key": secrets.token_hex(8), "captured_at": utc_now().isoformat()}
    return Word(picture, body | says)


def _image(seed: int, picture: int) -> str:
    pixels = np.random.default_rng((seed, picture)).integers(0, 256, (28, 28)).astype(np.uint8)
    return base64.b64encode(digits.to_png(pixels)).decode("ascii")


def _say(phone: Phone, client: httpx.Client, words: list[Word]) -> None:
    for word in words:
        answer = phone.ask(client, "POST", "/v1/corrections", json=word.body)
        assert answer.status_code == 201, answer.text
        _acknowledge(phone, word, answer.json())


def _say_together(phone: Phone, client: httpx.Client, words: list[Word]) -> None:
    body = {"corrections": [word.body for word in words]}
    found = phone.ask(client, "POST", "/v1/corrections:batch", json=body).json()["answers"]
    for word, answer in zip(words, found, strict=True):
        assert answer["status"] == 201, answer
        _acknowledge(phone, word, answer["accepted"])


def _acknowledge(phone: Phone, word: Word, accepted: dict[str, Any]) -> None:
    """A repeated word is no new one. What is no longer the latest word about its picture may be delivered again."""
    before = [each for each in phone.words if each.picture == word.picture]
    if accepted["duplicate"]:
        assert accepted["id"] == before[-1].id
        return
    word.id = accepted["id"]
    superseded = before[-1].id if before and not before[-1].withdrawn else None
    assert accepted.get("supersedes") == superseded, (accepted, superseded)
    phone.words.append(word)
    phone.old += [each.body for each in before[-1:]]


def _withdraw(phone: Phone, client: httpx.Client, chance: np.random.Generator) -> None:
    if not phone.words:
        return
    word = phone.words[int(chance.integers(len(phone.words)))]
    answer = phone.ask(client, "DELETE", f"/v1/corrections/{word.id}")
    assert answer.json()["status"] == "withdrawn", answer.text
    word.withdrawn = True


def _erase(phone: Phone, client: httpx.Client) -> None:
    phone.old += [word.body for word in phone.words]
    answer = phone.ask(client, "DELETE", f"/v1/sources/{phone.source}")
    assert answer.status_code == 200, answer.text
    phone.words.clear()


@dataclass(slots=True)
class Nights:
    """What nights taught: how many were published and refused, and what was published although it was taken back."""

    published: int = 0
    refused: int = 0
    taken_back: list[int] = field(default_factory=list)
    done: bool = False


def teach(store: Store, nights: Nights, seed: int) -> None:
    """Freeze snapshots and publish them as a night does, with nothing in between but time."""
    chance = np.random.default_rng(seed)
    while not nights.done:
        with store.exclusive() as tx:
            run = runs.claim(tx, "cnn", "night", runs.me(), 60, utc_now())
        with store.read() as tx:
            pool = corrections.pool(tx, Role.TRAIN)
        frozen = snapshot.freeze(store, run.id, "c" * 64, pool, utc_now())
        time.sleep(float(chance.random()) * 0.2)
        publish(store, nights, run.id, frozen)


def publish(store: Store, nights: Nights, run: int, frozen: snapshot.Snapshot) -> None:
    """End a night as ``night.publishing`` does: refuse a snapshot that lost something; count what it teaches anyway."""
    with store.exclusive() as tx:
        whole = snapshots.erased(tx, frozen.id) == 0
        gone = [int(i) for i in frozen.pool.ids if _is_taken_back(tx.get(tables.Correction, int(i)))]
        runs.finish(tx, run, RunStatus.FINISHED if whole else RunStatus.FAILED, None, {}, utc_now())
    nights.published += whole
    nights.refused += not whole
    nights.taken_back += gone if whole else []


def _is_taken_back(row: tables.Correction | None) -> bool:
    return row is None or row.status == Status.WITHDRAWN


def live(phones: list[Phone], turns: int, over: threading.Event) -> None:
    """Run every phone's app and background to their end, not before ``over``. Raises the first error of one of them."""

    def run(phone: Phone, work: Any, *more: Any) -> None:
        try:
            work(phone, *more)
        except BaseException as error:  # noqa: BLE001 (raised below)
            phone.error = error

    apps = [threading.Thread(target=run, args=(phone, app, turns, over)) for phone in phones]
    behind = [threading.Thread(target=run, args=(phone, background)) for phone in phones]
    for thread in apps + behind:
        thread.start()
    for thread in apps:
        thread.join()
    for phone in phones:
        phone.done = True
    for thread in behind:
        thread.join()
    for phone in phones:
        if phone.error is not None:
            raise phone.error
