"""Uploads over a real socket: stored once, answered the same again, refused without leaving anything."""

import base64
import json
import re
import socket
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import httpx
import numpy as np
import pytest

from loop import access
from loop.api.service import MAX_BATCHES
from loop.clock import utc_now
from loop.data.digits import to_png
from loop.home.sections import Serving
from loop.store import tables
from tests.api.conftest import Phone, Serve, Server, picture


def stored(server: Server) -> int:
    """The number of stored uploads."""
    with server.home.store.read() as tx:
        return int(tx.query(tables.Correction).count())


def correction(seed: int = 0, **fields: Any) -> dict[str, Any]:
    """A correction as JSON."""
    return {"image": base64.b64encode(picture(seed)).decode(), "label": 4, "predicted": 9} | fields


def test_an_upload_is_on_disk_when_it_is_answered(server: Server) -> None:
    """201, with the digest of the stored pixels; another connection sees the row."""
    answer = server.send(server.phone(), version=3, confidence=0.5, captured_at="2026-05-03T08:00:00+02:00")
    assert answer.status_code == 201, answer.text
    assert set(answer.json()) == {"id", "digest", "duplicate", "supersedes", "received_at"}
    with server.home.store.read() as tx:
        row = tx.get(tables.Correction, answer.json()["id"])
        assert row is not None
        assert (row.digest, row.label, row.predicted, row.version) == (answer.json()["digest"], 4, 9, 3)


def test_json_and_multipart_are_the_same_upload(server: Server) -> None:
    """The same picture, label and key in either form: the second is a replay of the first."""
    phone = server.phone()
    first = server.send(phone, 1, key="k")
    again = httpx.post(
        f"{server.url}/v1/corrections", json=correction(1), headers=phone.headers | {"Idempotency-Key": '"k"'}
    )
    assert (first.status_code, again.status_code) == (201, 201)
    assert first.content == again.content
    assert "Idempotency-Replayed" not in first.headers
    assert again.headers["Idempotency-Replayed"] == "true"
    assert stored(server) == 1


def test_another_body_under_the_same_key_is_refused(server: Server) -> None:
    """422, and the stored upload is unchanged."""
    phone = server.phone()
    server.send(phone, 1, key="k")
    refused = server.send(phone, 2, key="k")
    assert refused.status_code == 422
    assert refused.json()["type"] == "urn:digit-loop:key-conflict"
    assert stored(server) == 1


def test_a_key_is_of_its_source(server: Server) -> None:
    """Two phones may use the same key."""
    assert [server.send(server.phone(), 1, key="k").status_code for _ in range(2)] == [201, 201]
    assert stored(server) == 2


def test_a_batch_answers_each_by_itself(server: Server) -> None:
    """Valid corrections are stored; each of the others has its refusal at its index."""
    phone = server.phone()
    body = {
        "corrections": [
            correction(1, key="a"),
            correction(2, key="b", label=17),
            correction(3),
            correction(1, key="a"),
            correction(4, key="c", image=base64.b64encode(b"no picture").decode()),
            correction(5, key="d", kind="confirmation", label=4, predicted=4, rate=0.05),
        ]
    }
    answer = httpx.post(f"{server.url}/v1/corrections:batch", json=body, headers=phone.headers)
    assert answer.status_code == 200, answer.text
    found = answer.json()["answers"]
    assert [each["status"] for each in found] == [201, 422, 422, 201, 422, 201]
    assert found[0]["accepted"] == found[3]["accepted"]
    assert "key" in found[2]["problem"]["detail"]
    assert found[4]["problem"]["type"] == "urn:digit-loop:bad-image"
    assert stored(server) == 2


def test_a_batch_that_is_sent_again_stores_nothing(server: Server) -> None:
    """A phone that lost the answer sends the batch again and gets the same answer."""
    phone = server.phone()
    body = {"corrections": [correction(seed, key=f"k{seed}") for seed in range(20)]}
    first, again = (
        httpx.post(f"{server.url}/v1/corrections:batch", json=body, headers=phone.headers) for _ in range(2)
    )
    assert first.content == again.content
    assert stored(server) == 20


@pytest.mark.slow
def test_a_batch_of_a_phone_that_was_offline_for_weeks(small: Server) -> None:
    """A batch of the largest size, above a minute's quota, is accepted at once; the source then waits for minutes."""
    phone, most = small.phone(), small.home.settings.serve.max_batch_items
    body = {"corrections": [correction(seed, key=f"k{seed}") for seed in range(most)]}
    answer = httpx.post(f"{small.url}/v1/corrections:batch", json=body, headers=phone.headers, timeout=60)
    assert answer.status_code == 200, answer.text
    assert stored(small) == most
    refused = small.send(phone)
    assert refused.status_code == 429
    assert int(refused.headers["Retry-After"]) == refused.json()["retry_after"] > 60


