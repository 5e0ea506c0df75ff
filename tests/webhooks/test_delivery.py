"""Events reach the receiver once, in order, and again after a failure, with any number of senders."""

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
    """Add a hook."""
    return hooks.add(home, url, kinds, "tester", NOW)


def test_an_event_arrives_signed_and_once(home: Home, receiver: Receiver, clock: Hands) -> None:
    """An event arrives signed with the hook's secret, and a second pass sends nothing."""
    hook = add(home, f"{receiver.url}/hook")
    event = happen(home, "über")
    assert (webhooks.deliver_due(home, clock), webhooks.deliver_due(home, clock)) == (1, 0)
    got = receiver.got[0]
    assert genuine(hook.secret, got)
    assert got.message == {"type": "version.promoted", "timestamp": NOW.isoformat(), "data": {"what": "über"}}
    assert got.headers["content-type"] == "application/json"
    assert int(got.headers["webhook-timestamp"]) == int(NOW.timestamp())
    done = listed(home)[0]
    assert (done.status, done.attempts, done.answer, done.event.id) == (Status.DELIVERED, 1, "204", event.id)
    assert done.tried_at == NOW


def test_a_hook_gets_its_kinds_from_when_it_was_added(home: Home, receiver: Receiver, clock: Hands) -> None:
    """A hook gets no earlier events and no other kinds, and two hooks get an event once each."""
    happen(home, "before")
    add(home, f"{receiver.url}/promoted", "version.promoted")
    add(home, f"{receiver.url}/all")
    happen(home, "during")
    happen(home, "night", Kind.NIGHT_FINISHED)
    webhooks.deliver_due(home, clock)
    received = [(got.path, got.message["data"]["what"]) for got in receiver.got]
    assert Counter(received) == {("/promoted", "during"): 1, ("/all", "during"): 1, ("/all", "night"): 1}


def test_events_arrive_in_order(home: Home, receiver: Receiver, clock: Hands) -> None:
    """Events arrive in the order in which they were recorded."""
    add(home, receiver.url)
    for i in range(12):
        happen(home, str(i))
    webhooks.deliver_due(home, clock, limit=5)
    webhooks.deliver_due(home, clock)
    assert [got.message["data"]["what"] for got in receiver.got] == [str(i) for i in range(12)]


def test_eight_attempts_in_about_28_hours(home: Home, receiver: Receiver, clock: Hands) -> None:
    """Each delay is longer than the last and within a fifth of its plan; then the delivery is given up."""
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
    assert pauses[0] > sending.TIMEOUT_SECONDS, "otherwise another process could take it while it is being sent"
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


def test_delays_have_jitter(home: Home, receiver: Receiver, clock: Hands) -> None:
    """Deliveries that failed at the same time are retried at different times."""
    for _ in range(8):
        add(home, f"{receiver.url}/status/503")
    happen(home)
    webhooks.deliver_due(home, clock)
    assert len({each.next_at for each in listed(home)}) > 1


def test_a_dead_address_costs_one_try_a_pass(home: Home, receiver: Receiver, clock: Hands) -> None:
    """Other hooks are served, for any number of deliveries to a dead one."""
    add(home, f"{receiver.url}/status/500")
    add(home, f"{receiver.url}/fine")
    for _ in range(6):
        happen(home)
    assert webhooks.deliver_due(home, clock) == 6
    assert Counter(got.path for got in receiver.got) == {"/status/500": 1, "/fine": 6}


def test_a_removed_hook_gets_nothing(home: Home, receiver: Receiver, clock: Hands) -> None:
    """A removed hook's waiting deliveries are given up, its secret is deleted, and new events skip it."""
    hook = add(home, receiver.url)
    happen(home)
    hooks.remove(home, hook.id, NOW)
    happen(home)
    assert webhooks.deliver_due(home, clock) == 0
    assert receiver.got == []
    assert [(each.status, each.hook.secret) for each in listed(home)] == [(Status.GIVEN_UP, "")]


