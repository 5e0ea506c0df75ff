"""The Swift phone at a web server: new versions, rotation, recovery, clocks, weeks offline, faults, asking."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import numpy as np
import pytest

from loop.feed.asking import Asking, AskingPolicy, asking_bytes
from loop.feed.client import asking
from loop.feed.layout import ASKING_FILE, FEED_FILE, model_path
from tests.clients.swift.phone import UNSURE, base64_of, drawn
from tests.clients.swift.site import Device
from tests.feed.simulator import NOW, Publisher, key, model, release
from tests.helpers import stripes

pytestmark = pytest.mark.slow

POLICY = AskingPolicy(300_000, 1_000_000, 0, True, 1)
PIXELS = base64_of(drawn(1).tobytes())


def digest(version: int) -> str:
    """A model's digest."""
    return release(version, *model(version)).digest


def two() -> str:
    """The path of version 2."""
    return model_path(digest(2))


def ask(device: Device, sequence: int, policy: AskingPolicy = POLICY, hours: float = 24, **members: Any) -> None:
    """Publish an asking policy; ``members`` are in place of those of ``Asking``."""
    p = device.publisher
    made = Asking(p.trusted.root.epoch, sequence, p.now, p.now + timedelta(hours=hours), policy)
    p.shelf.files[ASKING_FILE] = p.sign(asking_bytes(replace(made, **members)))


def test_the_circle(device: Device) -> None:
    """Install, self-test, answer, roll back: the model runs in models.coreml, and answers as it does there."""
    device.publisher.publish(2)
    done = device.sync()
    assert (done["installed"], done["current"], done["previous"], done["confirmRate"]) == (True, 2, 1, 0.05)
    image = stripes.images()[3]
    read = device.program.do("read", pixels=base64_of(image.tobytes()))
    assert read["version"] == 2
    assert int(np.argmax(read["probabilities"])) == 3
    device.publisher.publish(1)
    done = device.sync()
    assert (done["installed"], done["current"], done["previous"]) == (True, 1, 2)
    assert not device.sync()["installed"]
    assert {name.partition("/")[0] for name in device.bytes()} == {".lock", "state.json", "models", "golden"}


def test_withdrawn_models(device: Device) -> None:
    """The previous model takes the place of a withdrawn one at once; if both are withdrawn the device has none."""
    device.publisher.publish(2)
    device.sync()
    for withdrawn, left in (((2,), 1), ((1, 2), None)):
        device.publisher.publish(3, withdrawn=tuple(sorted(digest(version) for version in withdrawn)))
        del device.publisher.shelf.files[model_path(digest(3))]
        assert device.sync()["refused"] == "Unavailable"
        assert device.version() == left


def test_rotation_and_recovery(device: Device) -> None:
    """Three roots in one sync; then a new epoch in which the sequence begins again, and the old one stays refused."""
    p = device.publisher
    for generation in (1, 2, 3):
        old, p.root_keys = p.root_keys, [key(f"root-{generation}-{i}") for i in range(3)]
        p.rotate(*old, *p.root_keys)
    last = p.publish(2)
    assert device.sync()["root"] == 4
    p.feed_keys = [key("feed-2")]
    p.rotate(new_epoch=True)
    p.publish(3)
    done = device.sync()
    assert (done["epoch"], done["sequence"], done["current"]) == (2, 1, 3)
    p.show(last)
    assert device.sync()["refused"] == "TooFewSignatures"


def test_an_expired_feed_and_a_clock_that_is_set_back(device: Device) -> None:
    """After weeks without a new feed it is expired, and a clock that is set back does not revive what has expired."""
    p = device.publisher
    assert device.sync((NOW + timedelta(weeks=3)).timestamp())["refused"] == "Expired"
    assert device.version() == 1
    old, p.feed_keys = p.feed_keys, [*p.feed_keys, key("feed-2")]
    lasting, new = NOW + timedelta(days=1), NOW + timedelta(days=99)
    p.rotate(feed_keys={**_certified(old[0], lasting), **_certified(p.feed_keys[1], new)})
    p.now = NOW + timedelta(weeks=4)
    p.show(p.sign(p.feed(2), [key("feed-2")]))
    assert device.sync()["current"] == 2  # weeks offline: it follows what is valid now
    p.show(p.sign(p.feed(3), old))
    assert device.sync(NOW.timestamp())["refused"] == "KeyExpired"
    assert device.version() == 2


def _certified(private: Any, expires: Any) -> dict[str, Any]:
    p = Publisher(feed_keys=[private])
    return p.certified(expires)


