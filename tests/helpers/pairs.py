"""Champion and challenger built from counts, for the tests of the gate."""

import dataclasses
from typing import Any

import numpy as np
from numpy.typing import NDArray

from loop.evaluation import gate
from loop.evaluation.gate import Outcome, Policy, Verdict
from loop.evaluation.scoring import Health, Report, Score

POLICY = Policy()
HEALTHY = Health(True, (10_000, 10), True, True, True, 10, ())


def scored(name: str, labels: NDArray[Any], right: NDArray[Any], weights: NDArray[Any], **more: Any) -> Score:
    """A score in which a wrong answer is the next digit."""
    predictions = np.where(right, labels, (labels + 1) % 10).astype(np.uint8)
    nothing = np.zeros(len(labels), np.float32)
    return Score(
        name, "d" * 64, labels.astype(np.uint8), predictions, weights.astype(np.float64), nothing, nothing, **more
    )


@dataclasses.dataclass(frozen=True)
class Case:
    """The numbers of images that the challenger fixes and breaks; on the rest both models agree."""

    base_n: int = 10_000
    base_fixed: int = 10
    base_broken: int = 12
    base_digit: int | None = None
    corrections: int = 155
    confirmations: int = 245
    fixed: int = 110
    broken: int = 1
    broken_digit: int | None = None
    hands: int | None = None

    def reports(self) -> tuple[Report, Report]:
        """Champion and challenger on the base slice and on feedback of a champion that never changed."""
        digits = np.arange(self.base_n) % 10
        before, after = np.ones(self.base_n, bool), np.ones(self.base_n, bool)
        before[-self.base_fixed or self.base_n :] = False
        pool = np.flatnonzero(digits == self.base_digit) if self.base_digit is not None else np.arange(self.base_n)
        after[pool[: self.base_broken]] = False
        n = self.corrections + self.confirmations
        labels, correction = np.arange(n) % 10, np.arange(n) < self.corrections
        answered = ~correction
        answered[: self.fixed] = True
        pool = np.flatnonzero(~correction & ((labels == self.broken_digit) if self.broken_digit is not None else True))
        answered[pool[: self.broken]] = False
        more = {} if self.hands is None else {"sources": np.arange(n) % self.hands}
        flat, weights = np.ones(self.base_n), np.where(correction, 1.0, 10.0)
        champion = (scored("mnist", digits, before, flat), scored("feedback", labels, ~correction, weights, **more))
        challenger = (scored("mnist", digits, after, flat), scored("feedback", labels, answered, weights, **more))
        return Report("a" * 64, champion, HEALTHY), Report("b" * 64, challenger, HEALTHY)

    def judged(self, policy: Policy = POLICY) -> Verdict:
        """The gate's verdict."""
        return gate.judge(*self.reports(), policy)


def words(verdict: Verdict, check: str) -> str:
    """The text of one check."""
    return next(reason.text for reason in verdict.reasons if reason.check == check)


def outcome(verdict: Verdict, check: str) -> Outcome:
    """The outcome of one check."""
    return next(reason.outcome for reason in verdict.reasons if reason.check == check)
