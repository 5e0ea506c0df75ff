"""A source changes its mind about an image: its latest word is taught and judged, the earlier ones are history."""

import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import pairwise

import numpy as np
import pytest
from sqlalchemy import func, insert, select

from loop import intake
from loop.data import digits
from loop.errors import BadField, BadLabel, MissingField
from loop.intake import Receipt, Upload
from loop.store import Store, tables
from loop.store.feedback import corrections, live_scores, own_uploads
from loop.store.nights import slots
from loop.store.values import Kind, Role, Status
from tests.conftest import NOW

MINUTE = timedelta(minutes=1)


def blot(seed: int = 0) -> digits.Digit:
    """A digit; each seed gives another."""
    return digits.digit(np.random.default_rng(seed).integers(0, 256, (28, 28)).astype(np.uint8))


FOUR = Upload("a phone", blot(), 4, "first", predicted=9, confidence=0.6, version=1)
SEVEN = replace(FOUR, label=7, key="second")


def send(store: Store, *uploads: Upload, at: datetime = NOW) -> list[Receipt]:
    """Store uploads one by one; their receipts."""
    return [intake.accept(store, upload, 0.0, at + n * MINUTE) for n, upload in enumerate(uploads)]


def statuses(store: Store) -> list[Status]:
    """The status of every row, oldest first."""
    with store.read() as tx:
        return [Status(each) for each in tx.scalars(select(tables.Correction.status).order_by(tables.Correction.id))]


def taught(store: Store, role: Role = Role.TRAIN) -> list[int]:
    """The labels of everything that would be taught, or judged."""
    with store.read() as tx:
        return [int(label) for label in corrections.pool(tx, role).labels]


def withdraw(store: Store, receipt: Receipt) -> None:
    """Take an upload back."""
    with store.exclusive() as tx:
        own_uploads.withdraw(tx, "a phone", receipt.id)


def test_the_latest_word_is_taught(store: Store) -> None:
    """First 4, later 7: both rows are kept, the answer names the earlier one, and only the 7 is taught."""
    first, second = send(store, FOUR, SEVEN)
    assert (first.supersedes, second.supersedes) == (None, first.id)
    assert not second.duplicate
    assert statuses(store) == [Status.SUPERSEDED, Status.ACCEPTED]
    assert taught(store) == [7]


@pytest.mark.parametrize("keys", [("a", "b", "c"), (None, None, None)], ids=["keyed", "without keys"])
def test_going_back_to_the_first_label(store: Store, keys: Sequence[str | None]) -> None:
    """4, 7, 4: the first label counts again, as a third row; a repetition of it then is a duplicate."""
    first, second, third = send(
        store, *(replace(FOUR, label=label, key=key) for label, key in zip((4, 7, 4), keys, strict=True))
    )
    assert (second.supersedes, third.supersedes) == (first.id, second.id)
    assert taught(store) == [4]
    (again,) = send(store, replace(FOUR, key=None))
    assert (again.id, again.duplicate, again.supersedes) == (third.id, True, None)


def test_a_retry_changes_nothing(store: Store) -> None:
    """The first upload, resent after the second, is answered as at first, and the second stays current."""
    first, second = send(store, FOUR, SEVEN)
    assert send(store, FOUR) == [replace(first, status=Status.SUPERSEDED, replayed=True)]
    assert send(store, SEVEN) == [replace(second, replayed=True)]
    assert taught(store) == [7]


@pytest.mark.parametrize(
    ("earlier", "later", "expected"),
    [
        (None, None, 7),
        (1, None, 7),
        (None, -1, 7),
        (-2, -1, 7),
        (-1, -1, 7),
        (-1, -2, 4),
        (+9, -1, 7),  # captured after it was received: the phone's clock is wrong
        (-1, +9, 7),
    ],
)
def test_which_word_is_the_latest(store: Store, earlier: int | None, later: int | None, expected: int) -> None:
    """Order of arrival decides, unless both times of capture are known and say otherwise."""
    times = [None if minutes is None else NOW + minutes * MINUTE for minutes in (earlier, later)]
    answers = [
        intake.accept(store, replace(upload, captured_at=at), 0.0, NOW)
        for upload, at in zip((FOUR, SEVEN), times, strict=True)
    ]
    assert taught(store) == [expected]
    assert answers[1].supersedes == (answers[0].id if expected == 7 else None)
    assert len(statuses(store)) == 2


