"""A batch gets the answers that its uploads would get one by one, however they are batched, on both databases."""

import json
import multiprocessing
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta, timezone
from functools import lru_cache
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import event, select

from loop import intake
from loop.data import digits
from loop.errors import KeyConflict, QuotaSpent
from loop.intake import Receipt, Upload
from loop.store import Store, tables
from loop.store.values import Kind, Status
from tests.conftest import NOW
from tests.helpers import forked

PER_DAY = 4
FAR = timezone(timedelta(hours=13, minutes=45))


@lru_cache
def blot(seed: int) -> digits.Digit:
    """A digit; each seed gives another."""
    return digits.digit(np.random.default_rng(seed).integers(0, 256, (28, 28)).astype(np.uint8))


@dataclass
class Model:
    """A naive model of the rules: one upload after the other, with plain dictionaries."""

    keys: dict[tuple[str, str], tuple[Upload, str, int]] = field(default_factory=dict)  # first body, answer, number
    words: list[Upload] = field(default_factory=list)  # by number
    current: dict[tuple[str, str], int] = field(default_factory=dict)  # the number of each image's current word
    used: dict[str, int] = field(default_factory=dict)

    def answer(self, upload: Upload) -> str:
        """The answer: ``stored 3``, ``stored 3 over 1``, ``duplicate 3``, with ``again``, or the name of the error."""
        body, word = replace(upload, key=None), upload.kind if upload.label is None else upload.label
        key = (upload.source, upload.key or f"{digest_of(upload)[:40]}-{word}")
        before = self.keys.get(key)
        if upload.key is not None and before is not None:
            return f"{before[1]} again" if before[0] == body else "KeyConflict"
        last = self.current.get((upload.source, digest_of(upload)))
        late = last is not None and captured_before(upload, self.words[last])
        repeated = last if last is not None and same_word(upload, self.words[last]) else None
        if repeated is None and late and before is not None and same_word(upload, self.words[before[2]]):
            repeated = before[2]
        if repeated is not None:
            if upload.key is not None:
                self.keys[key] = (body, f"duplicate {repeated}", repeated)
            return f"duplicate {repeated}"
        if before is not None and not same_word(upload, self.words[before[2]]):
            return "KeyConflict"
        if self.used.get(upload.source, 0) >= PER_DAY:
            return "QuotaSpent"
        self.used[upload.source] = self.used.get(upload.source, 0) + 1
        number = len(self.words)
        self.words.append(upload)
        answer = f"stored {number}"
        if not late:
            self.current[upload.source, digest_of(upload)] = number
            answer += "" if last is None else f" over {last}"
        self.keys.setdefault(key, (body, answer, number))
        return answer


def digest_of(upload: Upload) -> str:
    """The digest of its image."""
    assert isinstance(upload.image, digits.Digit)
    return upload.image.digest


def same_word(one: Upload, other: Upload) -> bool:
    """Whether two uploads say the same about the same image."""
    alike = one.label == other.label and (one.label is not None or one.kind == other.kind)
    return alike and digest_of(one) == digest_of(other)


def captured_before(one: Upload, other: Upload) -> bool:
    """Whether both times are known, and one is earlier; a time in the future is not known."""
    if one.captured_at is None or other.captured_at is None:
        return False
    return one.captured_at < other.captured_at <= NOW


def told(answers: Sequence[intake.Answer]) -> list[str]:
    """Answers in the model's words: uploads are numbered in the order in which they were first stored."""
    numbers: dict[int, int] = {}
    words = []
    for answer in answers:
        if isinstance(answer, Receipt):
            number = numbers.setdefault(answer.id, len(numbers))
            over = "" if answer.supersedes is None else f" over {numbers[answer.supersedes]}"
            words.append(f"{'duplicate' if answer.duplicate else 'stored'} {number}{over}{' again' * answer.replayed}")
        else:
            words.append(type(answer).__name__)
    return words


