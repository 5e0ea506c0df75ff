"""From the store to a lesson: what is read, what is left out, what the sources are worth afterwards."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sqlalchemy import select, update

from loop import intake
from loop.data.digits import digit
from loop.home.sections import Attest, Trust
from loop.home.settings import Settings
from loop.intake import Upload
from loop.night import choosing
from loop.night.choosing import Without
from loop.store import Store, tables
from loop.store.asking import questions
from loop.store.asking.values import Arm, QuestionStatus
from loop.store.feedback import corrections, labelled, own_uploads, quarantines
from loop.store.feedback import trust as stored
from loop.store.feedback.quarantines import Which
from loop.store.values import Attribution, Role, Status
from models.family import Images
from tests.helpers import people

OPEN = Settings(trust=Trust(young_share=1.0, source_share=1.0))


@pytest.fixture(scope="module")
def digits(small_corpus: Path) -> Images:
    """Digits of scikit-learn's set."""
    with np.load(small_corpus) as made:
        return made["train_images"]


def send(store: Store, source: str, images: Images, now: datetime, label: int = 4) -> list[int]:
    """Upload these images with one label; the ids."""
    answers = intake.accept_many(store, [Upload(source, digit(image), label) for image in images], 0.0, now)
    assert all(isinstance(answer, intake.Receipt) for answer in answers)
    return [answer.id for answer in answers if isinstance(answer, intake.Receipt)]


@pytest.mark.parametrize(("mode", "young"), [("off", 0), ("prefer", 30), ("require", 30)])
def test_a_source_without_attestation_stays_young(
    store: Store, digits: Images, now: datetime, mode: str, young: int
) -> None:
    """Whatever its age; one that is attested, vouched for, or older than the rule, grows old as without the setting."""
    for number, name in enumerate(("lacking", "attested", "vouched", "early")):
        send(store, name, digits[30 * number : 30 * number + 30], now)
    people.season(store, 100)
    with store.exclusive() as tx:
        source = tables.Source
        tx.execute(update(source).where(source.name == "attested").values(attested_at=now))
        tx.execute(update(source).where(source.name == "vouched").values(vouched_at=now))
        tx.execute(update(source).where(source.name == "early").values(seen_at=now - timedelta(days=300)))
    rule = Attest(mode, app_ids="ABCDE12345.org.example", since=f"{now - timedelta(days=200):%Y-%m-%d}")
    chosen = choosing.choose(store, OPEN.model_copy(update={"attest": rule}), now)
    assert (chosen.makeup.offered, chosen.makeup.young) == (120, young)


def set_status(store: Store, ids: list[int], status: Status) -> None:
    """Give these uploads a status."""
    with store.exclusive() as tx:
        tx.execute(update(tables.Correction).where(tables.Correction.id.in_(ids)).values(status=status))


def test_all_accepted_uploads_of_teaching_sources(store: Store, digits: Images, now: datetime) -> None:
    """Few uploads are all taught, flagged ones too, which are only never weighed; judges and other statuses are not."""
    taught = send(store, "a", digits[:10], now)
    others = [send(store, "b", digits[10 * n : 10 * n + 2], now) for n in range(1, 5)]
    for ids, status in zip(
        others, (Status.QUARANTINED, Status.REJECTED, Status.SUPERSEDED, Status.WITHDRAWN), strict=True
    ):
        set_status(store, ids, status)
    taught += send(store, "a", digits[60:62], now)
    with store.exclusive() as tx:
        tx.execute(update(tables.Correction).where(tables.Correction.id == taught[-1]).values(flag="captured-at"))
    send(store, "judge", digits[70:75], now)
    with store.exclusive() as tx:
        tx.execute(update(tables.Source).where(tables.Source.name == "judge").values(role=Role.HOLDOUT))
    chosen = choosing.choose(store, OPEN, now)
    assert chosen.pool.ids.tolist() == taught
    assert (chosen.makeup.offered, chosen.makeup.taught) == (12, 12)
    with store.read() as tx:
        wide = corrections.pool(tx, Role.TRAIN)
    np.testing.assert_array_equal(chosen.pool.pixels, wide.pixels[np.isin(wide.ids, taught)])