def test_late_retries_without_a_key_are_one_row(store: Store) -> None:
    """The earlier word, sent again and again without a key after the later one, adds no row and is never taught."""
    early, later = (replace(each, key=None, captured_at=NOW - n * MINUTE) for each, n in ((FOUR, 2), (SEVEN, 1)))
    first, second = send(store, early, later)
    assert [answer.id for answer in send(store, early, early)] == [first.id, first.id]
    assert taught(store) == [7]
    assert second.supersedes == first.id


@pytest.mark.parametrize("kind", [Kind.NOT_A_DIGIT, Kind.UNREADABLE])
def test_what_is_no_digit_is_kept_and_never_taught(store: Store, kind: Kind) -> None:
    """It supersedes a label, a label supersedes it; meanwhile nothing is taught, judged, scored or fresh."""
    no_digit = replace(FOUR, label=None, kind=kind, key="none")
    first, second = send(store, FOUR, no_digit)
    assert second.supersedes == first.id
    assert statuses(store) == [Status.SUPERSEDED, Status.NOTED]
    with store.read() as tx:
        assert corrections.counts(tx)[Role.TRAIN, kind, Status.NOTED] == 1
        assert live_scores.sums(tx, 0.0) == []
        assert live_scores.backlog(tx) == 1  # the first upload's
        assert slots.fresh(tx, "cnn", 10) == 0
    assert taught(store) == []
    send(store, SEVEN)
    assert taught(store) == [7]


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"label": None}, MissingField),
        ({"kind": Kind.UNREADABLE}, BadLabel),
        ({"kind": Kind.NOT_A_DIGIT, "label": 0}, BadLabel),
        ({"kind": Kind.CONFIRMATION, "label": None}, MissingField),
        ({"kind": Kind.UNREADABLE, "label": None, "predicted": 10}, BadField),
    ],
)
def test_label_and_kind_must_agree(change: dict[str, object], error: type[Exception]) -> None:
    """A label is required for the kinds that have one, and refused for the others."""
    with pytest.raises(error):
        intake.prepare(replace(FOUR, **change), NOW)


def test_judged_once(store: Store) -> None:
    """The holdout's slice takes one word of an image, too."""
    for upload in (FOUR, SEVEN):
        intake.accept(store, upload, 1.0, NOW)
    assert taught(store, Role.HOLDOUT) == [7]


def test_live_accuracy_counts_the_latest_word(store: Store) -> None:
    """A phone whose user first says 4 and then agrees with its 9 was right once, and wrong never."""
    agreed = replace(FOUR, label=9, kind=Kind.CONFIRMATION, key="second")
    send(store, FOUR, agreed)
    with store.write() as tx:
        tx.execute(insert(tables.Run).values(**RUN))
        tx.execute(insert(tables.Version).values(**VERSION))
        (sums,) = live_scores.sums(tx, 0.0)
    assert (sums.n, sums.right, sums.wrong) == (1, 1.0, 0.0)


RUN = {
    "id": 1,
    "family": "cnn",
    "kind": "base",
    "status": "finished",
    "holder": "x",
    "lease_until": NOW,
    "started_at": NOW,
    "seconds": {},
}
DIGESTS = ("artifact_digest", "weights_digest", "base_digest", "report_digest", "golden_digest", "recipe_digest")
VERSION = {
    "number": 1,
    "family": "cnn",
    "run_id": 1,
    "artifact_bytes": 1,
    "recipe": {},
    "seed": 0,
    "summary": {},
    "registered_at": NOW,
} | dict.fromkeys(DIGESTS, "0" * 64)


def test_a_withdrawn_word(store: Store) -> None:
    """It is not taught, the earlier word does not come back, a retry stays a retry, and a new key says it anew."""
    _, second = send(store, FOUR, SEVEN)
    withdraw(store, second)
    assert statuses(store) == [Status.SUPERSEDED, Status.WITHDRAWN]
    assert send(store, SEVEN) == [replace(second, status=Status.WITHDRAWN, replayed=True)]
    (unkeyed,) = send(store, replace(SEVEN, key=None))
    assert (unkeyed.id, unkeyed.duplicate) == (second.id, True)
    assert taught(store) == []
    (again,) = send(store, replace(SEVEN, key="third"))
    assert (again.duplicate, again.supersedes) == (False, None)
    assert taught(store) == [7]


