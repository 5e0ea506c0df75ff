"""The Swift phone at the real API: a whole life, cut connections, quotas, batches and their halves, weeks offline."""

import json
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from loop.clock import utc_now
from tests.clients.swift.api import Api, digest, running
from tests.clients.swift.cutting import Cutting
from tests.clients.swift.phone import UNSURE, Outbox, Program, base64_of, drawn
from tests.feed.simulator import CHANNEL

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """A server whose batches have at most three uploads."""
    with running(tmp_path_factory.mktemp("api"), max_batch_items=3) as found:
        yield found


@pytest.fixture
def outbox(program: Program, api: Api, tmp_path: Path) -> Outbox:
    """A new install."""
    program.do("time")
    return Outbox(program, tmp_path / "outbox", api.url, api.key)


def test_a_life(program: Program, api: Api, outbox: Outbox, helper: str, tmp_path: Path) -> None:
    """Sync, upload alone and as a batch, change one's mind, be asked, take back, look, copy, erase."""
    program.do(
        "phone",
        folder=str(tmp_path / "phone"),
        site=f"{api.url}/v1",
        root=base64_of(api.root),
        channel=CHANNEL,
        helper=helper,
    )
    synced = program.do("sync")
    assert (synced["installed"], synced["current"], synced["asking"]) == (True, 1, True)
    answer: dict[str, Any] = {"predicted": 8, "version": 1}
    outbox.add(1, label=7, **answer)
    assert outbox.upload()["accepted"] == ["key-1"]
    for seed in (2, 3):
        outbox.add(seed, label=seed, **answer)
    outbox.add(4, "confirmation", predicted=4, version=1, rate=synced["confirmRate"])
    outbox.add(2, label=5, key="relabelled", **answer)  # the user changes their mind
    assert outbox.upload()["accepted"] == ["key-2", "key-3", "key-4", "relabelled"]  # the server takes three at once
    found = [program.do("consider", pixels=base64_of(drawn(n).tobytes()), probabilities=UNSURE) for n in (6, 7)]
    assert [each["askNow"] for each in found] == [True, False]
    outbox.add(6, "asked", label=7, predicted=1, version=1, rate=found[0]["rate"])
    outbox.add(7, "drawing", version=1, rate=found[1]["rate"])
    done = outbox.upload()
    assert (done["accepted"], done["rejected"]) == (["key-6", "key-7"], {})
    assert program.do("undo", key="key-3")["undone"] == ["key-3"]
    expected = [
        "asked 7 accepted",
        "confirmation 4 accepted",
        "correction 2 superseded",
        "correction 3 withdrawn",
        "correction 5 accepted",
        "correction 7 accepted",
        "drawing none accepted",
    ]
    assert sorted(program.do("history")["became"]) == expected
    copy = tmp_path / "copy.jsonl"
    assert program.do("export", file=str(copy))["exported"] == 7
    lines = [json.loads(line) for line in copy.read_text(encoding="utf-8").splitlines()]
    assert sorted(each["digest"] for each in lines[1:-1]) == sorted(digest(n) for n in (1, 2, 2, 3, 4, 6, 7))
    secret = outbox.secret
    assert program.do("erase")["erased"] == 7
    assert api.stored(secret) == []
    outbox.add(1)
    assert outbox.upload()["accepted"] == ["key-1"]
    assert outbox.secret != secret
    assert [each["digest"] for each in api.stored(outbox.secret)] == [digest(1)]


def test_an_unknown_key_keeps_everything(program: Program, api: Api, tmp_path: Path) -> None:
    """A key that the server refuses is a reason to wait, which the phone names."""
    outbox = Outbox(program, tmp_path / "outbox", api.url, "loop_app_unknown")
    outbox.add(1)
    done = outbox.upload()
    assert (done["accepted"], done["waiting"]) == ([], 1)
    assert "key" in done["why"]


def test_what_is_refused_for_good_leaves(outbox: Outbox) -> None:
    """A rate that no feed announced is refused for good and named; the rest of the batch is stored."""
    outbox.add(1)
    outbox.add(2, "confirmation", predicted=2, version=1, rate=0.9)
    done = outbox.upload()
    assert (done["accepted"], done["waiting"]) == (["key-1"], 0)
    assert done["rejected"] == {"key-2": "urn:digit-loop:rate-not-announced"}


