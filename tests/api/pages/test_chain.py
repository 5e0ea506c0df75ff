"""The whole chain: phones draw and are unsure, a reviewer answers on the page, a night learns it, the gate sees it."""

import base64
import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select
from typer.testing import CliRunner

import models
from loop import home as homes
from loop.asking import nightly
from loop.cli import app, device, drawing
from loop.clock import utc_now
from loop.data import digits
from loop.evaluation.verdict import USERS, Outcome
from loop.feed import authority, upkeep
from loop.feed.asking import AskingPolicy
from loop.home import Home
from loop.home.sections import Asking, Serving
from loop.night import retrain, worth
from loop.night.retrain import Night
from loop.store import tables
from loop.store.asking.values import Arm, QuestionStatus
from loop.store.feedback import split
from loop.store.values import Kind, Role, Status
from models.family import Images, Labels
from tests.api.pages.conftest import Site, Visitor
from tests.api.pages.test_review import begun, shown, type_
from tests.api.test_circle import WHY, announce
from tests.helpers import linear, stores
from tests.helpers.people import season
from tests.night.test_retrain import LENIENT, rolled, settings

PEOPLE, EACH = 10, 11
POLICY = AskingPolicy(margin_ppm=600_000, unsure_ppm=1_000_000, other_ppm=0)
"""No lots decide, so the pool is always the same."""
ASK = Asking(per_day=90, random_share=0.65, source_share=0.2, digit_share=0.5)
LEAST_JUDGES = 20
"""In place of 100, which would take minutes to type."""


@dataclass(frozen=True, slots=True)
class Phone:
    """One user's phone: its folder, the secret of its source, and the digits that its user draws."""

    folder: Path
    secret: str
    images: Images
    labels: Labels


