"""Drawings over a socket: stored as corrections are, with the rate of the asking policy, and shown without secrets."""

import base64
import json
from collections.abc import Sequence
from dataclasses import asdict
from datetime import timedelta
from typing import Any

import httpx
import numpy as np
import pytest

from loop.asking import review
from loop.clock import utc_now
from loop.data.digits import to_png
from loop.feed.asking import AskingPolicy
from loop.store import tables
from loop.store.asking import policies
from loop.store.asking.policies import SetPolicy
from loop.store.asking.values import Flag, Word
from loop.store.feedback import live_scores
from loop.store.values import Flag as Claim
from loop.store.values import Kind, Status
from tests.api.conftest import Phone, Server, picture
from tests.api.test_corrections import correction, stored
from tests.asking.conftest import ask
from tests.store.conftest import add_version

POLICY = AskingPolicy(margin_ppm=300_000, unsure_ppm=500_000, other_ppm=10_000, ask_user=True, asked_a_day=3)
TEN = [0.0, 0.52, 0.02, 0.02, 0.01, 0.01, 0.005, 0.41, 0.005, 0.0]


def drawing(seed: int = 0, **fields: Any) -> dict[str, Any]:
    """An unsure drawing as JSON: a 1 or a 7."""
    said = {"predicted": 1, "confidence": 0.52, "runner_up": 7, "runner_up_confidence": 0.41}
    return {"image": base64.b64encode(picture(seed)).decode()} | said | fields


def ten(seed: int = 0, probabilities: Sequence[float] = TEN, **fields: Any) -> dict[str, Any]:
    """The same with all ten probabilities."""
    image = base64.b64encode(picture(seed)).decode()
    return {"image": image, "probabilities": list(probabilities)} | fields


def announce(server: Server, policy: AskingPolicy = POLICY, days_ago: float = 0) -> None:
    """Set an asking policy."""
    with server.home.store.exclusive() as tx:
        policies.add(tx, SetPolicy(asdict(policy), ("a test",), "ops", utc_now() - timedelta(days=days_ago)))


def post(server: Server, phone: Phone, body: object, path: str = "/v1/drawings") -> httpx.Response:
    """Send JSON, also such as no standard allows."""
    headers = phone.headers | {"Content-Type": "application/json"}
    return httpx.post(server.url + path, content=json.dumps(body), headers=headers, timeout=30)


def row(server: Server, number: int) -> tables.Correction:
    """The stored upload."""
    with server.home.store.read() as tx:
        found = tx.get_one(tables.Correction, number)
        tx.expunge(found)
    return found


def test_a_drawing_is_stored_and_waits(server: Server) -> None:
    """201, at the address of its correction; its rate is the announced one, and it has no label."""
    announce(server)
    phone = server.phone()
    answer = post(server, phone, drawing(rate=0.4))
    assert answer.status_code == 201, answer.text
    assert answer.headers["Location"] == f"/v1/corrections/{answer.json()['id']}"
    found = row(server, answer.json()["id"])
    assert (found.kind, found.status, found.label, found.rate) == (Kind.DRAWING, Status.PENDING, None, 0.5)
    assert (found.predicted, found.confidence, found.runner_up, found.runner_up_confidence) == (1, 0.52, 7, 0.41)


def test_ten_probabilities_are_reduced_to_the_two_best(small: Server) -> None:
    """The same drawing in either form: the second request is a replay of the first."""
    announce(small)
    phone = small.phone()
    first, again = (post(small, phone, each) for each in (drawing(key="k"), ten(key="k")))
    assert (first.status_code, again.status_code) == (201, 201), again.text
    assert again.headers["Idempotency-Replayed"] == "true"
    assert first.content == again.content
    assert stored(small) == 1


def test_a_form(small: Server) -> None:
    """The four fields, as text."""
    announce(small)
    said = {name: str(value) for name, value in drawing(rate=0.5).items() if name != "image"}
    answer = httpx.post(
        f"{small.url}/v1/drawings", data=said, files={"image": picture(0)}, headers=small.phone().headers
    )
    assert answer.status_code == 201, answer.text


