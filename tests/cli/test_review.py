"""`loop review` in a real terminal, and `loop ask`."""

import json
import os
import pty
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import select, update
from typer.testing import CliRunner

from loop.asking import review
from loop.cli.review import Session
from loop.cli.terminal_digit import RAMP, drawn
from loop.clock import utc_now
from loop.home import Home
from loop.home.artifacts import Artifacts
from loop.home.settings import Settings
from loop.store import Store, tables
from loop.store.asking.values import Word
from loop.store.values import Status
from tests.asking.conftest import ask, ask_gold, drawing, send
from tests.feed.conftest import Office
from tests.helpers import stores


def home_with_questions(folder: Path, count: int) -> Home:
    """A home with a champion, drawings of two people, and questions about some of them."""
    store = Store(f"sqlite:///{folder / 'loop.db'}")
    stores.migrate(store)
    home = Home(Settings(home=folder), store, Artifacts(folder / "artifacts"))
    Office(home, folder / "feed").register()
    receipts = send(store, *(drawing(f"person {seed % 2}", seed) for seed in range(6)), at=utc_now())
    ask(store, [receipt.id for receipt in receipts[:count]])
    return home


@pytest.mark.slow
def test_a_reviewer_at_a_terminal(tmp_path: Path) -> None:
    """Shows a digit, takes keys, undoes, flags, skips, and ends with what is left given back."""
    home = home_with_questions(tmp_path, 4)
    mine, theirs = pty.openpty()
    environment = os.environ | {"LOOP_HOME": str(tmp_path), "LOOP_ACTOR": "ada", "TERM": "xterm-256color"}
    command = [sys.executable, "-m", "loop", "review"]
    with subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env=environment) as process:
        os.close(theirs)
        seen = typed(mine, ["7", "z", "4", "x", "u", "s", "q"])
        assert process.wait(timeout=60) == 0
    assert "7; the phone's model: 1 – agreed" in seen
    assert "undone: question 1" in seen
    assert "unreadable; the phone's model: 1" in seen
    assert "skipped" in seen
    assert "▀" in seen
    assert "3 answered" in seen
    with home.store.read() as tx:
        rows = tx.execute(select(tables.Correction.status, tables.Correction.label).order_by(tables.Correction.id))
        assert [tuple(row) for row in rows][:4] == [
            (Status.ACCEPTED, 4),
            (Status.NOTED, None),
            (Status.PENDING, None),
            (Status.PENDING, None),
        ]
        assert tx.scalars(select(tables.Hold.question_id)).all() == []


def typed(terminal: int, keys: list[str]) -> str:
    """Type each key once the program has drawn something and is quiet; everything that it wrote."""
    seen, quiet_since, left = b"", time.monotonic(), list(keys)
    os.set_blocking(terminal, False)
    drawn_at = 0
    while True:
        try:
            piece = os.read(terminal, 65536)
            if not piece:
                break
            seen, quiet_since = seen + piece, time.monotonic()
        except BlockingIOError:
            time.sleep(0.02)
        except OSError:  # the program has ended
            break
        if left and len(seen) > drawn_at and time.monotonic() - quiet_since > 0.3 and "▀".encode() in seen:
            os.write(terminal, left.pop(0).encode())
            drawn_at = len(seen)
    os.close(terminal)
    return seen.decode(errors="replace")