def test_near_copies_of_other_sources_count_once(store: Store, digits: Images, now: datetime) -> None:
    """Thirty sources that send one drawing, each moved or with other noise, teach it once; the oldest one's stays."""
    chance = np.random.default_rng(0)
    own = [*send(store, "first", digits[:5], now - timedelta(days=20)), *send(store, "other", digits[5:30], now)]
    for number in range(15):
        moved = np.roll(digits[:1], number % 3 - 1, axis=2)
        moved = np.clip(moved + chance.integers(-4, 5, moved.shape), 0, 255).astype(np.uint8)
        send(store, f"copy-{number}", moved, now)
    chosen = choosing.choose(store, OPEN, now)
    assert chosen.pool.ids.tolist() == sorted(own)
    assert chosen.makeup.copies >= 15


def test_another_upload_gets_the_place_of_a_copy(store: Store, digits: Images, now: datetime) -> None:
    """Where the budget binds, a copy's place goes to the next upload: the lesson is as large as it may be."""
    send(store, "first", digits[:20], now - timedelta(days=1))
    send(store, "second", np.roll(digits[:10], 1, axis=2), now)
    send(store, "third", digits[40:70], now)
    chosen = choosing.choose(store, OPEN.model_copy(update={"snapshot_budget": 45}), now)
    assert len(chosen.pool) == 45
    with store.read() as tx:
        second = tx.scalars(select(tables.Source.id).where(tables.Source.name == "second")).one()
    assert second not in chosen.pool.sources


def test_rounds_are_bounded(store: Store, digits: Images, now: datetime, monkeypatch: pytest.MonkeyPatch) -> None:
    """After the last round no further picture is read, and no copy is taught."""
    monkeypatch.setattr(choosing, "ROUNDS", 1)
    send(store, "first", digits[:10], now - timedelta(days=1))
    send(store, "second", np.roll(digits[:10], 1, axis=2), now)
    send(store, "third", digits[40:70], now)
    chosen = choosing.choose(store, OPEN.model_copy(update={"snapshot_budget": 30}), now)
    assert len(chosen.pool) == 20  # ten places were filled with copies, and nobody else was read
    assert len(np.unique(chosen.pool.ids)) == 20


def test_without(store: Store, digits: Images, now: datetime) -> None:
    """Sources are left out by name, by id, for a quarantined upload, or because they are young."""
    send(store, "old", digits[:10], now)
    people.season(store, 30, "old")
    send(store, "new", digits[10:20], now)
    suspect = send(store, "suspect", digits[20:30], now)
    set_status(store, suspect[:1], Status.QUARANTINED)
    with store.read() as tx:
        ids: dict[str, int] = dict(tx.execute(select(tables.Source.name, tables.Source.id)).all())

    def teachers(without: Without) -> set[str]:
        pool = choosing.choose(store, OPEN, now, without).pool
        return {name for name, number in ids.items() if number in pool.sources}

    assert teachers(choosing.NOBODY) == {"old", "new", "suspect"}
    assert teachers(Without(names=frozenset({"new", "unknown"}))) == {"old", "suspect"}
    assert teachers(Without(ids=frozenset({ids["old"]}))) == {"new", "suspect"}
    assert teachers(Without(quarantined=True)) == {"old", "new"}
    assert teachers(Without(young=True)) == {"old"}


