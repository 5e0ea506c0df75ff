"""A source cannot tell whether it teaches or judges: over a night, both sides get the same answers to everything."""

import json
import secrets
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from sqlalchemy import update

from loop.evaluation import digit_classifier
from loop.home import Home
from loop.night import retrain
from loop.store import tables
from loop.store.feedback import split
from loop.store.values import Role, Status
from tests.api.conftest import Phone, Server, serving
from tests.api.test_corrections import correction
from tests.helpers.people import season
from tests.night.test_retrain import home, write

__all__ = ["home"]  # the fixture

OWN = {"id", "key", "source", "supersedes", "superseded_by", "received_at", "first_seen_at", "exported_at", "Location"}
"""What differs between any two sources: numbers, names, and times."""


@pytest.fixture
def server(home: Home) -> Iterator[Server]:
    """A server on a home with a linear base and a crowd that has sent enough for a night."""
    write(home)
    with serving(home) as found:
        yield found


def phones(server: Server) -> dict[Role, Phone]:
    """A phone on each side; only who reads the salt can make such a pair."""
    found: dict[Role, Phone] = {}
    with server.home.store.write() as tx:
        salt = split.set_salt(tx)
    while len(found) < 2:
        phone = Phone(server.keys["app"], secrets.token_urlsafe(32))
        found[split.role_of(phone.source, salt, server.home.settings.holdout_share)] = phone
    return found


def plain(value: Any) -> Any:
    """A document without what differs between any two sources; which of these are null stays."""
    if isinstance(value, dict):
        return {key: value[key] is None if key in OWN else plain(value[key]) for key in value}
    return [plain(each) for each in value] if isinstance(value, list) else value


def everything(server: Server, phone: Phone, numbers: list[int]) -> list[Any]:
    """All that a source can read about itself."""
    with httpx.Client(base_url=server.url, headers=phone.headers, timeout=60) as client:
        paths = [f"/v1/corrections/{number}" for number in numbers]
        found = [client.get(path).json() for path in (*paths, "/v1/corrections", f"/v1/sources/{phone.source}")]
        lines = client.get(f"/v1/sources/{phone.source}/export").text.splitlines()
    return [plain(each) for each in (*found, *map(json.loads, lines))]


def send(server: Server, phone: Phone) -> tuple[list[Any], list[int]]:
    """Correct, confirm, say that it is no digit, change one's mind, take back: the answers, and the numbers."""
    bodies = [
        *(correction(seed, key=f"k{seed}") for seed in range(8)),
        correction(8, key="k8", label=3, predicted=3, kind="confirmation"),
        correction(9, key="k9", label=None, predicted=None, kind="unreadable"),
        correction(1, key="again", label=5),
    ]
    batch = {"corrections": [{name: value for name, value in body.items() if value is not None} for body in bodies]}
    answer = httpx.post(f"{server.url}/v1/corrections:batch", json=batch, headers=phone.headers, timeout=60)
    answers = answer.json()["answers"]
    assert [each["status"] for each in answers] == [201] * len(bodies), answers
    numbers = [each["accepted"]["id"] for each in answers]
    gone = httpx.delete(f"{server.url}/v1/corrections/{numbers[2]}", headers=phone.headers, timeout=60)
    assert gone.status_code == 200
    return [plain(answers), plain(gone.json())], numbers


@pytest.mark.slow
def test_both_sides_get_the_same_answers(server: Server) -> None:
    """Before a night, after it, after a quarantine on the teaching side, at a withdrawal and at the erasure."""
    pair = phones(server)
    sent = {role: send(server, phone) for role, phone in pair.items()}
    season(server.home.store)
    teacher, judge = sent[Role.TRAIN], sent[Role.HOLDOUT]
    assert teacher[0] == judge[0]

    def seen() -> list[Any]:
        each = {role: everything(server, phone, sent[role][1]) for role, phone in pair.items()}
        assert each[Role.TRAIN] == each[Role.HOLDOUT]
        return each[Role.TRAIN]

    before = seen()
    done = retrain.run(server.home)
    assert done.version is not None
    after = seen()
    assert before[0]["considered"] == []
    assert after[0]["considered"] == [done.version.number]
    assert [after[n]["considered"] for n in (1, 2, 9)] == [[], [], []]  # superseded before, withdrawn, no digit
    with server.home.store.write() as tx:
        screened = update(tables.Correction).where(tables.Correction.id.in_(teacher[1][3:5]))
        tx.execute(screened.values(status=Status.QUARANTINED))
        tx.execute(
            update(tables.Correction).where(tables.Correction.id == teacher[1][5]).values(status=Status.REJECTED)
        )
    assert seen() == after
    for n in (0, 3, 5):
        back = [
            httpx.delete(f"{server.url}/v1/corrections/{sent[role][1][n]}", headers=phone.headers, timeout=60)
            for role, phone in pair.items()
        ]
        assert plain(back[0].json()) == plain(back[1].json())
        assert back[0].json()["considered"] == [done.version.number]
    seen()
    erased = [
        httpx.delete(f"{server.url}/v1/sources/{phone.source}", headers=phone.headers, timeout=60).json()
        for phone in pair.values()
    ]
    assert erased[0] == erased[1] == {"uploads": 11, "considered": [done.version.number], "taught": None}


@pytest.mark.slow
def test_ops_see_what_an_app_does_not(server: Server) -> None:
    """Ops who erase a source still get the versions that were trained on it."""
    pair = phones(server)
    for phone in pair.values():
        send(server, phone)
    season(server.home.store)
    done = retrain.run(server.home)
    assert done.version is not None
    with server.client("ops") as ops:
        erased = {role: ops.delete(f"/v1/sources/{phone.source}").json() for role, phone in pair.items()}
    assert erased[Role.TRAIN]["taught"] == [done.version.number]
    assert erased[Role.HOLDOUT]["taught"] == []


def test_a_published_file_says_nothing_about_the_split(home: Home) -> None:
    """Everybody reads the file's description: it has no figure that the uploads of one source move."""
    write(home)
    done = retrain.run(home)
    assert done.judged is not None
    model = digit_classifier.load(done.judged.data)
    assert {name for name in model.metadata if name.startswith("loop.accuracy")} == {"loop.accuracy.digits"}
    assert b"taught corrections by people" in done.judged.data
