"""Review over HTTP: hand out blind, answer, undo, give back, progress, and what is refused."""

import base64
import time

import httpx
import pytest

from loop import access
from loop.access import Role
from loop.clock import utc_now
from loop.data import digits
from loop.home.sections import Review
from tests.api.conftest import Serve, Server
from tests.asking.conftest import ask, ask_gold, drawing, send

NEXT, ANSWERS, UNDO, BACK, STATUS = (
    f"/v1/review/{name}" for name in ("next", "answers", "undo", "give-back", "status")
)


def asked(server: Server, count: int = 1, quorum: int = 1) -> None:
    """Questions 1, 2, … about new drawings."""
    receipts = send(server.home.store, *(drawing("a phone", seed) for seed in range(count)), at=utc_now())
    ask(server.home.store, [receipt.id for receipt in receipts], quorum)


def handed(client: httpx.Client, count: int = 10) -> list[int]:
    """The numbers of the questions that a client gets."""
    return [each["id"] for each in client.post(NEXT, json={"count": count}).json()["questions"]]


def reviewer(server: Server, name: str) -> httpx.Client:
    """A client with a new key of this name, which the server knows already."""
    secret, _ = access.create(server.home, name, Role.REVIEWER, actor="tests", now=utc_now())
    headers = {"Authorization": f"Bearer {secret}"}
    end = time.monotonic() + 10
    while httpx.get(server.url + STATUS, headers=headers).status_code == 401:
        assert time.monotonic() < end
        time.sleep(0.05)
    return httpx.Client(base_url=server.url, headers=headers)


def refused(answer: httpx.Response) -> tuple[int, str]:
    """Status and rule of a refusal."""
    return answer.status_code, answer.json()["type"].rpartition(":")[2]


def test_a_question_is_blind_and_the_guess_follows(small: Server) -> None:
    """Number and picture alone; the answer to the answer has the guess and the state."""
    asked(small)
    with small.client("reviewer") as client:
        got = client.post(NEXT, json={})
        assert got.json()["questions"] == [{"id": 1, "image": got.json()["questions"][0]["image"]}]
        png = base64.b64decode(got.json()["questions"][0]["image"])
        assert (digits.read(png).pixels == drawing("a phone", 0).image.pixels).all()
        said = client.post(ANSWERS, json={"question": 1, "label": 7, "seconds": 0.8}).json()
        assert said == {
            "question": 1,
            "answer": 1,
            "status": "answered",
            "repeated": False,
            "predicted": 1,
            "runner_up": 7,
        }
        assert client.post(ANSWERS, json={"question": 1, "label": 7}).json() == said | {"repeated": True}
        assert handed(client) == []


def test_reviewers_get_different_questions(server: Server) -> None:
    """What one holds no other gets; what is given back the other gets; the reviewer is the key's name."""
    asked(server, 4)
    with server.client("ops") as ops, reviewer(server, "ben") as ben:
        assert handed(ops, 2) == [1, 2]
        assert handed(ben, 2) == [3, 4]
        assert ops.post(BACK, json={"questions": [2]}).json() == {"questions": [2]}
        assert handed(ben, 9) == [2, 3, 4]
        assert ben.get(STATUS).json()["me"]["reviewer"] == "ben"