INVERTED = 255 - np.pad(np.full((16, 16), 200, np.uint8), 6)
BAD = {
    "blank": (drawing(image=base64.b64encode(to_png(np.zeros((28, 28), np.uint8))).decode()), "bad-image", "blank"),
    "no picture": (drawing(image=base64.b64encode(b"digit").decode()), "bad-image", ""),
    "one pixel": (drawing(image=base64.b64encode(to_png(np.ones((1, 1), np.uint8))).decode()), "bad-image", ""),
    "no base64": (drawing(image="*"), "bad-base64", ""),
    "a label": (drawing(label=4), "unknown-field", "label"),
    "no digit": ({name: each for name, each in drawing().items() if name != "predicted"}, "missing-field", "predicted"),
    "no second": ({"image": drawing()["image"], "predicted": 1, "confidence": 0.5}, "missing-field", "runner_up"),
    "one digit twice": (drawing(runner_up=1), "bad-field", "runner_up: expected another digit"),
    "second above best": (drawing(runner_up_confidence=0.6), "bad-field", "runner_up_confidence"),
    "sum above 1": (drawing(confidence=0.6, runner_up_confidence=0.6), "bad-field", "at most 1 in sum"),
    "sum of ten below 1": (
        drawing(confidence=0.01, runner_up_confidence=0.005),
        "bad-field",
        "confidence + 9 × runner_up_confidence of at least 0.999, got 0.01 + 9 × 0.005 = 0.0550; send both",
    ),
    "sum of ten 0.9985": (drawing(confidence=0.5485, runner_up_confidence=0.05), "bad-field", "= 0.9985"),
    "ten and two": (drawing(probabilities=TEN), "bad-field", "got both"),
    "nine": (ten(probabilities=TEN[:9]), "bad-field", "probabilities: expected ten"),
    "sum 0.9": (ten(probabilities=[0.09] * 10), "bad-field", "expected a sum of 1 within 0.001, got 0.9000"),
    "sum 2": (ten(probabilities=[0.2] * 10), "bad-field", "got 2.0000"),
    "negative": (ten(probabilities=[-0.1, 0.2, *[0.1125] * 8]), "bad-field", "probabilities"),
    "text": (ten(probabilities=["x"] * 10), "bad-field", "probabilities"),
    "not a number": (ten(probabilities=[float("nan")] * 10), "not-readable", "JSON"),
    "infinite": (ten(probabilities=[float("inf")] * 10), "not-readable", "JSON"),
    "confidence not a number": (drawing(confidence=float("nan")), "not-readable", "JSON"),
    "confidence 2": (drawing(confidence=2), "bad-field", "confidence"),
    "rate 1e-300": (drawing(rate=1e-300), "bad-rate", "rate: expected a number from 0.000001 to 1, got 1e-300"),
    "rate 0": (drawing(rate=0), "bad-rate", "0.000001"),
    "rate of sure ones": (drawing(rate=0.01), "rate-not-announced", "expected 0.5, announced by the asking policy"),
    "version 0": (drawing(version=0), "bad-field", "version"),
    "time without zone": (drawing(captured_at="2026-05-03T08:00:00"), "bad-field", "captured_at"),
    "a list": ([drawing()], "bad-field", ""),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input(small: Server, name: str) -> None:
    """Each is a clear refusal, alone and in a batch, and nothing is stored."""
    announce(small)
    body, rule, says = BAD[name]
    refused = post(small, small.phone(), body)
    assert refused.json()["type"] == f"urn:digit-loop:{rule}", refused.text
    assert says in refused.json()["detail"]
    assert refused.status_code in {400, 422}
    assert stored(small) == 0


def test_two_best_at_the_lower_limit(small: Server) -> None:
    """Ten probabilities that hardly differ, and sum to 1 within rounding."""
    announce(small)
    for seed, (best, second) in enumerate([(0.1, 0.1), (0.09991, 0.09991), (0.19, 0.09), (0.5495, 0.05)]):
        answer = post(small, small.phone(), drawing(seed, confidence=best, runner_up_confidence=second))
        assert answer.status_code == 201, answer.text


def test_an_inverted_drawing_is_read_as_ink(small: Server) -> None:
    """Black on white is stored as white on black, as of any upload; ink all over is refused by its reader."""
    announce(small)
    inverted = drawing(image=base64.b64encode(to_png(INVERTED)).decode())
    answer = post(small, small.phone(), inverted)
    assert answer.status_code == 201, answer.text
    pixels = np.frombuffer(row(small, answer.json()["id"]).pixels, np.uint8)
    assert (pixels == 0).mean() > 0.5


def test_a_sure_drawing_has_the_chance_of_its_kind(small: Server) -> None:
    """By the policy's margin and the stated probabilities; near the margin both chances count."""
    announce(small)
    phone = small.phone()
    sure = {"confidence": 0.98, "runner_up_confidence": 0.01}
    answers = [
        post(small, phone, drawing(1, rate=0.01, **sure)),
        post(small, phone, drawing(2, **sure)),
        post(small, phone, drawing(3, rate=0.5, **sure)),
        post(small, phone, drawing(4, rate=0.5, confidence=0.6, runner_up_confidence=0.2998)),
        post(small, phone, drawing(5, rate=0.01, confidence=0.6, runner_up_confidence=0.3002)),
    ]
    assert [each.status_code for each in answers] == [201, 201, 422, 201, 201]
    assert "with a margin of 0.970" in answers[2].json()["detail"]
    accepted = [row(small, each.json()["id"]).rate for each in answers if each.status_code == 201]
    assert accepted == [0.01, 0.01, 0.5, 0.01]


def test_without_a_policy_no_drawing_is_taken(small: Server) -> None:
    """Nobody knows what the app kept back. A policy that is set a moment later counts at once."""
    phone = small.phone()
    for rate in (None, 1.0):
        refused = post(small, phone, drawing(rate=rate))
        assert refused.json()["type"] == "urn:digit-loop:rate-not-announced"
        assert "no asking policy was ever set" in refused.json()["detail"]
    announce(small, AskingPolicy(0, 0, 0))
    assert "gives it the chance 0" in post(small, phone, drawing()).json()["detail"]
    announce(small)
    assert post(small, phone, drawing(rate=0.5)).status_code == 201


def test_a_late_phone(small: Server) -> None:
    """A policy counts for 30 days after it was replaced."""
    announce(small, AskingPolicy(300_000, 20_000, 10_000), days_ago=60)
    announce(small, AskingPolicy(300_000, 100_000, 10_000), days_ago=31)
    announce(small, days_ago=29)
    phone = small.phone()
    rates = (0.5, 0.1, 0.02)
    answers = [post(small, phone, drawing(seed, rate=rate)) for seed, rate in enumerate(rates)]
    assert [each.status_code for each in answers] == [201, 201, 422]
    assert "expected 0.5 or 0.1" in answers[2].json()["detail"]
    drawn = (utc_now() - timedelta(days=30)).isoformat()
    left_out = post(small, phone, drawing(9, captured_at=drawn))
    assert row(small, left_out.json()["id"]).rate == 0.1


def test_claims_that_cannot_be_are_flagged(small: Server) -> None:
    """As of corrections: kept, with its flag."""
    announce(small)
    phone = small.phone()
    sent = [drawing(1, version=987_654), drawing(2, captured_at="1970-01-01T00:00:00Z"), drawing(3)]
    answers = [post(small, phone, each) for each in sent]
    assert [each.status_code for each in answers] == [201] * 3
    flags = [row(small, each.json()["id"]).flag for each in answers]
    assert flags == [Claim.UNKNOWN_VERSION, Claim.CAPTURED_AT, None]


def test_a_batch(small: Server) -> None:
    """Each drawing has its own answer; a batch that is no batch is split, never a refusal of a drawing."""
    announce(small)
    phone = small.phone()
    items = [drawing(1, key="a"), drawing(2), ten(3, key="c"), drawing(4, key="d", rate=1e-3)]
    answer = post(small, phone, {"drawings": items}, "/v1/drawings:batch")
    assert [each["status"] for each in answer.json()["answers"]] == [201, 422, 201, 422], answer.text
    assert "one for each drawing of a batch" in answer.json()["answers"][1]["problem"]["detail"]
    for body in ({"corrections": items}, {"drawings": []}, {"drawings": [drawing(5, key="k")] * 501}):
        refused = post(small, phone, body, "/v1/drawings:batch")
        assert refused.json()["type"] == "urn:digit-loop:split-batch"
    assert stored(small) == 2


def test_twice(small: Server) -> None:
    """The same again is a duplicate; the same key with another drawing is refused; a word is never replaced."""
    announce(small)
    phone = small.phone()
    first = post(small, phone, drawing(1))
    assert post(small, phone, drawing(1)).json() == first.json() | {"duplicate": True}
    assert post(small, phone, drawing(1, key="k")).json()["id"] == first.json()["id"]
    assert post(small, phone, drawing(2, key="k")).json()["type"] == "urn:digit-loop:key-conflict"
    word = post(small, phone, correction(1), "/v1/corrections")
    assert word.json()["supersedes"] == first.json()["id"]
    late = post(small, phone, drawing(1, key="late"))
    assert (late.json()["id"], late.json()["duplicate"]) == (word.json()["id"], True)
    assert stored(small) == 2


def test_after_an_erasure(small: Server) -> None:
    """A drawing from before is refused with 410."""
    announce(small)
    phone = small.phone()
    before = (utc_now() - timedelta(minutes=1)).isoformat()
    post(small, phone, drawing(captured_at=before))
    httpx.delete(f"{small.url}/v1/sources/{phone.source}", headers=phone.headers)
    assert stored(small) == 0
    for late in (drawing(captured_at=before), drawing(1)):
        assert post(small, phone, late).json()["type"] == "urn:digit-loop:source-erased"
    later = drawing(captured_at=utc_now().isoformat())
    assert post(small, phone, later).status_code == 201


def test_a_correction_is_no_drawing(small: Server) -> None:
    """``/v1/corrections`` names the place for drawings."""
    announce(small)
    refused = post(small, small.phone(), correction(kind="drawing"), "/v1/corrections")
    assert refused.json()["type"] == "urn:digit-loop:bad-field"
    assert "a drawing goes to /v1/drawings" in refused.json()["detail"]


def test_a_source_learns_nothing_of_questions(server: Server) -> None:
    """Waiting, asked, labelled or called no digit: list, export and counts of a drawing stay the same to the byte."""
    announce(server)
    phone = server.phone()
    numbers = [post(server, phone, drawing(seed, rate=0.5)).json()["id"] for seed in range(3)]

    def seen() -> list[str]:
        paths = ["corrections", f"sources/{phone.source}", *(f"corrections/{number}" for number in numbers)]
        found = [httpx.get(f"{server.url}/v1/{path}", headers=phone.headers).text for path in paths]
        exported = httpx.get(f"{server.url}/v1/sources/{phone.source}/export", headers=phone.headers).text
        return [*found, *exported.splitlines()[1:]]

    before = seen()
    shown = json.loads(before[2])
    assert (shown["status"], shown["kind"], shown["label"], shown["rate"]) == ("accepted", "drawing", None, 0.5)
    assert (shown["runner_up"], shown["runner_up_confidence"]) == (7, 0.41)
    ask(server.home.store, numbers[:2])
    assert seen() == before
    for question, word in zip(
        review.hand_out(server.home.store, "anna", 5, utc_now(), 60), (Word(7), Word(flag=Flag.UNREADABLE)), strict=True
    ):
        review.answer(server.home.store, "anna", question.id, word, utc_now())
    assert [row(server, number).status for number in numbers] == [Status.ACCEPTED, Status.NOTED, Status.PENDING]
    assert seen() == before
    taken = httpx.delete(f"{server.url}/v1/corrections/{numbers[0]}", headers=phone.headers)
    assert (taken.json()["status"], taken.json()["label"]) == ("withdrawn", None)


def test_an_answer_of_the_user(small: Server) -> None:
    """Kind ``asked``: labelled, with the chance of unsure drawings; agreeing with the model is no confirmation."""
    announce(small)
    phone = small.phone()
    answers = [
        post(small, phone, correction(1, kind="asked", label=9, rate=0.5, version=1), "/v1/corrections"),
        post(small, phone, correction(2, kind="asked"), "/v1/corrections"),
        post(small, phone, correction(3, kind="asked", rate=0.01), "/v1/corrections"),
        post(small, phone, {"image": drawing()["image"], "kind": "asked"}, "/v1/corrections"),
    ]
    assert [each.status_code for each in answers] == [201, 201, 422, 422]
    assert answers[2].json()["type"] == "urn:digit-loop:rate-not-announced"
    assert answers[3].json()["type"] == "urn:digit-loop:missing-field"
    found = [row(small, each.json()["id"]) for each in answers[:2]]
    assert [(each.kind, each.status, each.rate) for each in found] == [(Kind.ASKED, Status.ACCEPTED, 0.5)] * 2


def test_what_was_asked_for_is_no_live_accuracy(small: Server) -> None:
    """Phones ask where a model is unsure: those labels would make it look worse than it is."""
    announce(small)
    version = add_version(small.home.store).number
    phone = small.phone()
    post(small, phone, correction(1, kind="asked", rate=0.5, version=version), "/v1/corrections")
    asked = post(small, phone, drawing(2, version=version)).json()["id"]
    ask(small.home.store, [asked])
    [question] = review.hand_out(small.home.store, "anna", 5, utc_now(), 60)
    review.answer(small.home.store, "anna", question.id, Word(7), utc_now())
    with small.home.store.read() as tx:
        assert live_scores.sums(tx, 1e-6) == []
    post(small, phone, correction(3, version=version), "/v1/corrections")
    with small.home.store.read() as tx:
        assert [each.n for each in live_scores.sums(tx, 1e-6)] == [1]