def test_a_word_from_before_the_withdrawn_one(store: Store) -> None:
    """It was captured earlier than the word that the user took back, so it is history when it arrives."""
    (second,) = send(store, replace(SEVEN, captured_at=NOW - MINUTE))
    withdraw(store, second)
    send(store, replace(FOUR, captured_at=NOW - 2 * MINUTE))
    assert statuses(store) == [Status.WITHDRAWN, Status.SUPERSEDED]
    assert taught(store) == []


def test_withdrawing_a_word_of_the_past(store: Store) -> None:
    """The current word stays, whichever earlier one is taken back, and the next word supersedes it."""
    first, second = send(store, FOUR, SEVEN)
    withdraw(store, first)
    assert taught(store) == [7]
    (third,) = send(store, replace(FOUR, label=1, key="third"))
    assert third.supersedes == second.id
    assert taught(store) == [1]


def together(*jobs: Callable[[], object]) -> None:
    """Run all at the same moment, each in a thread of its own."""
    gate, failed = threading.Barrier(len(jobs)), []

    def run(job: Callable[[], object]) -> None:
        gate.wait()
        try:
            job()
        except Exception as error:  # noqa: BLE001 (raised below)
            failed.append(error)

    threads = [threading.Thread(target=run, args=(job,)) for job in jobs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert failed == []


@pytest.mark.slow
@pytest.mark.parametrize("batch", [1, 4], ids=["singly", "in batches"])
def test_words_at_the_same_moment(store: Store, url: str, batch: int) -> None:
    """Four writers relabel three images at once: each image has one current word, and one chain leads to it."""
    stores = [store, *(Store(url) for _ in range(3))]

    def writer(number: int) -> Callable[[], object]:
        rng = np.random.default_rng(number)
        sent = [
            replace(FOUR, image=blot(n % 3), label=int(rng.integers(10)), key=f"{number} {n}", predicted=None)
            for n in range(24)
        ]
        prepared = [intake.prepare(each, NOW) for each in sent]
        parts = [prepared[start : start + batch] for start in range(0, len(prepared), batch)]
        return lambda: [intake.commit(stores[number], part, 0.0, NOW) for part in parts]

    together(*(writer(number) for number in range(4)))
    for each in stores[1:]:
        each.close()
    with store.read() as tx:
        rows = tx.execute(
            select(
                tables.Correction.digest,
                tables.Correction.id,
                tables.Correction.label,
                tables.Correction.status,
                tables.Correction.supersedes,
            ).order_by(tables.Correction.id)
        ).all()
    for image in range(3):
        chain = [row for row in rows if row.digest == blot(image).digest]
        assert [row.supersedes for row in chain] == [None, *(row.id for row in chain[:-1])]
        assert [row.status for row in chain] == [Status.SUPERSEDED] * (len(chain) - 1) + [Status.ACCEPTED]
        assert all(one.label != other.label for one, other in pairwise(chain))


@pytest.mark.slow
def test_words_and_withdrawals_at_the_same_moment(store: Store) -> None:
    """While one thread relabels and another takes back what it sees, nothing withdrawn is ever taught."""
    receipts: list[Receipt] = []

    def relabel() -> None:
        for n in range(40):
            receipts.extend(send(store, replace(FOUR, label=n % 10, key=f"word {n}", predicted=None)))

    def undo() -> None:
        seen = 0
        while seen < 20:
            if len(receipts) > seen:
                withdraw(store, receipts[seen])
                seen += 1

    together(relabel, undo)
    with store.read() as tx:
        status = select(tables.Correction.status, func.count()).group_by(tables.Correction.status)
        counted = dict(tx.execute(status).all())
    assert counted[Status.WITHDRAWN] == 20
    assert counted.get(Status.ACCEPTED, 0) <= 1
    assert sum(counted.values()) == len({receipt.id for receipt in receipts})
