"""Properties of the gate for any pair of reports."""

import dataclasses
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from loop.evaluation import gate
from loop.evaluation.gate import Outcome
from loop.evaluation.scoring import Report, Score
from tests.helpers.pairs import POLICY, Case, outcome, scored

RANK = {Outcome.FAILED: 0, Outcome.INCONCLUSIVE: 1, Outcome.PASSED: 2}

cases = st.builds(
    Case,
    base_n=st.sampled_from([900, 2000, 10_000]),
    base_fixed=st.integers(0, 60),
    base_broken=st.integers(0, 80),
    base_digit=st.sampled_from([None, 3]),
    corrections=st.integers(60, 300),
    confirmations=st.integers(30, 400),
    fixed=st.integers(0, 60),
    broken=st.integers(0, 12),
    hands=st.sampled_from([None, 1, 4]),
)


def _with(report: Report, which: int, change: Any) -> Report:
    scores = list(report.scores)
    scores[which] = change(scores[which])
    return dataclasses.replace(report, scores=tuple(scores))


@pytest.mark.slow
@settings(deadline=None, max_examples=60)
@given(cases, st.integers(0, 1), st.randoms(use_true_random=False))
def test_fixing_one_more_error_never_worsens_the_outcome(case: Case, which: int, random: Any) -> None:
    """One more fix worsens neither the verdict nor any check, on either slice, for any answer of the champion."""
    champion, challenger = case.reports()
    wrong = np.flatnonzero(~challenger.scores[which].right)
    if not len(wrong):
        return
    at = random.choice(wrong.tolist())

    def mend(score: Score) -> Score:
        predictions = score.predictions.copy()
        predictions[at] = score.labels[at]
        return dataclasses.replace(score, predictions=predictions)

    before = gate.judge(champion, challenger, POLICY)
    after = gate.judge(champion, _with(challenger, which, mend), POLICY)
    assert RANK[after.outcome] >= RANK[before.outcome]
    for old, new in zip(before.reasons, after.reasons, strict=True):
        assert RANK[new.outcome] >= RANK[old.outcome]


@settings(deadline=None, max_examples=40)
@given(cases, st.integers(0, 2**31))
def test_the_order_of_images_does_not_change_the_verdict(case: Case, seed: int) -> None:
    """Shuffling both slices, equally for both models, keeps texts and outcomes."""
    rng = np.random.default_rng(seed)
    champion, challenger = case.reports()
    before = gate.judge(champion, challenger, POLICY)
    for which in (0, 1):
        order = rng.permutation(champion.scores[which].n)

        def shuffle(score: Score, order: NDArray[Any] = order) -> Score:
            columns = ("labels", "predictions", "weights", "confidences", "margins")
            arrays = {name: getattr(score, name)[order] for name in columns}
            return dataclasses.replace(score, sources=None if score.sources is None else score.sources[order], **arrays)

        champion, challenger = _with(champion, which, shuffle), _with(challenger, which, shuffle)
    after = gate.judge(champion, challenger, POLICY)
    assert [(r.outcome, r.text) for r in after.reasons] == [(r.outcome, r.text) for r in before.reasons]


@pytest.mark.slow
@settings(deadline=None, max_examples=40)
@given(cases, st.integers(1, 3000), st.booleans())
def test_images_that_both_read_alike_never_turn_a_failure_into_a_gain(case: Case, count: int, right: bool) -> None:
    """Padding the feedback with pairs that do not differ adds no evidence of a gain.

    The base slice is left out on purpose: its margin is in points, and the same lost images are fewer points of a
    larger slice.
    """
    champion, challenger = case.reports()

    def pad(score: Score) -> Score:
        labels = np.concatenate([score.labels, (np.arange(count) % 10).astype(np.uint8)])
        answers = np.concatenate([score.right, np.full(count, right)])
        weights = np.concatenate([score.weights, np.ones(count)])
        return scored(score.name, labels, answers, weights)

    before = outcome(gate.judge(champion, challenger, POLICY), "feedback")
    after = outcome(gate.judge(_with(champion, 1, pad), _with(challenger, 1, pad), POLICY), "feedback")
    assert not (before is Outcome.FAILED and after is Outcome.PASSED)


@settings(deadline=None, max_examples=40)
@given(cases)
def test_swapping_the_models_swaps_the_bounds(case: Case) -> None:
    """One model's gain is the other's loss, and the two are never both better than each other."""
    one, other = case.reports()
    there = gate.pair(one.scores[1], other.scores[1], POLICY)
    back = gate.pair(other.scores[1], one.scores[1], POLICY)
    gain, low, high = there.gain(0.05)
    assert back.gain(0.05) == pytest.approx((-gain, -high, -low))
    assert low <= gain <= high
