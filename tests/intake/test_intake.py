"""One upload, stored once or refused with a reason, on both databases."""

import io
import threading
from dataclasses import replace
from datetime import datetime, timedelta

import numpy as np
import pytest
from PIL import Image
from sqlalchemy import select

from loop import intake
from loop.data import digits
from loop.errors import (
    BadField,
    BadIdempotencyKey,
    BadImage,
    BadLabel,
    BadRate,
    ClientError,
    KeyConflict,
    MissingField,
    QuotaSpent,
)
from loop.intake import Receipt, Upload
from loop.store import Store, tables
from loop.store.feedback import corrections, split
from loop.store.values import Kind, Role, Status


def drawn(seed: int = 0) -> bytes:
    """PNG of a 28×28 random picture; each seed gives another."""
    pixels = np.random.default_rng(seed).integers(0, 256, (28, 28)).astype(np.uint8)
    return digits.to_png(pixels)


UPLOAD = Upload(source="phone-1", image=drawn(), label=7, key="k1", predicted=1, confidence=0.6, version=1)


def stored(store: Store) -> int:
    """The number of uploads in the store."""
    with store.read() as tx:
        return sum(corrections.counts(tx).values())


def test_what_the_phone_saw_is_what_is_stored(store: Store, now: datetime) -> None:
    """A 28×28 grayscale PNG is stored bit for bit, with its label."""
    intake.accept(store, UPLOAD, 0.0001, now)
    with store.read() as tx:
        pool = corrections.pool(tx, Role.TRAIN)
    assert pool.pixels[0].tobytes() == Image.open(io.BytesIO(drawn())).tobytes()
    assert pool.labels.tolist() == [7]


def test_resent_is_the_same(store: Store, now: datetime) -> None:
    """The same key and body twice, a day apart: one row, and the second answer is the first."""
    first = intake.accept(store, UPLOAD, 0.2, now)
    second = intake.accept(store, UPLOAD, 0.2, now + timedelta(days=1))
    assert (first.duplicate, first.replayed) == (False, False)
    assert second == replace(first, replayed=True)
    assert first.received_at == now
    assert stored(store) == 1


@pytest.mark.parametrize("change", [{"label": 3}, {"image": drawn(1)}, {"confidence": 0.7}])
def test_another_body_under_the_same_key(store: Store, now: datetime, change: dict[str, object]) -> None:
    """A key belongs to one body; another body is refused, and nothing of it is stored."""
    intake.accept(store, UPLOAD, 0.2, now)
    with pytest.raises(KeyConflict, match="already used for another upload"):
        intake.accept(store, replace(UPLOAD, **change), 0.2, now)
    assert stored(store) == 1


def test_same_image_and_label_count_once(store: Store, now: datetime) -> None:
    """Another key does not make the same drawing count twice; another source does."""
    intake.accept(store, UPLOAD, 0.2, now)
    assert intake.accept(store, replace(UPLOAD, key="k2"), 0.2, now).duplicate
    assert not intake.accept(store, replace(UPLOAD, source="phone-2"), 0.2, now).duplicate
    assert stored(store) == 2


def test_a_key_answered_as_duplicate_is_bound_too(store: Store, now: datetime) -> None:
    """A second key for a stored upload is answered as a duplicate, again on a retry, and never takes another body."""
    first = intake.accept(store, UPLOAD, 0.2, now)
    second = intake.accept(store, replace(UPLOAD, key="k2", confidence=0.9), 0.2, now + timedelta(hours=1))
    assert second == replace(first, duplicate=True)
    again = intake.accept(store, replace(UPLOAD, key="k2", confidence=0.9), 0.2, now + timedelta(hours=2))
    assert again == replace(second, replayed=True)
    with pytest.raises(KeyConflict):
        intake.accept(store, replace(UPLOAD, key="k2", image=drawn(5)), 0.2, now)
    assert stored(store) == 1


