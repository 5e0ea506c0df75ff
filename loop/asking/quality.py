"""How well reviewers answer: against known answers, against each other, and how fast."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from sqlalchemy.orm import Session

from loop.evaluation import agreement
from loop.store.asking import reviewers
from loop.store.asking.reviewers import Judged

LAST = 1_000
"""Answers of one reviewer that are looked at."""
LAST_OF_ALL = 200_000


@dataclass(frozen=True, slots=True)
class Reviewer:
    """One reviewer's answers; skips are no answers. ``accuracy`` is Dawid and Skene's estimate, of all answers only."""

    reviewer: str
    answered: int
    skipped: int
    seconds: float | None
    gold: int
    gold_right: int
    compared: int
    agreed: int
    accuracy: float | None = None


@dataclass(frozen=True, slots=True)
class Quality:
    """All reviewers: Krippendorff's alpha of the ``questions`` that several answered, None without any."""

    alpha: float | None
    questions: int
    reviewers: tuple[Reviewer, ...]


def of_reviewer(tx: Session, reviewer: str) -> Reviewer:
    """One reviewer's last answers."""
    return _reviewer(reviewer, reviewers.judged(tx, LAST, reviewer), None)


def of_all(tx: Session) -> Quality:
    """Every reviewer, by name, with what is common to them."""
    found = reviewers.judged(tx, LAST_OF_ALL)
    said = [(each.question_id, each.reviewer, _value(each)) for each in found if not each.word.skips]
    several = {question for question, n in Counter(question for question, _, _ in said).items() if n > 1}
    known = {each.question_id: str(each.known) for each in found if each.known is not None}
    shared = [each for each in said if each[0] in several or each[0] in known]
    accuracies = agreement.dawid_skene(shared, known).accuracies if shared else {}
    by_name: dict[str, list[Judged]] = {}
    for each in found:
        by_name.setdefault(each.reviewer, []).append(each)
    rows = tuple(_reviewer(name, by_name[name], accuracies.get(name)) for name in sorted(by_name))
    return Quality(agreement.alpha([each for each in said if each[0] in several]), len(several), rows)


def _reviewer(name: str, found: Sequence[Judged], accuracy: float | None) -> Reviewer:
    said = [each for each in found if not each.word.skips]
    gold = [each for each in said if each.known is not None]
    compared = [each for each in said if each.agreed is not None and each.others]
    times = [each.seconds for each in said if each.seconds is not None]
    return Reviewer(
        reviewer=name,
        answered=len(said),
        skipped=len(found) - len(said),
        seconds=median(times) if times else None,
        gold=len(gold),
        gold_right=sum(each.word.label == each.known for each in gold),
        compared=len(compared),
        agreed=sum(each.word == each.agreed for each in compared),
        accuracy=accuracy,
    )


def _value(each: Judged) -> str:
    return str(each.word.flag if each.word.label is None else each.word.label)