@pytest.mark.parametrize("how", ["before", "after", "middle"])
def test_cut_connections(program: Program, api: Api, tmp_path: Path, how: str) -> None:
    """Whichever request breaks, and wherever: in the end each upload is stored once."""
    for at in (1, 2, 3):
        with Cutting(api.url, lambda number, _, at=at: how if number == at else "") as proxy:  # type: ignore[misc]
            outbox = Outbox(program, tmp_path / str(at), proxy.url, api.key, batch=2)
            for seed in range(5):
                outbox.add(seed)
            for _ in range(3):
                outbox.upload()
            assert api.count(outbox.secret) == {digest(seed): 1 for seed in range(5)}
            assert outbox.upload()["waiting"] == 0


def test_a_cut_erasure_and_a_cut_withdrawal(program: Program, api: Api, tmp_path: Path) -> None:
    """What got no answer is done again: the withdrawal, and the erasure before anything else is sent."""
    broken = {"DELETE"}

    def how(_: int, __: str) -> str:
        return "after" if proxy.requests[-1].partition(" ")[0] in broken else ""

    with Cutting(api.url, how) as proxy:
        outbox = Outbox(program, tmp_path / "outbox", proxy.url, api.key)
        outbox.add(1)
        outbox.add(2)
        outbox.upload()
        secret = outbox.secret
        assert program.do("undo", key="key-1")["undone"] == []
        broken.clear()
        assert outbox.upload()["undone"] == ["key-1"]
        broken.add("DELETE")
        assert program.do("erase")["refused"] == "Unavailable"
        outbox.add(3)
        assert outbox.upload()["refused"] == "Unavailable"
        broken.clear()
        done = outbox.upload()
        assert done["accepted"] == ["key-3"]
        assert (api.stored(secret), api.count(outbox.secret)) == ([], {digest(3): 1})


def test_a_quota_is_waited_for(program: Program, tmp_path: Path) -> None:
    """After 429 nothing is sent before Retry-After, also by a phone that was started again; then all is accepted."""
    with running(tmp_path, source_per_minute=1) as api, Cutting(api.url, lambda *_: "") as proxy:
        program.do("time")
        outbox = Outbox(program, tmp_path / "outbox", proxy.url, api.key, batch=1)
        for seed in (1, 2):
            outbox.add(seed)
        done = outbox.upload()
        assert (done["accepted"], done["waiting"]) == (["key-1"], 1)
        assert 0 < done["notBefore"] - time.time() <= 62
        count = len(proxy.requests)
        again = Outbox(program, tmp_path / "outbox", proxy.url, api.key)
        assert again.upload()["waiting"] == 1
        program.do("time", now=time.time() - 86_400 * 400)  # a wait from another clock's future is none
        again.upload()
        assert len(proxy.requests) == count + 1
        program.do("time")


def test_weeks_offline(program: Program, api: Api, outbox: Outbox) -> None:
    """A correction every two hours of three weeks without a server: all arrive, in order, with their own times."""
    begun, now = utc_now() - timedelta(weeks=3), utc_now()
    moments = [begun + timedelta(hours=2 * n) for n in range(252)]
    offline = Outbox(program, outbox.folder, "http://127.0.0.1:9", api.key)
    for n, moment in enumerate(moments):
        program.do("time", now=moment.timestamp())
        offline.add(1000 + n, now=moment.timestamp())
    assert offline.upload()["why"] == "the server does not answer"
    program.do("time", now=now.timestamp())
    online = Outbox(program, outbox.folder, api.url, api.key)
    done = online.upload()
    assert (len(done["accepted"]), done["waiting"]) == (252, 0)
    stored = api.stored(online.secret)
    assert [each["digest"] for each in stored] == [digest(1000 + n) for n in range(252)]
    assert all(each["captured_at"][:19] == f"{at:%Y-%m-%dT%H:%M:%S}" for each, at in zip(stored, moments, strict=True))
    program.do("time")