def test_without_a_key_the_content_is_the_key(store: Store, now: datetime) -> None:
    """Resent without a key, an upload is a duplicate whatever its other fields; a colliding key is a conflict."""
    blind = replace(UPLOAD, key=None)
    first = intake.accept(store, blind, 0.2, now)
    assert intake.accept(store, replace(blind, confidence=0.1), 0.2, now) == replace(first, duplicate=True)
    taken = f"{digits.read(drawn(8)).digest[:40]}-7"
    intake.accept(store, replace(UPLOAD, key=taken, image=drawn(9)), 0.2, now)
    with pytest.raises(KeyConflict):
        intake.accept(store, replace(blind, image=drawn(8)), 0.2, now)
    assert stored(store) == 2


def test_a_day_of_uploads(store: Store, now: datetime) -> None:
    """Only new uploads count; past the quota a source must wait until midnight UTC, and other sources need not."""

    def send(*uploads: Upload, at: datetime = now) -> list[str]:
        answers = intake.commit(
            store, [intake.prepare(upload, at) for upload in uploads], 0.2, at, intake.Rules(per_day=2)
        )
        return [type(answer).__name__ for answer in answers]

    more = [replace(UPLOAD, key=f"q{i}", image=drawn(20 + i)) for i in range(4)]
    assert send(more[0], more[0], replace(more[0], key="q9")) == ["Receipt"] * 3
    assert send(more[1], more[2], more[0]) == ["Receipt", "QuotaSpent", "Receipt"]
    assert send(more[2], replace(more[2], source="phone-2")) == ["QuotaSpent", "Receipt"]
    (spent,) = intake.commit(store, [intake.prepare(more[3], now)], 0.2, now, intake.Rules(per_day=2))
    assert isinstance(spent, QuotaSpent)
    assert spent.retry_after == timedelta(hours=21).total_seconds()
    assert send(more[2], more[3], at=now + timedelta(seconds=spent.retry_after)) == ["Receipt", "Receipt"]
    assert stored(store) == 5


def test_what_is_new_waits_for_the_champion(store: Store, now: datetime) -> None:
    """One row of ``arrivals`` for each newly stored upload, none for a duplicate."""
    batch = [UPLOAD, replace(UPLOAD, key="k2"), replace(UPLOAD, key="k3", image=drawn(3), predicted=None)]
    receipts = intake.accept_many(store, [*batch, UPLOAD], 0.2, now)
    with store.read() as tx:
        waiting = tx.execute(select(tables.Arrival.correction_id, tables.Arrival.scored_at)).all()
    assert sorted(waiting) == sorted({(receipt.id, None) for receipt in receipts if isinstance(receipt, Receipt)})


@pytest.mark.parametrize(
    ("change", "expected", "says"),
    [
        ({"label": 11}, BadLabel, "11"),
        ({"label": -1}, BadLabel, "-1"),
        ({"image": b""}, BadImage, "0 bytes|empty"),
        ({"image": b"hello, I am text"}, BadImage, "PNG or JPEG"),
        ({"image": drawn()[:60]}, BadImage, "PNG|truncated"),
        ({"image": digits.to_png(np.zeros((28, 28), np.uint8))}, BadImage, "blank"),
        ({"predicted": 7}, BadLabel, "contradict"),
        ({"kind": Kind.CONFIRMATION}, BadLabel, "contradict"),
        ({"kind": Kind.CONFIRMATION, "predicted": None}, MissingField, "send predicted"),
        ({"confidence": 1.5}, BadField, "0 to 1"),
        ({"confidence": float("nan")}, BadField, "0 to 1"),
        ({"rate": 0.0}, BadRate, "rate"),
        ({"version": 0}, BadField, "version"),
        ({"source": ""}, BadField, "source"),
        ({"source": "a\0b"}, BadField, "printable"),
        ({"source": "x" * 129}, BadField, "128"),
        ({"key": "\n"}, BadIdempotencyKey, "printable"),
        ({"captured_at": datetime(2026, 5, 3)}, BadField, "zone"),  # noqa: DTZ001 (the naive time under test)
    ],
)
def test_bad_uploads_store_nothing(
    store: Store, now: datetime, change: dict[str, object], expected: type[ClientError], says: str
) -> None:
    """Each bad field is a typed error of one line, and the store stays empty."""
    with pytest.raises(expected, match=says) as caught:
        intake.accept(store, replace(UPLOAD, **change), 0.2, now)
    assert "\n" not in str(caught.value)
    assert stored(store) == 0