def test_undo_can_be_repeated(small: Server) -> None:
    """A page that resends takes back one answer only; without a number the last one goes; then nothing is left."""
    asked(small, 2)
    with small.client("reviewer") as client:
        for question in (1, 2):
            client.post(ANSWERS, json={"question": question, "label": 7})
        assert client.post(UNDO, json={"question": 2}).json() == {"question": 2, "repeated": False}
        assert client.post(UNDO, json={"question": 2}).json() == {"question": 2, "repeated": True}
        assert client.get(STATUS).json()["me"]["answered"] == 1
        assert client.post(UNDO, json={}).json() == {"question": 1, "repeated": False}
        assert refused(client.post(UNDO, json={})) == (409, "nothing-to-undo")
        assert handed(client) == [1, 2]
        client.post(ANSWERS, json={"question": 1, "flag": "unreadable"})
        client.post(ANSWERS, json={"question": 2, "skip": True})
        assert refused(client.post(UNDO, json={"question": 1})) == (409, "nothing-to-undo")


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ({"question": 1}, (422, "bad-field")),
        ({"question": 1, "label": 1, "flag": "unreadable"}, (422, "bad-field")),
        ({"question": 1, "label": 1, "skip": True}, (422, "bad-field")),
        ({"question": 1, "label": 10}, (422, "bad-field")),
        ({"question": 1, "flag": "ugly"}, (422, "bad-field")),
        ({"question": 1, "label": 1, "seconds": -1}, (422, "bad-field")),
        ({"question": 1, "label": 1, "reviewer": "ben"}, (422, "unknown-field")),
        ({"question": 99, "label": 1}, (404, "unknown-question")),
        ({"label": 1}, (422, "missing-field")),
    ],
)
def test_a_wrong_answer_is_refused(small: Server, said: dict[str, object], expected: tuple[int, str]) -> None:
    """And nothing is stored."""
    asked(small)
    with small.client("reviewer") as client:
        assert refused(client.post(ANSWERS, json=said)) == expected
        assert client.get(STATUS).json()["me"]["answered"] == 0
        assert handed(client) == [1]


def test_a_wrong_flag_is_refused_in_plain_words(small: Server) -> None:
    """The message lists the flags as a caller sends them."""
    asked(small)
    with small.client("reviewer") as client:
        answer = client.post(ANSWERS, json={"question": 1, "flag": "ugly"}).json()
    assert answer["detail"] == "flag: expected 'not-a-digit', 'unreadable' or 'two-digits', got 'ugly'; correct it"


@pytest.mark.slow
def test_late_and_contradicting_answers(serve: Serve) -> None:
    """A second, different answer asks to undo the first; after the hold, another reviewer has the place."""
    server = serve(review=Review(hold_seconds=1))
    asked(server, 2)
    with server.client("reviewer") as client, server.client("ops") as other:
        client.post(ANSWERS, json={"question": 1, "label": 7})
        assert refused(client.post(ANSWERS, json={"question": 1, "label": 1})) == (409, "already-answered")
        assert handed(client) == [2]
        assert handed(other) == []
        time.sleep(1.1)
        assert handed(other) == [2]
        assert refused(client.post(ANSWERS, json={"question": 2, "label": 1})) == (409, "question-closed")


def test_progress_and_the_team(small: Server) -> None:
    """Open questions, own answers, pace, gold; alpha and everybody for ops only."""
    asked(small, 3, quorum=2)
    ask_gold(small.home.store, 1)
    with small.client("reviewer") as ada, small.client("ops") as ben:
        for client, labels in ((ada, (7, 7, 3, 3)), (ben, (7, 7, 1, 8))):
            for question, label in enumerate(labels, 1):
                client.post(ANSWERS, json={"question": question, "label": label, "seconds": question / 2})
        mine, team = ada.get(STATUS).json(), ben.get(STATUS).json()
    assert (mine["open"], mine["answered_today"], mine["team"]) == (1, 4, None)
    me = mine["me"]
    assert (me["answered"], me["seconds"], me["gold"], me["gold_right"]) == (4, 1.25, 1, 1)
    assert (me["compared"], me["agreed"]) == (2, 2)
    assert team["me"]["gold_right"] == 0
    assert 0 < team["team"]["alpha"] < 1
    assert team["team"]["questions"] == 4
    by_name = {each["reviewer"]: each for each in team["team"]["reviewers"]}
    assert set(by_name) == {"the reviewer's", "the ops's"}
    assert by_name["the reviewer's"]["accuracy"] > by_name["the ops's"]["accuracy"]
