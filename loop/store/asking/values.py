"""The frozen values of asking."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class Arm(StrEnum):
    """Why a question is asked: by lot, by a strategy, because people disagree, because it is held back, as a test."""

    RANDOM = "random"
    ASKED = "asked"
    DISPUTED = "disputed"
    QUARANTINE = "quarantine"
    GOLD = "gold"


class QuestionStatus(StrEnum):
    """``disputed``: reviewers did not agree. ``dropped``: its upload was taken back, or it stood open for too long."""

    OPEN = "open"
    ANSWERED = "answered"
    DISPUTED = "disputed"
    DROPPED = "dropped"


class Flag(StrEnum):
    """What a reviewer says instead of a digit."""

    NOT_A_DIGIT = "not-a-digit"
    UNREADABLE = "unreadable"
    TWO_DIGITS = "two-digits"


@dataclass(frozen=True, slots=True)
class Word:
    """An answer: a digit, or a flag, or neither, which skips the question."""

    label: int | None = None
    flag: Flag | None = None

    @property
    def skips(self) -> bool:
        """Whether it says nothing about the digit."""
        return self.label is None and self.flag is None


@dataclass(frozen=True, slots=True)
class Question:
    """A question as reviewers get it; ``known`` is the right answer of a gold question, else None.

    ``pixels`` are 784 bytes, row by row. ``predicted`` and ``runner_up`` are what the phone's model said.
    """

    id: int
    correction_id: int | None
    arm: Arm
    status: QuestionStatus
    quorum: int
    known: int | None
    pixels: bytes
    predicted: int | None
    runner_up: int | None
    reason: str
    upload_status: str | None


@dataclass(frozen=True, slots=True)
class GivenAnswer:
    """A standing answer of a reviewer."""

    id: int
    question_id: int
    reviewer: str
    word: Word
    answered_at: datetime
