"""`loop quarantine`: list, show, accept and reject what screening held back."""

from loop import home as homes
from loop.clock import utc_now
from loop.home import settings
from loop.store.feedback import quarantines
from tests.cli.test_cli import Shell, loop, people

__all__ = ["loop"]  # the fixture

INK = {"signal": "ink", "text": "ink where digits have none: levels sum to 2805", "numbers": {"amount": 2805.0}}
PAIR = {"signal": "pair", "text": "label 7, which no reader sees; read as 1", "numbers": {"read": 1.0}}


def held(loop: Shell) -> list[int]:
    """Four uploads of one person that a night held back; their numbers."""
    loop("init")
    loop("replay", *people(loop.folder, 1, 10), "--confirm-rate", "1")
    home = homes.at(settings.load())
    with home.store.exclusive() as tx:
        assert quarantines.hold(tx, {1: [INK], 2: [INK, PAIR], 3: [PAIR], 4: [PAIR]}, None, utc_now()) == 4
    home.store.close()
    return [1, 2, 3, 4]


def test_what_was_held_back_is_listed_and_shown(loop: Shell) -> None:
    """The list has signals and counts, `show` has the picture and every reason, `status` the number."""
    ids = held(loop)
    found = loop.json("quarantine")
    assert [row["id"] for row in found["uploads"]] == ids
    assert found["waiting"] == {"all": 4, "ink": 2, "pair": 3}
    assert "4 wait for a decision: 2 ink, 3 pair" in loop("quarantine")
    assert [row["id"] for row in loop.json("quarantine", "--signal", "ink")["uploads"]] == [1, 2]
    assert loop.json("quarantine", "--source", "nobody")["uploads"] == []
    shown = loop("quarantine", "show", "2")
    assert "█" in shown
    assert INK["text"] in shown
    assert PAIR["text"] in shown
    assert len(loop.json("quarantine", "show", "2")["pixels"]) == 28
    assert "4 uploads wait for a reviewer" in loop("status")
    assert loop.json("status")["quarantined"] == 4


def test_decisions_by_number_signal_and_all(loop: Shell) -> None:
    """Each choice decides about those that wait, once, and keeps who and why; the rest is named as unchanged."""
    held(loop)
    assert loop.json("quarantine", "accept", "4", "99", "--reason", "a true 7") == {
        "decision": "accepted",
        "uploads": [4],
        "unchanged": [99],
    }
    assert "rejected 2 uploads" in loop("quarantine", "reject", "--signal", "ink", "--reason", "stamps")
    assert "rejected 1 uploads" in loop("quarantine", "reject", "--all", "--reason", "flips")
    assert "0 wait for a decision" in loop("quarantine")
    assert [row["id"] for row in loop.json("quarantine", "--decided", "rejected")["uploads"]] == [1, 2, 3]
    assert "accepted by tester: a true 7" in loop("quarantine", "show", "4")
    assert loop.json("status")["quarantined"] == 0


def test_unclear_choices_are_refused(loop: Shell) -> None:
    """Nothing is decided without a choice, with two contrary ones, without a reason, or for an unknown signal."""
    held(loop)
    loop("quarantine", "accept", "--reason", "x", status=2)
    loop("quarantine", "accept", "1", "--all", "--reason", "x", status=2)
    loop("quarantine", "reject", "--signal", "smell", "--reason", "x", status=2)
    assert "reason: expected" in loop.refused("quarantine", "accept", "1", "--reason", " ")
    assert "`loop quarantine` lists them" in loop.refused("quarantine", "show", "5")
    assert loop.json("quarantine")["waiting"]["all"] == 4