@pytest.mark.parametrize("how", ["ranges", "no ranges", "other range"])
def test_a_cut_connection_is_resumed_with_a_range(device: Device, how: str) -> None:
    """The next sync requests only the missing half; a server without ranges sends all; another range is refused."""
    device.publisher.publish(2)
    device.site.handler.behave[two()] = "cut"
    assert device.sync()["refused"] in {"Unavailable", "Truncated"}
    assert device.version() == 1
    device.site.handler.behave[two()] = how
    done = device.sync()
    assert (two(), f"bytes={len(model(2)[0]) // 2}-") in device.site.handler.asked
    if how == "other range":
        assert done["refused"] == "Unavailable"
        assert "206" in done["detail"]
        assert device.version() == 1
    else:
        assert done["current"] == 2


@pytest.mark.parametrize("path", [FEED_FILE, "root/2.json", "model"])
def test_endless_data(device: Device, path: str) -> None:
    """The device hangs up soon after the allowed length, and keeps none of the bytes."""
    device.publisher.publish(2)
    path = two() if path == "model" else path
    device.publisher.shelf.files.setdefault(path, b"x")
    device.site.handler.behave[path] = "flood"
    assert device.sync()["refused"] == "TooLong"
    assert device.version() == 1
    assert max(map(len, device.bytes().values())) < 64 << 10


def test_slow_retrieval(device: Device) -> None:
    """A slow answer ends by its average speed, a stalled one by the timeout between two bytes."""
    device.publisher.publish(2)
    device.site.handler.behave[two()] = "drip"
    assert device.sync(timeout=1, bytesPerSecond=10_000)["refused"] == "TooSlow"
    assert device.version() == 1


@pytest.mark.parametrize("status", [301, 307, 403, 500, 503])
def test_other_answers(device: Device, status: int) -> None:
    """A redirect is not followed, and an error page is not accepted as a file."""
    before = device.bytes()
    device.site.handler.behave[FEED_FILE] = f"status{status}"
    done = device.sync()
    assert done["refused"] == "Unavailable"
    assert str(status) in done["detail"]
    assert device.bytes() == before
    assert "elsewhere" not in [path for path, _ in device.site.handler.asked]


def test_asking(device: Device) -> None:
    """The policy arrives with the feed; a drawing is asked about once, one a day, also after a restart of the app."""
    assert device.sync()["askingWhy"] == "the server publishes no asking policy"
    nothing = device.program.do("consider", pixels=PIXELS, probabilities=UNSURE)
    assert (nothing["send"], nothing["askNow"], nothing["known"], "unsure" in nothing) == (False, False, False, False)
    ask(device, 7)
    done = device.sync()
    assert (done["askingWhy"], done["asking"]) == ("the policy is valid", True)
    first = device.program.do("consider", pixels=PIXELS, probabilities=UNSURE)
    assert first == {
        "digit": 1, "second": 7, "unsure": True, "send": True, "askNow": True, "rate": 1, "known": False,
    }  # fmt: skip
    device.sync()
    again = device.program.do("consider", pixels=PIXELS, probabilities=UNSURE)
    assert (again["send"], again["askNow"], again["known"]) == (True, False, True)
    other = device.program.do("consider", pixels=base64_of(drawn(2).tobytes()), probabilities=UNSURE)
    assert (other["send"], other["askNow"]) == (True, False)
    wrong = device.program.do("consider", pixels=PIXELS, probabilities=[0.2] * 10)
    assert wrong["refused"] == "BadField"


def test_a_refused_policy_keeps_no_model_away(device: Device) -> None:
    """A policy that is rolled back, of another epoch or not signed is refused; the last one counts until it expires."""
    ask(device, 7, hours=2)
    device.sync()
    attacks: tuple[dict[str, Any], ...] = (
        {"sequence": 6},
        {"epoch": 2, "sequence": 8},
        {"policy": AskingPolicy(1, 1, 1)},
    )
    rules = ("RolledBack", "OtherEpoch", "Equivocated")
    for version, (members, rule) in enumerate(zip(attacks, rules, strict=True), 2):
        device.publisher.publish(version)
        ask(device, **{"sequence": 7} | members)
        done = device.sync()
        assert done["askingWhy"].startswith(f"refused: {rule}"), done
        assert (done["current"], done["asking"]) == (version, True)
    later = device.sync((NOW + timedelta(hours=3)).timestamp())
    assert (later["current"], later["asking"]) == (4, False)


def test_the_python_client_goes_on_where_swift_ended(device: Device) -> None:
    """Both keep the same files: Python reads the state, the policy and the decisions that Swift wrote."""
    ask(device, 7)
    device.sync()
    device.program.do("consider", pixels=PIXELS, probabilities=UNSURE)
    state = device.state()
    assert state.asking is not None
    assert (state.asking.policy, state.asking.seen.sequence) == (POLICY, 7)
    memory = asking.load(device.folder, NOW)
    assert (memory.asked, [each.send for each in memory.decided]) == (1, [True])
