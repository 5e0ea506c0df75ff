"""What a source sees of its own corrections, takes back, and takes away; nothing of another's."""

import base64
import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from loop.api import sources
from loop.clock import iso, utc_now
from loop.data import digits
from loop.store import tables
from tests.api.conftest import Phone, Server, picture
from tests.api.test_corrections import correction, stored


def get(server: Server, phone: Phone, path: str, **query: Any) -> Any:
    """What a phone gets from a path."""
    answer = httpx.get(f"{server.url}{path}", params=query, headers=phone.headers, timeout=30)
    assert answer.status_code == 200, answer.text
    return answer.json()


def take_back(server: Server, phone: Phone, number: int) -> httpx.Response:
    """Ask for one correction to be withdrawn."""
    return httpx.delete(f"{server.url}/v1/corrections/{number}", headers=phone.headers, timeout=30)


@pytest.mark.slow
def test_a_mind_that_changes(server: Server) -> None:
    """4, then 7: the second answer names the first, in a batch too, and a retry gets the same answer word by word."""
    phone = server.phone()
    first = server.send(phone, 1, key="a")
    second = server.send(phone, 1, key="b", label=7)
    assert first.headers["Location"] == f"/v1/corrections/{first.json()['id']}"
    assert (first.json()["supersedes"], second.json()["supersedes"]) == (None, first.json()["id"])
    body = {"corrections": [correction(1, key="c", label=2), correction(1, key="d", label=3)]}
    found = [
        httpx.post(f"{server.url}/v1/corrections:batch", json=body, headers=phone.headers).json()["answers"]
        for _ in range(2)
    ]
    assert found[0] == found[1]
    third, fourth = (each["accepted"] for each in found[0])
    assert (third["supersedes"], fourth["supersedes"]) == (second.json()["id"], third["id"])
    assert server.send(phone, 1, key="b", label=7).content == second.content
    shown = get(server, phone, "/v1/corrections")["corrections"]
    assert [(each["label"], each["status"]) for each in shown] == [
        (3, "accepted"),
        *((label, "superseded") for label in (2, 7, 4)),
    ]
    assert [each["superseded_by"] for each in shown] == [None, *(each["id"] for each in shown[:-1])]


def test_one_of_ones_own(server: Server) -> None:
    """Every field is shown as it was sent; following Location finds it."""
    phone = server.phone()
    sent = server.send(phone, 1, version=3, confidence=0.5, captured_at="2026-05-03T08:00:00+02:00")
    found = get(server, phone, sent.headers["Location"])
    kept = {name: value for name, value in sent.json().items() if name != "duplicate"}
    assert found == kept | {
        "status": "accepted",
        "kind": "correction",
        "label": 4,
        "predicted": 9,
        "confidence": 0.5,
        "version": 3,
        "runner_up": None,
        "runner_up_confidence": None,
        "rate": 1.0,
        "flag": "unknown-version",
        "captured_at": "2026-05-03T06:00:00.000Z",
        "normalised": False,
        "preparation": found["preparation"],
        "superseded_by": None,
        "considered": [],
    }


@pytest.mark.slow
def test_another_source_sees_nothing(server: Server) -> None:
    """Its number is answered like one that does not exist, its list and export are empty, its source is refused."""
    owner, other = server.phone(), server.phone()
    number = server.send(owner, 1).json()["id"]
    for method in ("GET", "DELETE"):
        hidden, absent = (
            httpx.request(method, f"{server.url}/v1/corrections/{each}", headers=other.headers)
            for each in (number, 999_999)
        )
        assert (hidden.status_code, hidden.json()["type"]) == (404, "urn:digit-loop:unknown-correction")
        assert hidden.text == absent.text.replace("999999", str(number))
    assert get(server, other, "/v1/corrections") == {"corrections": [], "next": None}
    for path in (f"/v1/sources/{owner.source}", f"/v1/sources/{owner.source}/export"):
        assert httpx.get(f"{server.url}{path}", headers=other.headers).status_code == 403
    assert get(server, owner, f"/v1/corrections/{number}")["status"] == "accepted"


def test_pages(server: Server) -> None:
    """Newest first, each once, however they are cut."""
    phone = server.phone()
    sent = [server.send(phone, seed).json()["id"] for seed in range(7)]
    server.send(server.phone(), 1)

    def pages(limit: int) -> Iterator[list[int]]:
        query: dict[str, int] = {"limit": limit}
        while True:
            page = get(server, phone, "/v1/corrections", **query)
            yield [each["id"] for each in page["corrections"]]
            if page["next"] is None:
                return
            query["before"] = page["next"]

    assert list(pages(7)) == [sent[::-1]]
    assert list(pages(3)) == [sent[:3:-1], sent[3:0:-1], sent[:1]]


