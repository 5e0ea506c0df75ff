"""Send labelled handwriting through the champion, as phones would: wrong answers become corrections, and a sample of
the right answers become confirmations.

A hash of source and image decides which right answers are confirmed, so that a second replay stores nothing new.
"""

import hashlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from loop import intake, registry
from loop.data import digits
from loop.data.handwriting import Person
from loop.errors import BadImage, BadSettings, ClientError, OpsError
from loop.evaluation import digit_classifier
from loop.home import Home
from loop.intake import Receipt, Upload
from loop.store.feedback import weighing
from loop.store.values import Kind, Role


@dataclass(frozen=True, slots=True)
class Replayed:
    """The result for one person: how many digits were read, misread, stored and refused."""

    source: str
    role: Role | None
    read: int
    wrong: int
    stored: int
    duplicates: int
    refused: dict[str, int]

    @property
    def accuracy(self) -> float | None:
        """The champion's share of right answers over all digits read."""
        return None if self.read == 0 else 1 - self.wrong / self.read


@dataclass(frozen=True, slots=True, eq=False)
class Phone:
    """The champion, as a phone runs it."""

    version: int
    reader: digit_classifier.DigitClassifier

    def answers(self, drawn: list[digits.Digit]) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
        """The predicted digit and its probability, for each drawing."""
        probabilities = self.reader.probabilities(np.stack([digit.pixels for digit in drawn]))
        return probabilities.argmax(axis=1), probabilities.max(axis=1).astype(np.float64)


def phone(home: Home, family: str) -> Phone:
    """A phone that runs the family's champion. Raises ``OpsError`` if there is none."""
    champion = registry.champion(home, family)
    if champion is None:
        raise OpsError(f"{family} has no champion yet; run `loop init --family {family}` first")
    return Phone(champion.number, home.models.get(champion.artifact_digest))


def replay(home: Home, using: Phone, person: Person, confirm_rate: float, now: datetime) -> Replayed:
    """Read one person's digits, and send the uploads that a phone would send."""
    if not 0 <= confirm_rate <= 1:
        raise BadSettings(f"confirm-rate: expected 0 to 1, got {confirm_rate}")
    with home.store.read() as tx:
        least = weighing.least_announced(tx, home.settings.confirm_rate)
    if 0 < confirm_rate < least:
        raise BadSettings(
            f"confirm-rate: expected 0, or {least:g} or more (half of the lowest announced one), got {confirm_rate:g}; "
            "confirmations with a lower rate are never weighed"
        )
    refused: Counter[str] = Counter()
    drawn = list(_drawn(person, refused))
    if not drawn:
        return Replayed(person.name, None, 0, 0, 0, 0, dict(refused))
    labels = np.array([label for label, _ in drawn])
    predicted, confidence = using.answers([digit for _, digit in drawn])
    uploads = [
        Upload(
            source=person.name,
            image=digit,
            label=label,
            kind=Kind.CORRECTION if guess != label else Kind.CONFIRMATION,
            predicted=int(guess),
            confidence=float(np.clip(sure, 0, 1)),
            version=using.version,
            rate=1.0 if guess != label else confirm_rate,
        )
        for (label, digit), guess, sure in zip(drawn, predicted, confidence, strict=True)
        if guess != label or _confirms(person.name, digit.digest, confirm_rate)
    ]
    answers = intake.accept_many(home.store, uploads, home.settings.holdout_share, now, vouched=True)
    refused.update(str(answer) for answer in answers if isinstance(answer, ClientError))
    receipts = [answer for answer in answers if isinstance(answer, Receipt)]
    duplicates = sum(receipt.duplicate for receipt in receipts)
    return Replayed(
        source=person.name,
        role=receipts[0].role if receipts else None,
        read=len(drawn),
        wrong=int(np.count_nonzero(predicted != labels)),
        stored=len(receipts) - duplicates,
        duplicates=duplicates,
        refused=dict(refused),
    )


def _drawn(person: Person, refused: Counter[str]) -> Iterator[tuple[int, digits.Digit]]:
    for sample in person.samples():
        if sample.reason is not None:
            refused[sample.reason] += 1
            continue
        try:
            yield sample.label, sample.digit()
        except BadImage as error:
            refused[str(error)] += 1


def _confirms(source: str, digest: str, rate: float) -> bool:
    hashed = hashlib.sha256(f"confirm\0{source}\0{digest}".encode()).digest()
    return int.from_bytes(hashed[:8]) < rate * 2**64