labelled = st.builds(
    Upload,
    source=st.sampled_from("ab"),
    image=st.integers(0, 3).map(blot),
    label=st.integers(0, 1),
    key=st.sampled_from([None, "k", "l", "m", f"{blot(0).digest[:40]}-0", f"{blot(1).digest[:40]}-1"]),
    confidence=st.sampled_from([None, 0.5]),
    captured_at=st.sampled_from([None, *(NOW + timedelta(minutes=minutes) for minutes in (-2, -1, 1))]),
)
uploads = st.one_of(
    labelled,
    st.builds(replace, labelled, label=st.none(), kind=st.sampled_from([Kind.NOT_A_DIGIT, Kind.UNREADABLE])),
)


@pytest.mark.slow
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(sent=st.lists(uploads, max_size=30), cuts=st.sets(st.integers(1, 29)))
def test_batching_changes_no_answer(store: Store, sent: list[Upload], cuts: set[int]) -> None:
    """However a stream of uploads is cut into batches, its answers equal those of the naive model."""
    fresh = secrets.token_hex(8)
    model = Model()
    expected = [model.answer(upload) for upload in sent]
    prepared = [intake.prepare(replace(upload, source=fresh + upload.source), NOW) for upload in sent]
    edges = [0, *sorted(cut for cut in cuts if cut < len(sent)), len(sent)]
    answers: list[intake.Answer] = []
    for start, end in pairwise(edges):
        answers += intake.commit(store, prepared[start:end], 0.2, NOW, intake.Rules(PER_DAY))
    assert told(answers) == expected
    with store.read() as tx:
        status = select(tables.Correction.status).join(tables.Source).where(tables.Source.name.startswith(fresh))
        found = tx.scalars(status.order_by(tables.Correction.id)).all()
    live = {Status.NOTED if model.words[n].label is None else Status.ACCEPTED for n in model.current.values()}
    assert [n for n, status in enumerate(found) if status != Status.SUPERSEDED] == sorted(model.current.values())
    assert set(found) <= live | {Status.SUPERSEDED}
    assert len(found) == len(model.words)


def test_every_column_is_kept(store: Store, now: datetime) -> None:
    """The row equals the prepared upload to the last bit and microsecond, including absent fields."""
    at = now.replace(microsecond=123_456)
    full = Upload("sé", blot(1), 3, "ключ \"'\\", Kind.CONFIRMATION, 3, 0.1 + 0.2, 9, 1 / 3, at.astimezone(FAR))
    sent = [intake.prepare(upload, at) for upload in (full, Upload("t", blot(2), 0))]
    intake.commit(store, sent, 0.2, now)
    with store.read() as tx:
        found = tx.scalars(select(tables.Correction).order_by(tables.Correction.id)).all()
    for prepared, row in zip(sent, found, strict=True):
        assert {name: getattr(row, name) for name in prepared.columns} == prepared.columns


@contextmanager
def statements(store: Store) -> Iterator[list[str]]:
    """Collects the statements that are sent to the database."""
    seen: list[str] = []

    def note(*about: Any) -> None:
        seen.append(about[2])

    event.listen(store.engine, "before_cursor_execute", note)
    yield seen
    event.remove(store.engine, "before_cursor_execute", note)


def test_a_batch_costs_as_many_statements_as_one_upload(store: Store, now: datetime) -> None:
    """The number of statements does not grow with the batch: 400 uploads of 40 new sources need as many as one."""

    def sent(count: int, first: int) -> list[intake.Prepared]:
        made = [Upload(f"s{first + i % 40}", blot(first + i), i % 10, key=f"k{i}") for i in range(count)]
        twice = [replace(upload, key=f"{upload.key} again") for upload in made]
        return [intake.prepare(upload, now) for upload in made + twice]

    intake.commit(store, sent(1, 0), 0.2, now, intake.Rules(1_000))  # makes the salt
    with statements(store) as one:
        intake.commit(store, sent(1, 1), 0.2, now, intake.Rules(1_000))
    with statements(store) as many:
        answers = intake.commit(store, sent(200, 100), 0.2, now, intake.Rules(1_000))
    assert [type(answer).__name__ for answer in answers] == ["Receipt"] * 400
    assert len(many) == len(one) <= 14  # the last asks whether a new source was erased today, and its quota


