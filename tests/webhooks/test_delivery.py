"""From the outbox to the receiver: once each, in order, again after what failed, however many are at it."""

import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from datetime import timedelta
from typing import Any

import pytest

from loop import webhooks
from loop.home import Home
from loop.store.service import hooks as stored
from loop.store.service.hooks import Delivery, Status
from loop.store.service.messages import Kind
from loop.webhooks import delivery, hooks, sending
from tests.conftest import NOW
from tests.helpers.paths import ROOT
from tests.webhooks.conftest import Hands, happen
from tests.webhooks.receiver import Receiver, genuine


def listed(home: Home, hook: int | None = None, limit: int = 1000) -> list[Delivery]:
    """The deliveries, oldest first."""
    with home.store.read() as tx:
        return stored.deliveries(tx, hook, limit=limit)[::-1]


def add(home: Home, url: str, *kinds: str) -> stored.Hook:
    """Tell an address."""
    return hooks.add(home, url, kinds, "tester", NOW)


def test_an_event_arrives_signed_and_once(home: Home, receiver: Receiver, clock: Hands) -> None:
    """What happened, signed with the hook's secret; a second pass sends nothing."""
    hook = add(home, f"{receiver.url}/hook")
    event = happen(home, "über")
    assert (webhooks.deliver_due(home, clock), webhooks.deliver_due(home, clock)) == (1, 0)
    got = receiver.got[0]
    assert genuine(hook.secret, got)
    assert got.said == {"type": "version.promoted", "timestamp": NOW.isoformat(), "data": {"what": "über"}}
    assert got.headers["content-type"] == "application/json"
    assert int(got.headers["webhook-timestamp"]) == int(NOW.timestamp())
    done = listed(home)[0]
    assert (done.status, done.attempts, done.answer, done.event.id) == (Status.DELIVERED, 1, "204", event.id)
    assert done.tried_at == NOW


def test_a_hook_hears_its_kinds_from_when_it_was_added(home: Home, receiver: Receiver, clock: Hands) -> None:
    """Not what happened before, not other kinds; two hooks hear of one event once each."""
    happen(home, "before")
    add(home, f"{receiver.url}/promoted", "version.promoted")
    add(home, f"{receiver.url}/all")
    happen(home, "during")
    happen(home, "night", Kind.NIGHT_FINISHED)
    webhooks.deliver_due(home, clock)
    heard = [(got.path, got.said["data"]["what"]) for got in receiver.got]
    assert Counter(heard) == {("/promoted", "during"): 1, ("/all", "during"): 1, ("/all", "night"): 1}


def test_events_come_in_order(home: Home, receiver: Receiver, clock: Hands) -> None:
    """By the order in which they were recorded."""
    add(home, receiver.url)
    for i in range(12):
        happen(home, str(i))
    webhooks.deliver_due(home, clock, limit=5)
    webhooks.deliver_due(home, clock)
    assert [got.said["data"]["what"] for got in receiver.got] == [str(i) for i in range(12)]


def test_eight_tries_in_about_28_hours(home: Home, receiver: Receiver, clock: Hands) -> None:
    """Each pause longer than the last, none off by more than a fifth; then given up, and never sent again unasked."""
    hook = add(home, f"{receiver.url}/status/500")
    happen(home)
    pauses = []
    for _ in range(len(delivery.RETRY_DELAYS_SECONDS) + 1):
        webhooks.deliver_due(home, clock)
        assert webhooks.deliver_due(home, clock) == 0
        wait = listed(home)[0].next_at - clock.now
        pauses.append(wait.total_seconds())
        clock.now += wait
    assert len(receiver.got) == 8
    assert len({got.headers["webhook-id"] for got in receiver.got}) == 1
    assert all(
        0.8 * due <= pause <= 1.2 * due for pause, due in zip(pauses, delivery.RETRY_DELAYS_SECONDS, strict=False)
    )
    assert 22 * 3600 < sum(pauses[:-1]) < 34 * 3600
    assert pauses[0] > sending.TIMEOUT_SECONDS, "else another process might take it while it is being sent"
    last = listed(home)[0]
    assert (last.status, last.attempts, last.answer) == (Status.GIVEN_UP, 8, "500")
    clock.forward(days=30)
    webhooks.deliver_due(home, clock)
    assert len(receiver.got) == 8
    with home.store.write() as tx:
        assert stored.again(tx, hook.id, clock.now) == 1
    webhooks.deliver_due(home, clock)
    assert len(receiver.got) == 9
    assert listed(home)[0].attempts == 1


def test_pauses_are_not_all_alike(home: Home, receiver: Receiver, clock: Hands) -> None:
    """Jitter: what failed together does not come back together."""
    for _ in range(8):
        add(home, f"{receiver.url}/status/503")
    happen(home)
    webhooks.deliver_due(home, clock)
    assert len({each.next_at for each in listed(home)}) > 1


def test_a_dead_address_costs_one_try_a_pass(home: Home, receiver: Receiver, clock: Hands) -> None:
    """The others are served, however much waits for it."""
    add(home, f"{receiver.url}/status/500")
    add(home, f"{receiver.url}/fine")
    for _ in range(6):
        happen(home)
    assert webhooks.deliver_due(home, clock) == 6
    assert Counter(got.path for got in receiver.got) == {"/status/500": 1, "/fine": 6}