def large(seed: int) -> str:
    """A digit of 1200×1200 pixels in base64, another for each seed."""
    pixels = np.zeros((1200, 1200), np.uint8)
    pixels[200:1000, 560:640] = np.random.default_rng(seed).integers(128, 256, (800, 80), np.uint8)
    return base64.b64encode(to_png(pixels)).decode()


@pytest.mark.slow
def test_photos_that_are_too_many_for_a_batch_are_split_not_lost(small: Server) -> None:
    """60 photos are 86 megapixels: the batch is refused as a whole, with a type of its own; its halves are stored.

    No correction gets a final refusal for what depends on the others in its batch.
    """
    phone = small.phone()
    items = [correction(image=large(seed), key=f"k{seed}") for seed in range(60)]
    send = partial(httpx.post, f"{small.url}/v1/corrections:batch", headers=phone.headers, timeout=120)
    whole = send(json={"corrections": items})
    assert (whole.status_code, whole.json()["type"]) == (413, "urn:digit-loop:split-batch")
    assert "64,000,000 pixels together, got 86,400,000" in whole.json()["detail"]
    assert stored(small) == 0
    for half in (items[:30], items[30:]):
        answer = send(json={"corrections": half})
        assert {each["status"] for each in answer.json()["answers"]} == {201}
    assert stored(small) == 60


ENVELOPES = {
    "too many": (json.dumps({"corrections": [{}] * 501}).encode(), 413),
    "too long": (b" " * (17 << 20), 413),
    "not JSON": (b'{"corrections": [', 400),
    "empty": (b'{"corrections": []}', 400),
    "another form": (b"[]", 400),
}


@pytest.mark.parametrize("name", ENVELOPES)
def test_a_refusal_of_the_whole_batch_says_split(small: Server, name: str) -> None:
    """Every 400 and 413 for a batch has the type split-batch: it refuses no correction."""
    body, status = ENVELOPES[name]
    headers = small.phone().headers | {"Content-Type": "application/json"}
    answer = httpx.post(f"{small.url}/v1/corrections:batch", content=body, headers=headers, timeout=60)
    assert (answer.status_code, answer.json()["type"]) == (status, "urn:digit-loop:split-batch")
    assert stored(small) == 0


def test_an_oversize_image_is_refused_by_itself(small: Server) -> None:
    """It is refused in a batch as it is alone; it affects no other, and its pixels do not count for the batch."""
    items = [correction(image=base64.b64encode(HUGE).decode(), key=f"k{i}") for i in range(5)] + [
        correction(1, key="x")
    ]
    answer = httpx.post(
        f"{small.url}/v1/corrections:batch", json={"corrections": items}, headers=small.phone().headers, timeout=60
    )
    assert [each["status"] for each in answer.json()["answers"]] == [422] * 5 + [201]
    assert answer.json()["answers"][0]["problem"]["type"] == "urn:digit-loop:image-too-large"