@pytest.mark.slow
def test_more_than_a_statement_holds(store: Store, now: datetime) -> None:
    """A batch larger than SQLite's and PostgreSQL's limits on bound variables is still one batch."""
    image = blot(0)
    batch = [intake.prepare(Upload(f"s{i % 7000}", image, i // 7000, key=f"k{i}"), now) for i in range(21_000)]
    answers = intake.commit(store, batch, 0.2, now)
    assert len({answer.id for answer in answers if isinstance(answer, Receipt)}) == 21_000


def _send(url: str, seed: int, found: "multiprocessing.Queue[list[str]]") -> None:
    """A process that sends the same 200 uploads of 5 new sources as the others, in another order and in batches."""
    store = Store(url)
    rng = np.random.default_rng(seed)
    sent = [Upload(f"s{i % 5}", blot(i // 2), 7, key=f"k{i % 160}", version=1 + i % 3) for i in range(200)]
    shuffled = [intake.prepare(sent[i], NOW) for i in rng.permutation(len(sent))]
    answers = [a for start in range(0, 200, 20) for a in intake.commit(store, shuffled[start : start + 20], 0.2, NOW)]
    found.put([json.dumps([a.id, a.digest]) if isinstance(a, Receipt) else type(a).__name__ for a in answers])
    store.close()


@pytest.mark.slow
def test_processes_that_send_the_same(store: Store, url: str) -> None:
    """Four processes store the same uploads at once: every receipt names a row with its image; none is stored twice."""
    found: multiprocessing.Queue[list[str]] = forked.context().Queue()
    senders = [forked.begin(_send, url, seed, found) for seed in range(4)]
    answers = [answer for _ in senders for answer in found.get(timeout=60)]
    for sender in senders:
        sender.join(timeout=60)
        assert sender.exitcode == 0
    with store.read() as tx:
        rows = tx.execute(select(tables.Correction.id, tables.Correction.digest, tables.Correction.source_id)).all()
    acknowledged = {tuple(json.loads(answer)) for answer in answers if answer != "KeyConflict"}
    assert acknowledged == {(number, digest) for number, digest, _ in rows}
    assert len({(source, digest) for _, digest, source in rows}) == len(rows)


def test_quota_holds_across_processes(store: Store, now: datetime) -> None:
    """Two stores on one database, used in turn, grant a source no more than its daily quota."""
    other = Store(store.engine.url.render_as_string(hide_password=False))
    sent = [intake.prepare(Upload("s", blot(i), 3, key=f"k{i}"), now) for i in range(12)]
    answers = [
        a
        for i, one in enumerate(sent)
        for a in intake.commit((store, other)[i % 2], [one], 0.2, now, intake.Rules(PER_DAY))
    ]
    other.close()
    assert [isinstance(answer, QuotaSpent) for answer in answers] == [i >= PER_DAY for i in range(12)]


@pytest.mark.parametrize("change", [{"label": 3}, {"image": blot(1)}, {"confidence": 0.7}, {"rate": 0.5}])
def test_a_conflict_inside_a_batch(store: Store, now: datetime, change: dict[str, Any]) -> None:
    """A key used for two bodies in one batch: the first is stored, the second refused, the rest untouched."""
    upload = Upload("s", blot(0), 7, key="k")
    batch = [upload, replace(upload, **change), replace(upload, key="l", image=blot(2))]
    first, second, third = intake.commit(store, [intake.prepare(each, now) for each in batch], 0.2, now)
    assert isinstance(first, Receipt)
    assert isinstance(second, KeyConflict)
    assert isinstance(third, Receipt)