def test_a_private_address_is_refused_at_each_attempt(home: Home, receiver: Receiver, clock: Hands) -> None:
    """A hook that was added while private addresses were permitted is refused later, with the reason in the log."""
    add(home, receiver.url)
    happen(home)
    home.settings.__dict__["webhooks_private"] = False
    assert webhooks.deliver_due(home, clock) == 0
    assert receiver.got == []
    assert "expected a public address" in str(listed(home)[0].answer)


def test_a_test_message(home: Home, receiver: Receiver, clock: Hands) -> None:
    """A test message goes at once to its hook, which may have any kinds, and names the actor."""
    add(home, f"{receiver.url}/other")
    hook = add(home, f"{receiver.url}/this", "night.finished")
    done = hooks.ping(home, hook.id, "ops", clock)
    assert (done.status, done.answer) == (Status.DELIVERED, "204")
    assert [got.path for got in receiver.got] == ["/this"]
    assert receiver.got[0].message["type"] == "webhook.test"
    assert receiver.got[0].message["data"] == {"asked_by": "ops"}


def child(home: Home, point: str) -> subprocess.Popen[str]:
    """Another process, which starts when it gets a line on standard input."""
    command = [sys.executable, "-m", "tests.webhooks.child", home.settings.url, str(home.settings.home), point]
    made = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert made.stdout is not None
    assert made.stdout.readline() == "ready\n"
    return made


@pytest.mark.slow
@pytest.mark.parametrize(("point", "messages"), [("sent", 2), ("taken", 1)])
def test_killed_while_sending(home: Home, receiver: Receiver, clock: Hands, point: str, messages: int) -> None:
    """After SIGKILL before or after the answer, the message is sent again with the same id, at most twice in all."""
    add(home, receiver.url)
    happen(home)
    killed = child(home, point)
    killed.communicate("go\n", timeout=60)
    assert killed.returncode == -signal.SIGKILL
    between = listed(home)[0]
    assert (between.status, between.attempts) == (Status.WAITING, 1)
    clock.now = between.next_at - timedelta(seconds=1)
    assert webhooks.deliver_due(home, clock) == 0  # not before its delay is over
    clock.now = between.next_at
    assert webhooks.deliver_due(home, clock) == 1
    assert len(receiver.got) == messages
    assert len({got.headers["webhook-id"] for got in receiver.got}) == 1
    assert listed(home)[0].status is Status.DELIVERED


@pytest.mark.slow
def test_two_processes_share_the_work(home: Home, receiver: Receiver) -> None:
    """Two processes send each message exactly once in all."""
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
    assert Counter(got.message["data"]["what"] for got in receiver.got) == {str(i): 1 for i in range(60)}
    assert {each.status for each in listed(home)} == {Status.DELIVERED}


def test_without_the_claim_messages_are_duplicated(
    home: Home, receiver: Receiver, clock: Hands, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Control: two processes that read due deliveries without taking them send everything twice."""
    add(home, receiver.url)
    for i in range(10):
        happen(home, str(i))
    monkeypatch.setattr(delivery, "_retry_at", lambda clock: lambda attempts: clock())  # due again at once
    post = sending.post

    def slowly(*args: Any, **options: Any) -> sending.Answer:
        time.sleep(0.05)
        return post(*args, **options)

    monkeypatch.setattr(sending, "post", slowly)
    threads = [threading.Thread(target=webhooks.deliver_due, args=(home, clock, 10)) for _ in range(2)]
    for thread in threads:
        thread.start()
        time.sleep(0.025)  # the second reads while the first is sending
    for thread in threads:
        thread.join(30)
    assert len(receiver.got) > len({got.headers["webhook-id"] for got in receiver.got})


def test_a_late_process_does_not_overwrite_its_successor(home: Home, receiver: Receiver, clock: Hands) -> None:
    """If a process stops between taking and sending, another delivers, and the first one's late failure is ignored."""
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