def test_many_answers_stand_where_the_uploads_stood(store: Store, now: datetime) -> None:
    """A batch stores its valid uploads, and answer i belongs to upload i."""
    batch = [UPLOAD, replace(UPLOAD, key="k2", label=12), replace(UPLOAD, key="k3", image=drawn(3)), UPLOAD]
    answers = intake.accept_many(store, batch, 0.2, now)
    assert [type(answer).__name__ for answer in answers] == ["Receipt", "BadLabel", "Receipt", "Receipt"]
    assert stored(store) == 2


def test_a_source_never_changes_sides(store: Store, now: datetime) -> None:
    """Role is decided once: a later share of 100 % does not move a source that teaches."""
    with store.write() as tx:
        split.set_salt(tx, "salt")
    roles = [intake.accept(store, replace(UPLOAD, source=f"s{i}"), 0.5, now).role for i in range(20)]
    again = [intake.accept(store, replace(UPLOAD, source=f"s{i}"), 0.999, now).role for i in range(20)]
    assert roles == again
    assert set(roles) == {Role.TRAIN, Role.HOLDOUT}


def test_the_split_is_a_fair_salted_hash() -> None:
    """The holdout's share is met within four standard errors, and another salt gives another split."""
    names = [f"source-{i}" for i in range(4000)]
    one = [split.role_of(name, "a", 0.2) for name in names]
    two = [split.role_of(name, "b", 0.2) for name in names]
    held = one.count(Role.HOLDOUT) / 4000
    assert abs(held - 0.2) < 4 * (0.2 * 0.8 / 4000) ** 0.5
    both = sum(a == b == Role.HOLDOUT for a, b in zip(one, two, strict=True)) / 4000
    assert abs(both - 0.04) < 4 * (0.04 * 0.96 / 4000) ** 0.5


@pytest.mark.slow
def test_eight_phones_at_once(store: Store, now: datetime) -> None:
    """Concurrent uploads of the same sources and images are neither lost nor stored twice."""
    failures: list[BaseException] = []

    def send(start: int) -> None:
        try:
            for i in range(12):
                upload = replace(UPLOAD, source=f"s{(start + i) % 4}", key=f"k{i}", image=drawn(i))
                intake.accept(store, upload, 0.2, now)
        except BaseException as error:  # noqa: BLE001 (carried to the main thread and raised there)
            failures.append(error)

    threads = [threading.Thread(target=send, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert stored(store) == 48


def test_accepted_at_once(store: Store, now: datetime) -> None:
    """Today every stored upload has the status accepted."""
    assert intake.accept(store, UPLOAD, 0.2, now).status is Status.ACCEPTED


@pytest.mark.parametrize(
    ("pixels", "preparation"),
    [
        (np.where(np.indices((28, 28))[1] % 14 == 7, 255, 0), "kept"),
        (np.where(np.indices((28, 28))[1] % 14 == 7, 0, 255), "inverted"),
        (np.where(np.indices((90, 90))[1] // 10 == 4, 0, 255), "inverted; fitted"),
    ],
)
def test_what_was_done_to_a_picture_is_stored(
    store: Store, now: datetime, pixels: np.ndarray, preparation: str
) -> None:
    """The row of an upload states how its picture became the stored digit."""
    data = io.BytesIO()
    Image.fromarray(pixels.astype(np.uint8)).save(data, "PNG")
    intake.accept(store, replace(UPLOAD, image=data.getvalue()), 0.2, now)
    with store.read() as tx:
        assert tx.scalars(select(tables.Correction.preparation)).all() == [preparation]