def test_asking_by_hand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`loop ask` asks about what waits and sets the first policy; `loop review` needs a terminal."""
    from loop.cli import app

    home_with_questions(tmp_path, 2)
    monkeypatch.setenv("LOOP_HOME", str(tmp_path))
    monkeypatch.setenv("LOOP_ACTOR", "ops")
    done = CliRunner().invoke(app, ["ask", "--count", "3", "--json"])
    assert done.exit_code == 0, done.output
    said = json.loads(done.stdout)
    assert (said["asked"] + said["random"], said["left"]) == (3, 1)
    assert said["policy"]["policy"]["unsure_ppm"] == 1_000_000
    shown = json.loads(CliRunner().invoke(app, ["review", "status", "--json"]).stdout)
    assert sum(row["n"] for row in shown["questions"]) == 5
    assert shown["policy"]["actor"] == "ops"
    plain = CliRunner().invoke(app, ["review", "status"]).stdout
    assert "phones send 100 % of the drawings with a margin below 0.3, 1 % of the others" in plain
    assert "policy: the first policy: nothing is known yet about what people draw" in plain
    assert all(f"policy: {reason}" in plain for reason in shown["policy"]["reasons"])


def test_an_answer_elsewhere_does_not_end_the_session(tmp_path: Path) -> None:
    """The same reviewer answered on the page meanwhile: the session says so, and goes on with the next question."""
    home = home_with_questions(tmp_path, 2)
    session = Session(home, "ada")
    first = session.next()
    assert first is not None
    review.answer(home.store, "ada", first.id, Word(1), utc_now())
    said = session.answer(first, Word(2), 1.0)
    assert said == f"question {first.id}: already answered with 1; undo that answer before another"
    second = session.next()
    assert second is not None
    assert second.id != first.id
    assert session.answer(second, Word(7), 1.0).startswith("7;")
    assert session.answered == 1


def test_a_round_computed_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`loop recompute` confirms the last round, and exits with 1 after somebody changed a score."""
    from loop.cli import app

    home = home_with_questions(tmp_path, 0)
    monkeypatch.setenv("LOOP_HOME", str(tmp_path))
    none = CliRunner().invoke(app, ["recompute"])
    assert "no round of asking is stored; `loop ask` holds one" in str(none.exception)
    assert CliRunner().invoke(app, ["recompute", str(2**63)]).exit_code == 2  # no database has such a number
    assert CliRunner().invoke(app, ["ask", "--count", "4"]).exit_code == 0
    done = CliRunner().invoke(app, ["recompute"])
    assert done.exit_code == 0, done.output
    assert "round 1 of " in done.stdout
    assert "4 of 4 choices confirmed" in done.stdout
    with home.store.write() as tx:
        tx.execute(update(tables.Question).where(tables.Question.id == 3).values(score=0.125))
    changed = CliRunner().invoke(app, ["recompute", "1"])
    assert (changed.exit_code, "another score" in changed.stdout) == (1, True)
    said = json.loads(CliRunner().invoke(app, ["recompute", "1", "--json"]).stdout)
    assert (said["agrees"], said["counts"]) == (False, {"same": 3, "score": 0, "unknown": 0, "differs": 1})
    assert {each["outcome"] for each in said["questions"] if each["question"] == 3} == {"differs"}


def test_a_digit_in_signs() -> None:
    """Without colours ink is drawn by signs, two rows a line."""
    pixels = np.zeros((28, 28), np.uint8)
    pixels[4:24, 13:15] = 255
    lines = drawn(pixels, colours=False).plain.splitlines()
    assert len(lines) == 14
    assert lines[5] == " " * 13 + RAMP[-1] * 2 + " " * 13


def test_the_state_of_the_reviewers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`loop review status`: each reviewer's answers, skips and known answers, how far they agree, what is stuck."""
    from loop.cli import app

    home = home_with_questions(tmp_path, 0)
    with home.store.read() as tx:
        waiting = tx.scalars(select(tables.Correction.id).order_by(tables.Correction.id)).all()
    ask(home.store, waiting[:4], quorum=2)
    ask_gold(home.store, 1)
    for name, labels in (("ada", (7, 1, 7, None, 3)), ("ben", (7, 1, 1, 7, 8))):
        for question, label in enumerate(labels, 1):
            review.answer(home.store, name, question, Word(label), utc_now(), 1.5)
    monkeypatch.setenv("LOOP_HOME", str(tmp_path))
    shown = CliRunner().invoke(app, ["review", "status"]).stdout
    assert "no asking policy was set yet" in shown
    assert "Krippendorff's alpha" in shown
    assert "1 of 1" in shown
    assert "stuck: 2 open questions" in shown
    document = json.loads(CliRunner().invoke(app, ["review", "status", "--json"]).stdout)
    assert document["stuck"] == 2
    team = document["team"]
    assert team["questions"] == 4
    assert 0 < team["alpha"] < 1
    ada, ben = team["reviewers"]
    assert (ada["reviewer"], ada["answered"], ada["skipped"], ada["seconds"], ada["gold_right"]) == (
        "ada",
        4,
        1,
        1.5,
        1,
    )
    assert (ben["answered"], ben["compared"], ben["agreed"], ben["gold_right"]) == (5, 2, 2, 0)
    assert ada["accuracy"] > ben["accuracy"]