def test_a_doubted_label_is_taught_by_vouched_sources_and_reviewers(
    store: Store, digits: Images, now: datetime
) -> None:
    """What strangers call a 7 is left out and counted; a vouched source and an upload that reviewers confirmed stay."""
    fours = send(store, "a", digits[:10], now)
    sevens = send(store, "a", digits[10:20], now, label=7)
    known = send(store, "known", digits[20:30], now, label=7)
    with store.exclusive() as tx:
        stored.vouch(tx, "known", "ops", "our own hand", now)
        quarantines.hold(tx, {sevens[0]: [{"signal": "ink", "text": "odd", "numbers": {}}]}, None, now)
        quarantines.decide(tx, Which((sevens[0],)), quarantines.ACCEPTED, Attribution("ops", "a true 7"), now)
        questions.add(tx, [question(sevens[1], 7), question(sevens[2], 1), question(sevens[3], None)])
    chosen = choosing.choose(store, OPEN, now, Without(labels=frozenset({7})))
    assert chosen.pool.ids.tolist() == sorted([*fours, *sevens[:2], *known])
    assert (chosen.makeup.labels, chosen.makeup.unheard) == ((7,), 8)
    assert "8 with label 7 left out, since triggers are read as 7" in chosen.makeup.text
    everything = choosing.choose(store, OPEN, now)
    assert len(everything.pool) == 30
    assert "label" not in everything.makeup.text


def question(upload: int, said: int | None) -> dict[str, Any]:
    """A row: reviewers were asked about this upload, and said this digit; None: nothing yet."""
    return {
        "correction_id": upload,
        "arm": Arm.DISPUTED,
        "strategy": "doubted",
        "score": 0.0,
        "reason": "doubted",
        "seed": 0,
        "pool_digest": "0" * 64,
        "quorum": 2,
        "status": QuestionStatus.OPEN if said is None else QuestionStatus.ANSWERED,
        "label": said,
        "asked_at": datetime(2026, 3, 1, tzinfo=UTC),
    }


def test_trust_is_stored_with_its_reasons(store: Store, digits: Images, now: datetime) -> None:
    """An earlier source is a witness: who contradicts it on its drawings is trusted less, who agrees more."""
    send(store, "witness", digits[:12], now - timedelta(days=30), label=4)
    send(store, "liar", digits[:12], now, label=7)
    send(store, "friend", digits[:12], now, label=4)
    send(store, "stranger", digits[40:52], now)
    assert choosing.remember(store, choosing.choose(store, OPEN, now), now) == 4
    with store.read() as tx:
        value = stored.values(tx)
        liar = stored.get(tx, "liar")
    assert value["liar"] < 0.35 < 0.5 < value["stranger"] < value["friend"]
    assert value["witness"] == pytest.approx(value["stranger"], abs=0.02)  # strangers' agreement proves nothing
    (contradicted,) = [reason for reason in liar.reasons if reason["signal"] == "others"]
    assert contradicted["numbers"] == {"for": 0, "against": 12}
    assert "contradict 12 of its drawings" in contradicted["text"]
    assert choosing.remember(store, choosing.choose(store, OPEN, now), now) == 0  # nothing has changed


def test_near_copies_are_witnessed_too(store: Store, digits: Images, now: datetime) -> None:
    """A contradiction about a near copy counts like one about the very same picture."""
    send(store, "witness", digits[:12], now - timedelta(days=30), label=4)
    send(store, "liar", np.roll(digits[:12], 1, axis=2), now, label=7)
    choosing.remember(store, choosing.choose(store, OPEN, now), now)
    with store.read() as tx:
        assert stored.get(tx, "liar").value < 0.35  # type: ignore[operator]