@pytest.fixture
def site(tmp_path: Path, small_corpus: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """A server with keys for its feed and a base, whose CNN family is the linear one."""
    monkeypatch.setattr(models, "get", models.get)  # so that both are put back
    monkeypatch.setattr(homes, "corpus", homes.corpus)
    linear.install(small_corpus)
    own = {"serve": Serving(source_per_minute=1000), "ask": ASK, "gate": replace(LENIENT, minimum_confirmations=1)}
    home = homes.at(settings(f"sqlite:///{tmp_path / 'loop.db'}", tmp_path).model_copy(update=own), migrated=False)
    stores.migrate(home.store)
    with home.store.write() as tx:
        split.set_salt(tx, "salt")  # which phones judge
    retrain.create_base(home)
    authority.create(home, 3, 2, 365, None, WHY, utc_now())
    made = Site(home)
    made.start()
    yield made
    made.stop()
    home.store.close()


def phones(home: Home, folder: Path) -> list[Phone]:
    """Ten phones of people who shift their digits sideways; their secrets, and so the split, are always the same."""
    corpus = homes.corpus(home.settings, "mnist")
    found = []
    for who in range(PEOPLE):
        secret = base64.urlsafe_b64encode(hashlib.sha256(f"unsure {who}".encode()).digest()).rstrip(b"=").decode()
        mine = slice(who * EACH, (who + 1) * EACH)
        found.append(
            Phone(folder / f"phone-{who}", secret, rolled(corpus.train_images[mine]), corpus.train_labels[mine])
        )
    return found


def sync(site: Site, phone: Phone, root: Path, capsys: pytest.CaptureFixture[str]) -> int:
    """``loop device sync``; the version that the phone runs then."""
    device.sync(f"{site.url}/v1", phone.folder, root, as_json=True)
    version: int = json.loads(capsys.readouterr().out)["current"]["version"]
    return version


def draw(site: Site, phone: Phone, picture: Path, capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    """``loop device draw``, which sends what the policy says."""
    drawing.draw(picture, phone.folder, f"{site.url}/v1", site.keys["app"], phone.secret, as_json=True)
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def drawn(site: Site, people: list[Phone], folder: Path, capsys: pytest.CaptureFixture[str]) -> dict[int, int]:
    """Every person draws their digits; what each drawing that was sent shows, by its number."""
    labels = {}
    for phone in people:
        for row, label in enumerate(phone.labels):
            picture = folder / "drawn.png"
            picture.write_bytes(digits.to_png(phone.images[row]))
            done = draw(site, phone, picture, capsys)
            assert done["unsure"] == (done["sent"] is not None)
            if done["sent"] is not None:
                labels[done["sent"]["id"]] = int(label)
    return labels


def answered_on_the_page(visitor: Visitor, site: Site, labels: dict[int, int]) -> None:
    """A reviewer types what each digit is, takes one answer back, and types it again."""
    with site.home.store.read() as tx:
        asked = {row.id: row.correction_id for row in tx.scalars(select(tables.Question))}
    begun(visitor)
    seen: set[int] = set()
    while len(seen) < len(asked):
        number = visitor.until(lambda: shown(visitor) not in seen and shown(visitor))
        label = labels[asked[number] or 0]
        if not seen:
            type_(visitor, f"{(label + 1) % 10}z")
            assert shown(visitor) == number
        type_(visitor, str(label))
        seen.add(number)
    visitor.until(lambda: "Nothing to do" in visitor.text("empty"), 30)


def agreed(home: Home, labels: dict[int, int]) -> dict[int, tuple[Role, Arm]]:
    """The drawings that were asked about, which all have the typed label now: whether they teach, and why asked."""
    question, upload, source = tables.Question, tables.Correction, tables.Source
    query = (
        select(upload.id, upload.label, upload.kind, upload.status, question.status, source.role, question.arm)
        .join(question, question.correction_id == upload.id)
        .join(source, source.id == upload.source_id)
    )
    found = {}
    with home.store.read() as tx:
        for number, label, kind, status, asked, role, arm in tx.execute(query):
            assert (label, kind, status) == (labels[number], Kind.DRAWING, Status.ACCEPTED)
            assert asked == QuestionStatus.ANSWERED
            found[number] = Role(role), Arm(arm)
    return found


def lessons(home: Home) -> dict[int, int]:
    """The uploads in all snapshots, with the label that was taught."""
    with home.store.read() as tx:
        return {item.correction_id: item.label for item in tx.scalars(select(tables.SnapshotItem))}


def judged_by_all_users(night: Night, by_lot: int) -> None:
    """The report has the slice of all users, with every judging answer by lot; it carried the verdict, which passed."""
    assert night.judged is not None, night.reason
    score = night.judged.after.on(USERS)
    assert score is not None
    assert score.hands is not None
    assert score.n >= by_lot - score.hands  # the first drawing of a hand only begins its population
    reasons = {reason.check: reason for reason in night.judged.verdicts["good enough"].reasons}
    assert reasons[USERS].text.startswith("users: ")
    assert reasons["evidence"].numbers["carried_by"] == USERS, reasons["evidence"].text
    assert night.judged.outcome is Outcome.PASSED, [reason.text for reason in reasons.values()]


@pytest.mark.slow
def test_the_whole_chain(
    visitor: Visitor, site: Site, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """From ten unsure phones over the page to a lesson, a verdict about all users, a better model, and its worth."""
    home, root, people = site.home, tmp_path / "root.json", phones(site.home, tmp_path)
    root.write_bytes(authority.first(home))
    announce(home, POLICY)
    assert {sync(site, phone, root, capsys) for phone in people} == {1}

    sent = drawn(site, people, tmp_path, capsys)
    asked = nightly.ask(home, "cnn", utc_now())
    assert min(asked.random, asked.asked) > 20, asked
    answered_on_the_page(visitor, site, sent)
    found = agreed(home, sent)
    counts = Counter(found.values())
    assert len(found) == asked.random + asked.asked
    assert len(counts) == 4, counts  # both arms teach and judge

    season(home.store)  # the same phones on other days: only known hands judge
    night = retrain.run(home)
    assert lessons(home) == {number: sent[number] for number, (role, _) in found.items() if role is Role.TRAIN}
    judged_by_all_users(night, counts[Role.HOLDOUT, Arm.RANDOM])
    upkeep.follow(home, WHY, utc_now())
    assert {sync(site, phone, root, capsys) for phone in people} == {2}

    for name, value in {"HOME": home.settings.home, "DATABASE_URL": home.settings.url, "CORPUS": "digits"}.items():
        monkeypatch.setenv(f"LOOP_{name}", str(value))
    monkeypatch.setattr(worth, "LEAST_JUDGES", LEAST_JUDGES)
    said = CliRunner().invoke(app, ["worth", "--minutes", "2", "--seeds", "1"])
    sentence = r"to reach [\d.]+ %: \d+ asked \(.*\) against \d+ random \(.*; judged on \d+ answers of \d hands"
    assert re.match(sentence, said.stdout), said.output