HUGE = to_png(np.eye(4000, dtype=np.uint8))
REFUSED: dict[str, tuple[dict[str, str], dict[str, Any], int, str]] = {  # headers and fields that differ, status, type
    "no key": ({}, {}, 401, "no-key"),
    "no source": ({"Loop-Source": ""}, {}, 401, "no-source"),
    "no label": ({}, {"label": None}, 422, "missing-field"),
    "no image": ({}, {"image": None}, 422, "missing-field"),
    "no predicted in a confirmation": ({}, {"kind": "confirmation", "predicted": None}, 422, "missing-field"),
    "label": ({}, {"label": "ten"}, 422, "bad-label"),
    "label 10": ({}, {"label": 10}, 422, "bad-label"),
    "contradiction": ({}, {"label": 9}, 422, "bad-label"),
    "predicted": ({}, {"predicted": -1}, 422, "bad-field"),
    "confidence": ({}, {"confidence": 1.5}, 422, "bad-field"),
    "confidence in words": ({}, {"confidence": "sure"}, 422, "bad-field"),
    "rate": ({}, {"rate": 0}, 422, "bad-rate"),
    "kind": ({}, {"kind": "guess"}, 422, "bad-field"),
    "unknown field": ({}, {"source": "me"}, 422, "unknown-field"),
    "huge number": ({}, {"version": 10**30}, 422, "bad-field"),
    "naive time": ({}, {"captured_at": "2026-05-03T08:00:00"}, 422, "bad-field"),
    "no time": ({}, {"captured_at": "yesterday"}, 422, "bad-field"),
    "control character": ({}, {"key": "a\x00b"}, 422, "bad-idempotency-key"),
    "long key": ({}, {"key": "a" * 201}, 422, "bad-idempotency-key"),
    "two keys": ({"Idempotency-Key": "a"}, {"key": "b"}, 422, "bad-idempotency-key"),
    "no picture": ({}, {"image": base64.b64encode(b"no picture").decode()}, 422, "bad-image"),
    "too many pixels": (
        {},
        {"image": base64.b64encode(HUGE).decode()},
        422,
        "image-too-large",
    ),
    "no base64": ({}, {"image": "AAA"}, 422, "bad-base64"),
    "a list for an image": ({}, {"image": [1]}, 422, "bad-base64"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused_with_a_problem_document(small: Server, name: str) -> None:
    """RFC 9457: type, title, status, detail, with what was expected, what was got and what to do; nothing is stored."""
    headers, fields, status, rule = REFUSED[name]
    phone = small.phone()
    body = {name: value for name, value in (correction(1) | fields).items() if value is not None}
    sent = {} if name == "no key" else {k: v for k, v in (phone.headers | headers).items() if v}
    answer = httpx.post(f"{small.url}/v1/corrections", json=body, headers=sent)
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["type"] == f"urn:digit-loop:{rule}"
    assert set(answer.json()) == {"type", "title", "status", "detail"}
    assert ";" in answer.json()["detail"], "the part that says what to do"
    assert stored(small) == 0


@pytest.mark.parametrize("name", ["label", "confidence in words", "rate", "unknown field", "huge number", "no label"])
def test_a_form_is_refused_like_json(small: Server, name: str) -> None:
    """The fields of a form are text; the refusal is the one that the same value has in JSON."""
    _, fields, status, rule = REFUSED[name]
    said = {name: str(value) for name, value in ({"label": 4, "predicted": 9} | fields).items() if value is not None}
    files = {"image": ("d.png", picture(1), "image/png")}
    answer = httpx.post(f"{small.url}/v1/corrections", data=said, files=files, headers=small.phone().headers)
    assert (answer.status_code, answer.json()["type"]) == (status, f"urn:digit-loop:{rule}")


@pytest.mark.slow
def test_every_refused_upload_is_counted_by_its_reason(small: Server) -> None:
    """This includes refused keys: otherwise a revoked key in an app would look like silence."""
    phone = small.phone()
    small.send(phone)
    small.send(phone, label=17)
    small.send(Phone(small.keys["ops"]))
    small.send(Phone("loop_app_" + "x" * 43))
    with small.client("ops") as client:
        said = client.get("/metrics").text
    found = re.findall(r'loop_uploads_refused_total{reason="(\w+)"} (\S+)', said)
    assert dict(found) == {"BadLabel": "1.0", "NotAllowed": "1.0", "KeyRefused": "1.0"}


BODIES = {
    "many fields": (json.dumps(dict.fromkeys(map(str, range(15_000)))).encode(), "application/json", 422),
    "not JSON": (b"{", "application/json", 400),
    "deep JSON": (b"[" * 100_000, "application/json", 400),
    "a list": (b"[]", "application/json", 422),
    "lone surrogate": (b'{"image": "\\ud800", "label": 1}', "application/json", 400),
    "no boundary": (b"x", "multipart/form-data", 400),
    "no end": (b'--b\r\nContent-Disposition: form-data; name="label"\r\n\r\n4', "multipart/form-data; boundary=b", 400),
    "another kind": (b"x", "text/plain", 415),
    "too long": (b"x" * 300_000, "application/json", 413),
    "many parts": (
        b"".join(b'--b\r\nContent-Disposition: form-data; name="f%d"\r\n\r\nx\r\n' % i for i in range(50))
        + b"--b--\r\n",
        "multipart/form-data; boundary=b",
        413,
    ),
    "long part header": (
        b"--b\r\nContent-Disposition: " + b"a" * 5000 + b"\r\n\r\nx\r\n--b--\r\n",
        "multipart/form-data; boundary=b",
        400,
    ),
}


@pytest.mark.parametrize("name", BODIES)
def test_bodies_that_are_not_taken(small: Server, name: str) -> None:
    """Each has the status of its fault, and the server goes on."""
    body, kind, status = BODIES[name]
    answer = httpx.post(
        f"{small.url}/v1/corrections", content=body, headers=small.phone().headers | {"Content-Type": kind}
    )
    assert answer.status_code == status, answer.text
    assert small.send(small.phone()).status_code == 201


def test_a_body_without_a_length_is_counted_while_it_is_read(small: Server) -> None:
    """Chunked encoding announces no length: reading stops at the limit."""

    def endless() -> Any:
        for _ in range(10_000):
            yield b"x" * 1000

    headers = small.phone().headers | {"Content-Type": "application/json"}
    try:
        answer = httpx.post(f"{small.url}/v1/corrections", content=endless(), headers=headers)
    except httpx.WriteError:  # the server closed while we were still sending: as good an answer
        return
    assert answer.status_code == 413


def test_a_body_that_never_ends_is_given_up(serve: Serve) -> None:
    """408 after ``body_seconds``."""
    server = serve(serve=Serving(body_seconds=0.3))

    def slow() -> Any:

        yield b'{"image"'
        time.sleep(1)
        yield b"}"

    headers = server.phone().headers | {"Content-Type": "application/json"}
    assert httpx.post(f"{server.url}/v1/corrections", content=slow(), headers=headers).status_code == 408


def test_bodies_of_batches_are_bounded_together(small: Server) -> None:
    """At most eight are read at a time; the next is refused with Retry-After, and accepted when they are gone."""
    host, _, port = small.url.removeprefix("http://").partition(":")
    held = []
    for phone in (small.phone() for _ in range(MAX_BATCHES)):
        head = "".join(f"{name}: {value}\r\n" for name, value in phone.headers.items())
        connection = socket.create_connection((host, int(port)))
        connection.sendall(
            f"POST /v1/corrections:batch HTTP/1.1\r\nHost: x\r\n{head}Content-Type: application/json\r\n"
            "Content-Length: 1000\r\n\r\n{".encode()
        )
        held.append(connection)
    send = partial(httpx.post, f"{small.url}/v1/corrections:batch", headers=small.phone().headers, timeout=60)
    body = {"corrections": [correction(1, key="k")]}
    refused = _until(lambda: send(json=body), 503)
    assert refused.json()["type"] == "urn:digit-loop:busy"
    assert int(refused.headers["Retry-After"]) >= 1
    for connection in held:
        connection.close()
    assert _until(lambda: send(json=body), 200).json()["answers"][0]["status"] == 201


def _until(send: Callable[[], httpx.Response], status: int) -> httpx.Response:
    for _ in range(100):
        if (answer := send()).status_code == status:
            break
        time.sleep(0.05)
    assert answer.status_code == status
    return answer


@pytest.mark.slow
def test_quotas_are_answered_with_the_time_to_wait(serve: Serve) -> None:
    """429 and Retry-After; another phone is not affected; a refused upload is not stored."""
    server = serve(serve=Serving(source_per_minute=3))
    phone = server.phone()
    answers = [server.send(phone, seed) for seed in range(4)]
    assert [answer.status_code for answer in answers] == [201, 201, 201, 429]
    assert 1 <= int(answers[-1].headers["Retry-After"]) <= 21
    assert server.send(server.phone()).status_code == 201
    assert stored(server) == 4


@pytest.mark.slow
def test_the_days_quota_is_kept_in_the_store(serve: Serve) -> None:
    """It outlives the process; replays and duplicates cost nothing."""
    server = serve(serve=Serving(source_per_day=2))
    phone = server.phone()
    statuses = [server.send(phone, seed, key=f"k{seed}").status_code for seed in (1, 2, 1, 3)]
    assert statuses == [201, 201, 201, 429]


def test_a_key_bound_to_a_source_needs_no_secret(small: Server) -> None:
    """A backend that relays for one source has a key for it."""

    key, _ = access.create(small.home, "relay", access.Role.APP, source="kiosk 7", actor="tests", now=utc_now())
    answer = _until_known(small, key)
    assert answer.status_code == 201
    with small.home.store.read() as tx:
        assert [row.name for row in tx.query(tables.Source)] == ["kiosk 7"]


def _until_known(server: Server, key: str) -> httpx.Response:

    body = json.dumps(correction(1)).encode()
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    for _ in range(60):
        answer = httpx.post(f"{server.url}/v1/corrections", content=body, headers=headers)
        if answer.status_code != 401:
            break
        time.sleep(0.1)
    return answer
