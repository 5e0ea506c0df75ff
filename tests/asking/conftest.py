"""Drawings in a store, and questions about them."""

from collections.abc import Sequence
from datetime import datetime, timedelta

import numpy as np

from loop import intake
from loop.data import digits
from loop.intake import Receipt, Upload
from loop.store import Store
from loop.store.asking import questions
from loop.store.asking.values import Arm, QuestionStatus
from loop.store.values import Kind
from tests.conftest import NOW

POOL = "0" * 64


def drawing(source: str, seed: int) -> Upload:
    """A drawing of which a phone's model said: a 1 or a 7."""
    pixels = np.random.default_rng(seed).integers(0, 256, (28, 28)).astype(np.uint8)
    return Upload(
        source,
        digits.digit(pixels),
        None,
        f"drawing-{seed}",
        Kind.DRAWING,
        predicted=1,
        confidence=0.5,
        runner_up=7,
        runner_up_confidence=0.4,
        captured_at=NOW - timedelta(minutes=1),
    )


def send(store: Store, *uploads: Upload, at: datetime = NOW) -> list[Receipt]:
    """Store uploads; each is accepted."""
    receipts = intake.accept_many(store, uploads, 0.0, at)
    assert all(isinstance(each, Receipt) for each in receipts), receipts
    return [each for each in receipts if isinstance(each, Receipt)]


def ask(store: Store, correction_ids: Sequence[int], quorum: int = 1, arm: Arm = Arm.ASKED) -> None:
    """A question about each of these uploads."""
    with store.exclusive() as tx:
        questions.add(tx, [row(quorum, arm, correction_id=number) for number in correction_ids])


def ask_gold(store: Store, count: int) -> None:
    """Gold questions: a blot that is known to be a 3."""
    with store.exclusive() as tx:
        questions.add(tx, [row(1, Arm.GOLD, pixels=bytes(784), known=3) for _ in range(count)])


def row(quorum: int, arm: Arm, **columns: object) -> dict[str, object]:
    """The columns of a question."""
    return {
        "correction_id": None,
        "pixels": None,
        "known": None,
        "arm": arm,
        "strategy": "margin",
        "score": 0.9,
        "chance": 0.5 if arm is Arm.RANDOM else None,
        "reason": "margin: 1 at 0.50, 7 at 0.40",
        "seed": 7,
        "pool_digest": POOL,
        "version": None,
        "quorum": quorum,
        "status": QuestionStatus.OPEN,
        "asked_at": NOW,
    } | columns
