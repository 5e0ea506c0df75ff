"""How far people agree who answer the same questions: Krippendorff's alpha, and Dawid and Skene's model.

Answers are triples ``(question, reviewer, value)``; values are compared for equality only. Written here because the
libraries that have both ask for pandas and more; the tests compare with published figures.
"""

from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

T = TypeVar("T", bound=Hashable)
Answer = tuple[int, str, str]
"""(question, reviewer, value); one reviewer answers a question once."""

_ROUNDS = 100
_TOLERANCE = 1e-6
_SMOOTHING = 0.01
"""Pseudo-answers in each cell of a reviewer's table, so that no rare value makes a certainty."""


def alpha(answers: Sequence[Answer]) -> float | None:
    """Krippendorff's alpha for nominal data: 1 is perfect agreement, 0 is what chance gives.

    None if no question has two answers, or if all answers are the same: then chance explains everything.
    Krippendorff, Content Analysis (4th edition), chapter 12.
    """
    by_question: dict[int, Counter[str]] = defaultdict(Counter)
    for question, _, value in answers:
        by_question[question][value] += 1
    units = [counts for counts in by_question.values() if counts.total() > 1]
    totals: Counter[str] = Counter()
    for counts in units:
        totals.update(counts)
    n = totals.total()
    expected = n * n - sum(count * count for count in totals.values())
    if expected == 0:
        return None
    observed = sum(
        (counts.total() ** 2 - sum(count * count for count in counts.values())) / (counts.total() - 1)
        for counts in units
    )
    return float(1 - (n - 1) * observed / expected)


@dataclass(frozen=True, slots=True)
class Estimate:
    """``accuracies``: for each reviewer, the estimated chance of a right answer; ``labels``: for each question, the
    most probable value and its probability.
    """

    accuracies: Mapping[str, float]
    labels: Mapping[int, tuple[str, float]]


def dawid_skene(answers: Sequence[Answer], known: Mapping[int, str] | None = None) -> Estimate:
    """Dawid and Skene's model, fitted by expectation and maximisation from a majority vote; ``known`` answers are held.

    Each reviewer has a table: how often a question of which the truth is i is answered with j. Dawid and Skene (1979),
    Applied Statistics 28(1).
    """
    known = known or {}
    questions, people = _numbered(q for q, _, _ in answers), _numbered(r for _, r, _ in answers)
    values = _numbered(sorted({value for _, _, value in answers} | {known[q] for q in questions if q in known}))
    rows = np.array([(questions[q], people[r], values[v]) for q, r, v in answers], np.intp).reshape(-1, 3)
    truth = np.zeros((len(questions), len(values)))
    np.add.at(truth, (rows[:, 0], rows[:, 2]), 1.0)
    truth /= truth.sum(axis=1, keepdims=True)
    held = np.array([questions[q] for q in known if q in questions], np.intp)
    of = np.array([values[known[q]] for q in known if q in questions], np.intp)
    certain = np.eye(len(values))[of]
    truth[held] = certain
    for _ in range(_ROUNDS):
        tables = np.full((len(people), len(values), len(values)), _SMOOTHING)
        np.add.at(tables.transpose(0, 2, 1), (rows[:, 1], rows[:, 2]), truth[rows[:, 0]])
        tables /= tables.sum(axis=2, keepdims=True)
        prior = (truth.sum(axis=0) + _SMOOTHING) / (truth.sum() + _SMOOTHING * len(values))
        logs = np.tile(np.log(prior), (len(questions), 1))
        np.add.at(logs, rows[:, 0], np.log(tables[rows[:, 1], :, rows[:, 2]]))
        new = np.exp(logs - logs.max(axis=1, keepdims=True))
        new /= new.sum(axis=1, keepdims=True)
        new[held] = certain
        moved = float(np.abs(new - truth).max(initial=0.0))
        truth = new
        if moved < _TOLERANCE:
            break
    right, asked = np.zeros(len(people)), np.zeros(len(people))
    np.add.at(right, rows[:, 1], truth[rows[:, 0], rows[:, 2]])
    np.add.at(asked, rows[:, 1], 1.0)
    names = list(values)
    best = truth.argmax(axis=1)
    return Estimate(
        {name: float(right[i] / asked[i]) for name, i in people.items()},
        {question: (names[best[i]], float(truth[i, best[i]])) for question, i in questions.items()},
    )


def _numbered(values: Iterable[T]) -> dict[T, int]:
    return {value: i for i, value in enumerate(dict.fromkeys(values))}
