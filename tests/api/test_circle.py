"""The whole circle: a real phone on a real socket uploads, a night learns from it, the phone takes the new model, an
operator rolls back, and the phone follows.
"""

import base64
import hashlib
import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

import models
from loop import home as homes
from loop.asking import nightly, review
from loop.cli import drawing
from loop.clock import utc_now
from loop.data import digits
from loop.evaluation import digit_classifier
from loop.feed import authority, upkeep
from loop.feed.asking import AskingPolicy
from loop.home import Home
from loop.home.sections import Serving
from loop.night import retrain
from loop.store import tables
from loop.store.asking import policies
from loop.store.asking.policies import SetPolicy
from loop.store.asking.values import Word
from loop.store.feedback import split
from loop.store.values import Attribution, Kind, Status
from models import coreml
from models.family import Images, Labels
from tests.api.conftest import Phone, Server, serving
from tests.helpers import linear, stores
from tests.helpers.people import season
from tests.night.test_retrain import rolled, settings

PEOPLE, EACH = 10, 40
WHY = Attribution("tests", "a test")


@dataclass(frozen=True, slots=True)
class Hand:
    """One user: a phone with its key and secret, and the strange digits that they write."""

    phone: Phone
    images: Images
    labels: Labels


@pytest.fixture
def home(url: str, tmp_path: Path, small_corpus: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Home]:
    """An initialised loop with keys for its feed, whose CNN family is the linear one, on each database."""
    monkeypatch.setattr(models, "get", models.get)  # so that both are put back
    monkeypatch.setattr(homes, "corpus", homes.corpus)
    linear.install(small_corpus)
    limits = Serving(source_per_minute=1000)
    made = homes.at(settings(url, tmp_path).model_copy(update={"serve": limits, "confirm_rate": 1.0}), migrated=False)
    stores.migrate(made.store)
    with made.store.write() as tx:
        split.set_salt(tx, "salt")
    retrain.create_base(made)
    authority.create(made, 3, 2, 365, None, WHY, utc_now())
    yield made
    made.store.close()


@pytest.fixture
def server(home: Home) -> Iterator[Server]:
    """The API of this loop on a socket."""
    with serving(home) as found:
        yield found


def hands(server: Server) -> list[Hand]:
    """Users who shift three digits of four sideways; their secrets, and so the split, are always the same."""
    corpus = homes.corpus(server.home.settings, "mnist")
    found = []
    for who in range(PEOPLE):
        secret = base64.urlsafe_b64encode(hashlib.sha256(f"hand {who}".encode()).digest()).rstrip(b"=").decode()
        mine = slice(who * EACH, (who + 1) * EACH)
        images = rolled(corpus.train_images[mine])
        images[::4] = corpus.train_images[mine][::4]
        found.append(Hand(Phone(server.keys["app"], secret), images, corpus.train_labels[mine]))
    return found


def asked(app: httpx.Client, hand: Hand, row: int) -> dict[str, Any]:
    """The champion's prediction for a digit."""
    answer = app.post("/v1/predictions", content=digits.to_png(hand.images[row]), headers={"Content-Type": "image/png"})
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def told(app: httpx.Client, hand: Hand) -> int:
    """Upload the user's answer to each prediction in one batch; the number of corrections."""
    batch = []
    for row, label in enumerate(hand.labels):
        read = asked(app, hand, row)
        right = read["label"] == label
        batch.append(
            {
                "image": base64.b64encode(digits.to_png(hand.images[row])).decode(),
                "label": int(label),
                "kind": "confirmation" if right else "correction",
                "predicted": read["label"],
                "confidence": max(read["probabilities"]),
                "version": read["version"],
                "key": f"digit {row}",
            }
        )
    answer = app.post("/v1/corrections:batch", json={"corrections": batch}, headers=hand.phone.headers)
    assert {each["status"] for each in answer.json()["answers"]} == {201}, answer.text
    return sum(each["kind"] == "correction" for each in batch)


def sync(server: Server, folder: Path, root: Path) -> dict[str, Any]:
    """``loop device sync`` in a process of its own."""
    return device("sync", "--url", f"{server.url}/v1", "--state", str(folder), "--root", str(root))


