"""Delivering processes that are killed repeatedly lose no event, and duplicates have the same id."""

import random
import signal
import time
from collections import Counter

import pytest

from loop import webhooks
from loop.home import Home
from loop.store.service.hooks import Status
from tests.webhooks.conftest import Hands, happen
from tests.webhooks.receiver import Receiver, genuine
from tests.webhooks.test_delivery import add, child, listed


@pytest.mark.slow
@pytest.mark.parametrize(
    ("events", "kills"), [(60, 1), pytest.param(4_000, 60, marks=pytest.mark.campaign)], ids=["short", "long"]
)
def test_killed_again_and_again(home: Home, receiver: Receiver, clock: Hands, events: int, kills: int) -> None:
    """With two processes killed at a time, each event arrives, with at most one duplicate per kill, all signed."""
    chance = random.Random(0)  # noqa: S311 (when to kill)
    hook = add(home, receiver.url)
    for i in range(events):
        happen(home, str(i))
    for _ in range(kills):
        both = [child(home, "all") for _ in range(2)]
        for each in both:
            assert each.stdin is not None
            each.stdin.write("go\n")
            each.stdin.flush()
        before = len(receiver.got)
        wanted = before + chance.randint(1, max(2, events // kills // 3))
        while len(receiver.got) < wanted and both[0].poll() is None:
            time.sleep(0.002)
        for each in both:
            each.send_signal(signal.SIGKILL)
            each.communicate(timeout=60)
    clock.now = max(each.next_at for each in listed(home, limit=events))
    while webhooks.deliver_due(home, clock):
        pass
    times = Counter(got.headers["webhook-id"] for got in receiver.got)
    whats = {got.headers["webhook-id"]: got.message["data"]["what"] for got in receiver.got}
    assert set(whats.values()) == {str(i) for i in range(events)}
    assert len(times) == events
    assert sum(times.values()) - events <= 2 * kills
    assert all(genuine(hook.secret, got) for got in receiver.got)
    assert {each.status for each in listed(home, limit=events)} == {Status.DELIVERED}
    print(f"{events} events, {2 * kills} kills: {sum(times.values()) - events} duplicates")  # noqa: T201 (a figure)
