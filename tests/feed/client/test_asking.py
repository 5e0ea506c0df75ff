"""A device decides about a drawing once: no second lot, no second question, whatever kills it."""

import hashlib
import os
import signal
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from loop.errors import BadField
from loop.feed.asking import AskingPolicy
from loop.feed.client import asking
from loop.feed.client import state as states
from loop.feed.client.asking import MOST, Considered, consider
from loop.feed.client.state import HeldAsking
from loop.feed.refusals import StateUnreadable
from loop.feed.trust import SeenAsking
from tests.feed.client.conftest import Phone
from tests.feed.client.test_killed import die_at
from tests.feed.simulator import NOW, Publisher

UNSURE = [0.0, 0.52, 0.02, 0.02, 0.01, 0.01, 0.005, 0.41, 0.005, 0.0]
SURE = [0.0, 0.98, 0.0, 0.0, 0.0, 0.0, 0.0, 0.02, 0.0, 0.0]
POLICY = AskingPolicy(300_000, 500_000, 10_000, True, 2)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A synced device with a policy that is valid for an hour."""
    publisher = Publisher()
    publisher.publish(1)
    Phone(tmp_path / "phone", publisher).sync()
    follow(tmp_path / "phone", POLICY)
    return tmp_path / "phone"


def follow(folder: Path, policy: AskingPolicy) -> None:
    """Let the device have synced this policy."""
    state = states.load(folder)
    assert state is not None
    held = HeldAsking(SeenAsking(1, 1, "0" * 64), NOW + timedelta(hours=1), policy)
    states.save(folder, replace(state, asking=held))


def digest(number: int) -> str:
    """The digest of some drawing."""
    return hashlib.sha256(str(number).encode()).hexdigest()


def never() -> int:
    """A lot that must not be drawn."""
    raise AssertionError("a second lot")


def drawn(
    folder: Path, number: int, lot: int | None = 0, now: datetime = NOW, probabilities: list[float] = UNSURE
) -> Considered:
    """Decide about a drawing; None: no lot may be drawn."""
    return consider(folder, digest(number), probabilities, now, never if lot is None else lambda: lot)


def test_a_decision_is_made_once(folder: Path) -> None:
    """Sent or kept, with the chance of its kind; a question is asked once, and the decision survives a newer policy."""
    first = drawn(folder, 1)
    assert (first.unsure, first.ask_now, first.known) == (True, True, False)
    assert first.decided is not None
    assert (first.decided.send, first.decided.asked, first.decided.rate) == (True, True, 0.5)
    follow(folder, AskingPolicy(0, 0, 0))
    again = drawn(folder, 1, None, NOW + timedelta(days=40))
    assert (again.decided, again.ask_now, again.known) == (first.decided, False, True)
    follow(folder, POLICY)
    kept = drawn(folder, 2, 500_000).decided
    assert kept is not None
    assert not kept.send
    assert drawn(folder, 2, None).decided == kept
    sure = drawn(folder, 3, 9_999, probabilities=SURE)
    assert sure.decided is not None
    assert (sure.unsure, sure.decided.send, sure.decided.asked, sure.decided.rate) == (False, True, False, 0.01)


def test_questions_a_day(folder: Path) -> None:
    """Two on a UTC day, and again on the next; a drawing about which the user is not asked is still sent."""
    follow_days = [NOW, NOW, NOW, NOW + timedelta(minutes=30)]
    assert [drawn(folder, i, 0, now).ask_now for i, now in enumerate(follow_days)] == [True, True, False, False]
    third = drawn(folder, 2, None).decided
    assert third is not None
    assert (third.send, third.asked) == (True, False)
    assert asking.load(folder, NOW + timedelta(days=1)).asked == 0


def test_without_a_valid_policy_nothing_is_decided(folder: Path, tmp_path: Path) -> None:
    """Expired, never synced, or none at all: no lot is drawn; a later policy decides."""
    late = NOW + timedelta(hours=1)
    assert drawn(folder, 1, None, late).decided is None
    assert drawn(tmp_path / "new", 1, None).decided is None
    assert drawn(folder, 1).decided is not None


@pytest.mark.parametrize(
    "probabilities",
    [[0.1] * 9, [0.2] * 10, [float("nan")] * 10, [float("inf"), *[0.0] * 9], [-0.5, 1.5, *[0.0] * 8], []],
)
def test_probabilities_that_are_none(folder: Path, probabilities: list[float]) -> None:
    """Refused, and nothing is remembered."""
    with pytest.raises(BadField, match="probabilities: expected"):
        drawn(folder, 1, None, probabilities=probabilities)
    assert asking.load(folder, NOW).decided == ()


def test_the_memory_is_bounded(folder: Path) -> None:
    """The last drawings are remembered, the count of questions too; the file stays small."""
    first = drawn(folder, 0).decided
    assert first is not None
    memory = asking.load(folder, NOW)
    many = tuple(replace(first, digest=digest(i)) for i in range(MOST))
    asking.save(folder, replace(memory, decided=many))
    drawn(folder, MOST)
    found = asking.load(folder, NOW)
    assert [each.digest for each in found.decided] == [digest(i) for i in range(1, MOST + 1)]
    assert found.asked == 2
    assert (folder / asking.FILE).stat().st_size < 200_000


@pytest.mark.parametrize(
    "damage", [b"", b"{}", b'{"format":2}', b"\xff", b'{"asked":0,"day":"x","decided":[],"format":1}']
)
def test_a_damaged_memory_is_an_error(folder: Path, damage: bytes) -> None:
    """Never forgotten in silence."""
    (folder / asking.FILE).write_bytes(damage)
    with pytest.raises(StateUnreadable):
        drawn(folder, 1, None)


@pytest.mark.slow
def test_killed_at_every_file_operation(folder: Path) -> None:
    """Before the decision is on disk nothing was returned; after it, it stays: the second try agrees with the first."""
    killed = returned = 0
    for point in range(1, 30):
        number, told = 100 + point, os.pipe()
        child = os.fork()
        if child == 0:
            die_at(point, folder)
            found = drawn(folder, number, 0)
            os.write(told[1], b"asked" if found.ask_now else b"not")
            os._exit(0)
        os.close(told[1])
        _, status = os.waitpid(child, 0)
        said = os.read(told[0], 10)
        os.close(told[0])
        remembered = {each.digest: each for each in asking.load(folder, NOW).decided}
        if os.WIFSIGNALED(status):
            assert os.WTERMSIG(status) == signal.SIGKILL
            killed += 1
            assert not said
        else:
            returned += 1
            assert digest(number) in remembered
        again = drawn(folder, number, None if digest(number) in remembered else 0)
        assert again.known == (digest(number) in remembered)
        assert not (said == b"asked" and again.ask_now)
    assert killed > 3
    assert returned > 3
    assert asking.load(folder, NOW).asked <= POLICY.asked_a_day