@pytest.mark.slow
def test_taken_back(server: Server) -> None:
    """Withdrawn once or twice, it is shown as withdrawn, and a retry of the upload does not bring it back."""
    phone = server.phone()
    sent = server.send(phone, 1, key="k")
    for _ in range(2):
        answer = take_back(server, phone, sent.json()["id"])
        assert (answer.status_code, answer.json()["status"]) == (200, "withdrawn")
    assert server.send(phone, 1, key="k").content == sent.content
    assert get(server, phone, sent.headers["Location"])["status"] == "withdrawn"
    assert stored(server) == 1


@pytest.mark.parametrize("kind", ["not-a-digit", "unreadable"])
def test_what_shows_no_digit(server: Server, kind: str) -> None:
    """Sent without a label as JSON, as a form and in a batch; with one, it is refused by name."""
    phone = server.phone()
    body = {"image": base64.b64encode(picture(1)).decode(), "kind": kind}
    sent = httpx.post(f"{server.url}/v1/corrections", json=body, headers=phone.headers)
    assert sent.status_code == 201, sent.text
    form = httpx.post(
        f"{server.url}/v1/corrections", data={"kind": kind}, files={"image": picture(2)}, headers=phone.headers
    )
    assert form.status_code == 201, form.text
    batch = {"corrections": [body | {"key": "a"}, body | {"key": "b", "label": 4}]}
    found = httpx.post(f"{server.url}/v1/corrections:batch", json=batch, headers=phone.headers).json()["answers"]
    assert [each["status"] for each in found] == [201, 422]
    assert found[1]["problem"]["type"] == "urn:digit-loop:bad-label"
    counts = get(server, phone, f"/v1/sources/{phone.source}")
    assert (counts["by_kind"], counts["by_status"]) == ({kind: 2}, {"noted": 2})


@pytest.mark.slow
def test_the_counts_of_a_source(server: Server) -> None:
    """All that is stored, by kind and by status; ops see any source, and nothing stored is 404."""
    phone = server.phone()
    path = f"{server.url}/v1/sources/{phone.source}"
    assert httpx.get(path, headers=phone.headers).json()["type"] == "urn:digit-loop:unknown-source"
    for label in (4, 7):
        server.send(phone, 1, label=label)
    server.send(phone, 2, kind="confirmation", predicted=4)
    with server.client("ops") as ops:
        assert ops.get(path).json() == get(server, phone, f"/v1/sources/{phone.source}")
        found = ops.get(path).json()
    assert (found["source"], found["corrections"]) == (phone.source, 3)
    assert found["by_kind"] == {"confirmation": 1, "correction": 2}
    assert found["by_status"] == {"accepted": 2, "superseded": 1}


def test_a_copy_of_everything(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """One line about the source, one per correction with the stored pixels, and their number last."""
    monkeypatch.setattr(sources, "EXPORT_ROWS", 3)
    phone = server.phone()
    sent = [server.send(phone, seed, label=seed).json() for seed in range(8)]
    server.send(server.phone(), 1)
    answer = httpx.get(f"{server.url}/v1/sources/{phone.source}/export", headers=phone.headers)
    assert answer.headers["Content-Type"] == "application/octet-stream"
    first, *rows, last = map(json.loads, answer.text.splitlines())
    assert (first["source"], first["corrections"], last) == (phone.source, 8, {"end": 8})
    assert [(row["id"], row["label"]) for row in rows] == [(each["id"], n) for n, each in enumerate(sent)]
    for row, each in zip(rows, sent, strict=True):
        assert digits.read(base64.b64decode(row["image"])).digest == each["digest"]


@pytest.mark.slow
def test_erasure_that_stays(server: Server) -> None:
    """A late upload under the same secret is 410 with a type of its own; a new drawing is accepted."""
    phone, before = server.phone(), iso(utc_now())
    server.send(phone, 1)
    path = f"{server.url}/v1/sources/{phone.source}"
    assert httpx.delete(path, headers=phone.headers).json()["uploads"] == 1
    for late in (server.send(phone, 2), server.send(phone, 3, captured_at=before)):
        assert (late.status_code, late.json()["type"]) == (410, "urn:digit-loop:source-erased")
    batch = {"corrections": [correction(4, key="a", captured_at=before), correction(5, key="b", captured_at=later())]}
    found = httpx.post(f"{server.url}/v1/corrections:batch", json=batch, headers=phone.headers).json()["answers"]
    assert [each["status"] for each in found] == [410, 201]
    assert stored(server) == 1


def later() -> str:
    """Now, to the microsecond: after any erasure that was answered."""
    return utc_now().isoformat()


def test_an_erasure_of_what_never_came(server: Server) -> None:
    """A phone erases before its first upload arrives: that upload is refused, and no row of the source is made."""
    phone = server.phone()
    path = f"{server.url}/v1/sources/{phone.source}"
    assert httpx.delete(path, headers=phone.headers).json() == {"uploads": 0, "considered": [], "taught": None}
    assert server.send(phone, 1).status_code == 410
    with server.home.store.read() as tx:
        assert tx.query(tables.Source).count() == 0