def test_a_hook_that_was_removed_hears_nothing(home: Home, receiver: Receiver, clock: Hands) -> None:
    """What waits for it is given up, its secret is forgotten, and events go on without it."""
    hook = add(home, receiver.url)
    happen(home)
    hooks.remove(home, hook.id, NOW)
    happen(home)
    assert webhooks.deliver_due(home, clock) == 0
    assert receiver.got == []
    assert [(each.status, each.hook.secret) for each in listed(home)] == [(Status.GIVEN_UP, "")]


def test_a_private_address_is_refused_at_each_try(home: Home, receiver: Receiver, clock: Hands) -> None:
    """Also for a hook that was added while private addresses were permitted; the log says why."""
    add(home, receiver.url)
    happen(home)
    home.settings.__dict__["webhooks_private"] = False
    assert webhooks.deliver_due(home, clock) == 0
    assert receiver.got == []
    assert "expected a public address" in str(listed(home)[0].answer)


def test_a_test_message(home: Home, receiver: Receiver, clock: Hands) -> None:
    """Goes to the one hook, whatever kinds it asked for, at once, and says who asked."""
    add(home, f"{receiver.url}/other")
    hook = add(home, f"{receiver.url}/this", "night.finished")
    done = hooks.ping(home, hook.id, "ops", clock)
    assert (done.status, done.answer) == (Status.DELIVERED, "204")
    assert [got.path for got in receiver.got] == ["/this"]
    assert receiver.got[0].said["type"] == "webhook.test"
    assert receiver.got[0].said["data"] == {"asked_by": "ops"}


def child(home: Home, point: str) -> subprocess.Popen[str]:
    """Another process, ready to begin when it is given a line."""
    command = [sys.executable, "-m", "tests.webhooks.child", home.settings.url, str(home.settings.home), point]
    made = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert made.stdout is not None
    assert made.stdout.readline() == "ready\n"
    return made


@pytest.mark.slow
@pytest.mark.parametrize(("point", "messages"), [("sent", 2), ("taken", 1)])
def test_killed_while_sending(home: Home, receiver: Receiver, clock: Hands, point: str, messages: int) -> None:
    """SIGKILL before or after the answer: tried again after the pause, under the same id, twice at the most."""
    add(home, receiver.url)
    happen(home)
    killed = child(home, point)
    killed.communicate("go\n", timeout=60)
    assert killed.returncode == -signal.SIGKILL
    between = listed(home)[0]
    assert (between.status, between.attempts) == (Status.WAITING, 1)
    clock.now = between.next_at - timedelta(seconds=1)
    assert webhooks.deliver_due(home, clock) == 0  # not before its pause is over
    clock.now = between.next_at
    assert webhooks.deliver_due(home, clock) == 1
    assert len(receiver.got) == messages
    assert len({got.headers["webhook-id"] for got in receiver.got}) == 1
    assert listed(home)[0].status is Status.DELIVERED


@pytest.mark.slow
def test_two_processes_share_the_work(home: Home, receiver: Receiver) -> None:
    """Each message is sent by one of them; none twice, none forgotten."""
    add(home, receiver.url)
    for i in range(60):
        happen(home, str(i))
    both = [child(home, "all") for _ in range(2)]
    for each in both:
        assert each.stdin is not None
        each.stdin.write("go\n")
        each.stdin.flush()
    for each in both:
        each.communicate(timeout=60)
        assert each.returncode == 0
    assert Counter(got.said["data"]["what"] for got in receiver.got) == {str(i): 1 for i in range(60)}
    assert {each.status for each in listed(home)} == {Status.DELIVERED}


def test_without_the_claim_messages_double(
    home: Home, receiver: Receiver, clock: Hands, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control: two that only look at what is due, and do not take it, send everything twice."""
    add(home, receiver.url)
    for i in range(10):
        happen(home, str(i))
    monkeypatch.setattr(delivery, "_again_at", lambda clock: lambda attempts: clock())  # due again at once
    post = sending.post

    def slowly(*args: Any, **options: Any) -> sending.Answer:
        time.sleep(0.05)
        return post(*args, **options)

    monkeypatch.setattr(sending, "post", slowly)
    threads = [threading.Thread(target=webhooks.deliver_due, args=(home, clock, 10)) for _ in range(2)]
    for thread in threads:
        thread.start()
        time.sleep(0.025)  # the second looks while the first is sending
    for thread in threads:
        thread.join(30)
    assert len(receiver.got) > len({got.headers["webhook-id"] for got in receiver.got})


def test_who_overslept_does_not_write_over_his_successor(home: Home, receiver: Receiver, clock: Hands) -> None:
    """A process stopped between taking and sending: another delivers; its own failure, come late, changes nothing."""
    add(home, receiver.url)
    happen(home)

    def take() -> Delivery:
        with home.store.write() as tx:
            taken = stored.take(tx, clock(), lambda _: clock() + timedelta(seconds=30))
        assert taken is not None
        return taken

    def settle(taken: Delivery, status: Status) -> bool:
        with home.store.write() as tx:
            return stored.settle(tx, taken, status, status, clock())

    slow = take()
    with home.store.write() as tx:
        assert stored.take(tx, clock(), lambda _: clock()) is None  # it is taken
    clock.forward(seconds=31)
    quick = take()
    assert not settle(slow, Status.GIVEN_UP)
    assert settle(quick, Status.DELIVERED)
    assert not settle(slow, Status.WAITING)
    assert listed(home)[0].status is Status.DELIVERED