def device(*arguments: str) -> dict[str, Any]:
    """``loop device …`` in a process of its own."""
    command = [sys.executable, "-m", "loop", "device", *arguments, "--json"]
    done = subprocess.run(command, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def announce(home: Home, policy: AskingPolicy) -> None:
    """Set a policy and publish it, as a scheduler does."""
    with home.store.exclusive() as tx:
        policies.add(tx, SetPolicy(asdict(policy), ("a test",), "ops", utc_now()))
    upkeep.follow(home, WHY, utc_now())


def unsure(server: Server, synced: dict[str, Any], folder: Path, margin: float) -> list[tuple[Path, int]]:
    """Pictures of digits that the phone's model is unsure of, with what they are."""
    corpus = homes.corpus(server.home.settings, "mnist")
    reader = digit_classifier.classifier(coreml.load(Path(synced["model"]).read_bytes()))
    shares = np.sort(reader.probabilities(corpus.train_images), axis=1)
    found = []
    for row in np.flatnonzero(shares[:, -1] - shares[:, -2] < margin)[:3]:
        path = folder / f"{row}.png"
        path.write_bytes(digits.to_png(corpus.train_images[row]))
        found.append((path, int(corpus.train_labels[row])))
    return found


def accuracy(synced: dict[str, Any], people: list[Hand]) -> float:
    """The accuracy of the model on the phone for these writers."""
    reader = digit_classifier.classifier(coreml.load(Path(synced["model"]).read_bytes()))
    images, labels = np.concatenate([p.images for p in people]), np.concatenate([p.labels for p in people])
    return float((reader.probabilities(images).argmax(1) == labels).mean())


@pytest.mark.slow
def test_the_circle(server: Server, tmp_path: Path) -> None:
    """Upload, night, feed, sync, rollback, sync: the phone ends with its first model; the sequence only rises."""
    home, root, folder = server.home, tmp_path / "root.json", tmp_path / "phone"
    root.write_bytes(authority.first(home))
    people = hands(server)
    app, ops = server.client("app"), server.client("ops")

    upkeep.follow(home, WHY, utc_now())  # what a scheduler does
    first = sync(server, folder, root)
    assert first["current"]["version"] == 1

    corrections = sum(told(app, hand) for hand in people)
    assert corrections > 100
    season(home.store)

    slot = ops.post("/v1/runs", json={"family": "cnn"}).json()["slot"]
    done = retrain.run(home, slot=slot)
    assert done.version is not None, done.reason
    assert done.judged is not None
    assert done.judged.outcome == "passed", [r.text for v in done.judged.verdicts.values() for r in v.reasons]
    upkeep.follow(home, WHY, utc_now())
    [run] = [each for each in ops.get("/v1/runs").json() if each["slot"] == slot]
    assert (run["status"], run["version"]) == ("finished", 2)
    assert ops.get("/v1/versions/2").json()["alias"] == "champion"

    second = sync(server, folder, root)
    assert (second["current"]["version"], second["previous"]["version"]) == (2, 1)
    assert accuracy(second, people) > accuracy(first, people) + 0.1

    moved = ops.post("/v1/rollbacks", json={"family": "cnn", "reason": "a test"})
    assert moved.status_code == 201, moved.text
    assert asked(app, people[0], 0)["version"] in {1, 2}  # the server looks once a second

    third = sync(server, folder, root)
    assert third["current"] == first["current"]
    assert first["sequence"] < second["sequence"] < third["sequence"] == moved.json()["sequence"]
    for client in (app, ops):
        client.close()


@pytest.mark.slow
def test_a_phone_is_unsure(server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Sync, draw, send; a night asks, a reviewer answers: an accepted upload with that label. Then the user answers."""
    home, root, folder = server.home, tmp_path / "root.json", tmp_path / "phone"
    root.write_bytes(authority.first(home))
    announce(home, AskingPolicy(300_000, 1_000_000, 10_000))
    (first, label), (second, other), (third, _) = unsure(server, sync(server, folder, root), tmp_path, 0.3)

    def draw(picture: Path, answer: int | None = None) -> dict[str, Any]:
        """The same as a process, in less time."""
        drawing.draw(picture, folder, f"{server.url}/v1", server.keys["app"], answer=answer, as_json=True)
        found: dict[str, Any] = json.loads(capsys.readouterr().out)
        return found

    place = ("--state", str(folder), "--send", f"{server.url}/v1", "--key", server.keys["app"])

    done = device("draw", str(first), *place)
    assert (done["unsure"], done["send"], done["ask"], done["rate"]) == (True, True, False, 1.0)
    again = draw(first)
    assert (again["known"], again["sent"]["id"], again["sent"]["duplicate"]) == (True, done["sent"]["id"], True)
    assert nightly.ask(home, "cnn", utc_now()).why.startswith("1 new question")
    [question] = review.hand_out(home.store, "anna", 5, utc_now(), 60)
    review.answer(home.store, "anna", question.id, Word(label), utc_now())
    with home.store.read() as tx:
        row = tx.get_one(tables.Correction, done["sent"]["id"])
        assert (row.kind, row.status, row.label, row.version) == (Kind.DRAWING, Status.ACCEPTED, label, 1)

    announce(home, AskingPolicy(300_000, 1_000_000, 10_000, ask_user=True, asked_a_day=1))
    sync(server, folder, root)
    asking = draw(second)
    assert (asking["ask"], asking["sent"]) == (True, None)
    answered = draw(second, other)
    assert draw(third)["ask"] is False
    with home.store.read() as tx:
        row = tx.get_one(tables.Correction, answered["sent"]["id"])
        assert (row.kind, row.status, row.label, row.rate) == (Kind.ASKED, Status.ACCEPTED, other, 1.0)