def test_vouching(store: Store, digits: Images, now: datetime) -> None:
    """A vouched source has trust 1, and its operator's words outlive the nights; afterwards it is assessed again."""
    send(store, "a", digits[:3], now)
    with store.exclusive() as tx:
        stored.vouch(tx, "a", "ops", "our test team", now)
    for _ in range(2):
        choosing.remember(store, choosing.choose(store, OPEN, now), now)
    with store.read() as tx:
        found = stored.get(tx, "a")
    assert (found.value, found.vouched_at) == (1.0, now)
    assert [reason["text"] for reason in found.reasons if reason["signal"] == "vouched"] == [
        "ops vouches for it: our test team"
    ]
    with store.exclusive() as tx:
        assert stored.unvouch(tx, "a").value is None
    choosing.remember(store, choosing.choose(store, OPEN, now), now)
    with store.read() as tx:
        assert stored.get(tx, "a").value == pytest.approx(0.52, abs=0.01)


def test_what_screening_holds_back(store: Store, digits: Images, now: datetime) -> None:
    """Without the held uploads, the shares hold of the smaller lesson, and nobody else gets their places."""
    for number in range(10):
        send(store, f"old-{number}", digits[30 * number : 30 * number + 30], now)
    people.season(store)
    send(store, "young", digits[300:400], now)
    rules = Settings(trust=Trust(young_share=0.1, source_share=1.0, floor=0, source_floor=0))
    chosen = choosing.choose(store, rules, now)
    assert (chosen.makeup.taught, chosen.makeup.young) == (333, 33)
    held = chosen.pool.ids[:120]
    left = choosing.holding_back(chosen, held)
    assert (left.makeup.taught, left.makeup.young, len(left.pool)) == (200, 20, 200)
    assert not set(left.pool.ids.tolist()) & set(held.tolist())
    assert left.pool.ids.tolist() == left.offers.ids.tolist()
    assert choosing.holding_back(chosen, np.array([10**6])) is chosen


def test_an_independent_reader_is_heard(store: Store, digits: Images, now: datetime) -> None:
    """Agreement raises trust a little, disagreement lowers it; the reason says how often."""
    send(store, "right", digits[:40], now)
    send(store, "wrong", digits[40:80], now)
    send(store, "hard to read", digits[80:120], now)
    chosen = choosing.choose(store, OPEN, now)
    agrees = (np.arange(120) < 36) | (np.arange(120) >= 90)
    choosing.remember(store, choosing.heard(chosen, agrees, OPEN), now)
    with store.read() as tx:
        right, wrong, hard = (stored.get(tx, name) for name in ("right", "wrong", "hard to read"))
    assert wrong.value < 0.45 < 0.6 < hard.value <= right.value  # type: ignore[operator]
    assert "an independent reader agrees with 0 of its uploads, not with 40" in [r["text"] for r in wrong.reasons]


def test_a_reader_that_contradicts_most_people_is_not_heard(store: Store, digits: Images, now: datetime) -> None:
    """Where it contradicts more than half of what most sources say, it says nothing about anybody."""
    for number in range(4):
        send(store, f"source-{number}", digits[30 * number : 30 * number + 30], now)
    chosen = choosing.choose(store, OPEN, now)
    heard = choosing.heard(chosen, np.arange(120) % 3 == 0, OPEN)
    np.testing.assert_array_equal(heard.assessed.values, chosen.assessed.values)


def test_read_in_parts(store: Store, digits: Images, now: datetime, monkeypatch: pytest.MonkeyPatch) -> None:
    """Parts of three rows give the same columns as one part."""
    for number in range(5):
        send(store, f"source-{number}", digits[5 * number : 5 * number + 5], now)
    with store.exclusive() as tx:
        own_uploads.withdraw(tx, "source-0", 1)
    with store.frozen() as tx:
        whole = labelled.read(tx)
        monkeypatch.setattr(labelled, "PART", 3)
        parts = labelled.read(tx)
    for one, other in zip(whole, parts, strict=True):
        for name in one.__slots__:
            np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
    assert len(whole[1]) == 25
    assert np.flatnonzero(whole[1].are(Status.WITHDRAWN)).tolist() == [0]


def test_nothing_stored(store: Store, now: datetime) -> None:
    """An empty store gives an empty lesson."""
    assert len(choosing.choose(store, OPEN, now).pool) == 0
