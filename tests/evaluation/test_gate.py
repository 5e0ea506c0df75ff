"""The gate passes what is better, fails what is worse, and states which evidence is missing for the rest."""

import dataclasses
import json
import math
from typing import Any

import pytest

from loop.evaluation import gate
from loop.evaluation.gate import Outcome, Policy
from loop.evaluation.scoring import Report
from tests.helpers.pairs import HEALTHY, POLICY, Case, outcome, words


def test_a_real_gain_passes() -> None:
    """Every check passes with 110 of 155 corrections fixed, 1 confirmation broken and MNIST unharmed."""
    verdict = Case().judged()
    assert {reason.outcome for reason in verdict.reasons} == {Outcome.PASSED}
    assert verdict.outcome is Outcome.PASSED
    assert (verdict.champion, verdict.challenger) == ("a" * 64, "b" * 64)
    assert "fixed 110, broke 1 of n=400" in words(verdict, "feedback")


def test_the_very_same_model_does_not_pass() -> None:
    """A model without any change shows neither gain nor harm."""
    verdict = Case(base_fixed=0, base_broken=0, fixed=0, broken=0).judged()
    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert outcome(verdict, "base") is Outcome.PASSED
    assert "none is ruled out" in words(verdict, "feedback")


def test_no_gain_on_much_feedback_is_a_failure() -> None:
    """With 6,000 confirmations and no change, a gain of half a point is ruled out, so the check fails."""
    verdict = Case(corrections=1000, confirmations=6000, fixed=0, broken=0).judged()
    assert verdict.outcome is Outcome.FAILED
    assert "a gain of 0.5 points is ruled out" in words(verdict, "feedback")


def test_too_little_feedback_is_reported_with_the_numbers() -> None:
    """Thirty-seven items are not enough, even if all of them are fixed."""
    verdict = Case(corrections=30, confirmations=7, fixed=30, broken=0).judged()
    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert words(verdict, "feedback").startswith("feedback: n=37, need 200")
    numbers = next(reason.numbers for reason in verdict.reasons if reason.check == "feedback")
    assert (numbers["n"], numbers["need"]) == (37, 200)


def test_no_feedback_is_reported_with_the_numbers() -> None:
    """An empty slice and a missing slice give the same message."""
    for n in (0, None):
        champion, challenger = Case(corrections=0, confirmations=0, fixed=0, broken=0).reports()
        if n is None:
            champion, challenger = (dataclasses.replace(r, scores=r.scores[:1]) for r in (champion, challenger))
        assert words(gate.judge(champion, challenger, POLICY), "feedback").startswith("feedback: n=0, need 200")


def test_corrections_alone_do_not_promote() -> None:
    """Corrections alone are the champion's own errors, so fixing half of 400 does not show what was broken."""
    verdict = Case(corrections=400, confirmations=0, fixed=200, broken=0).judged()
    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert "confirmations n=0, need 50" in words(verdict, "feedback")


def test_unbroken_confirmations_still_count() -> None:
    """25 fixed and 0 broken show no gain: a confirmation stands for ten images, and three may still be broken."""
    assert outcome(Case(fixed=25, broken=0).judged(), "feedback") is Outcome.INCONCLUSIVE
    assert outcome(Case(fixed=40, broken=0).judged(), "feedback") is Outcome.PASSED


def test_an_unproven_gain_names_the_size_that_would_show_it() -> None:
    """An inconclusive check with a gain names the number of items that would decide."""
    assert "would be shown by about n=" in words(Case(fixed=40, broken=2).judged(), "feedback")


def test_broken_confirmations_fail_even_on_little_feedback() -> None:
    """Harm needs no minimum size: 30 of 60 broken confirmations are proof."""
    verdict = Case(corrections=5, confirmations=60, fixed=0, broken=30).judged()
    assert outcome(verdict, "feedback") is Outcome.FAILED
    assert verdict.outcome is Outcome.FAILED


def test_a_digit_that_pays_for_the_others_fails() -> None:
    """A gain over all digits does not offset 20 broken confirmations of the seven."""
    verdict = Case(corrections=600, confirmations=1000, fixed=500, broken=20, broken_digit=7).judged()
    assert outcome(verdict, "feedback") is Outcome.PASSED
    assert outcome(verdict, "feedback classes") is Outcome.FAILED
    assert "7 loses" in words(verdict, "feedback classes")


def test_a_loss_of_half_a_point_on_the_base_fails() -> None:
    """A net loss of 50 of 10,000 images fails, with the numbers."""
    verdict = Case(base_fixed=20, base_broken=70).judged()
    assert outcome(verdict, "base") is Outcome.FAILED
    assert "loss 0.50 points" in words(verdict, "base")


def test_a_loss_within_the_margin_is_let_through() -> None:
    """A net loss of 5 of 10,000 images passes, because a normal night costs that; the feedback gain decides."""
    assert Case(base_fixed=10, base_broken=15).judged().outcome is Outcome.PASSED


def test_a_small_base_cannot_show_the_absence_of_a_loss() -> None:
    """500 base images without any change still allow a loss of 0.6 points, so the check is inconclusive."""
    verdict = Case(base_n=500, base_fixed=0, base_broken=0).judged()
    assert outcome(verdict, "base") is Outcome.INCONCLUSIVE
    small = Case(base_n=150, base_fixed=0, base_broken=0).judged(Policy(margin_points=5.0))
    assert "mnist: n=150, need 200" in words(small, "base")


def test_one_digit_may_not_pay_for_the_base() -> None:
    """Twenty-two lost images of 10,000 are within the margin, unless all of them are fives."""
    spread, gathered = Case(base_fixed=10, base_broken=22), Case(base_fixed=10, base_broken=22, base_digit=5)
    assert spread.judged().outcome is Outcome.PASSED
    verdict = gathered.judged()
    assert outcome(verdict, "base") is Outcome.PASSED
    assert outcome(verdict, "classes") is Outcome.FAILED
    assert "5 loses 2.10 points" in words(verdict, "classes")


def test_ten_digits_share_the_chance_of_a_false_alarm() -> None:
    """Eleven broken fives and two fixed ones are harm at 5 %, but one of ten digits looks so by chance."""
    champion, challenger = Case(base_fixed=20, base_broken=11, base_digit=5).reports()
    assert gate.pair(champion.scores[0], challenger.scores[0], POLICY).gain(POLICY.alpha, 5)[2] < 0
    assert outcome(gate.judge(champion, challenger, POLICY), "classes") is Outcome.INCONCLUSIVE


def test_hands_are_counted_where_they_are_known() -> None:
    """One or two hands are no evidence about others; of three, the message counts those that gain and lose."""
    for hands in (1, 2):
        assert f"hands n={hands}, need 3" in words(Case(hands=hands).judged(), "feedback")
    three = Case(hands=3).judged()
    assert "n=400 uploads by 3 hands, 3 gain and 0 lose" in words(three, "feedback")
    assert Case(hands=30).judged().outcome is Outcome.PASSED


def test_the_first_run_is_judged_on_floors_and_says_so() -> None:
    """Without a champion a good base passes, and the verdict states that no champion exists."""
    verdict = gate.judge(None, Case().reports()[1], POLICY)
    assert verdict.outcome is Outcome.PASSED
    assert verdict.champion is None
    assert "no champion yet" in words(verdict, "first run")


@pytest.mark.parametrize(
    ("case", "expected"),
    [
        (Case(base_broken=1500), Outcome.FAILED),
        (Case(base_broken=600, base_digit=3), Outcome.FAILED),
        (Case(base_n=600, base_broken=60), Outcome.INCONCLUSIVE),
        (Case(base_n=40, base_broken=0, base_fixed=0), Outcome.INCONCLUSIVE),
        (Case(base_broken=600), Outcome.PASSED),
    ],
)
def test_floors_need_evidence_too(case: Case, expected: Outcome) -> None:
    """85 % fails the floor of 90, a digit at 40 % fails its own, 90 % of 600 is inconclusive, 94 % passes."""
    assert gate.judge(None, case.reports()[1], POLICY).outcome is expected


@pytest.mark.parametrize(
    ("health", "problem"),
    [
        ({"finite": False, "normalised": False}, "NaN"),
        ({"shaped": False, "shape": (3, 3)}, "shape (n, 10)"),
        ({"varied": False}, "same answer"),
        ({"unpredicted": (4,)}, "never answers 4"),
    ],
)
@pytest.mark.parametrize("first", [True, False])
def test_a_sick_challenger_fails(health: dict[str, Any], problem: str, first: bool) -> None:
    """A challenger with invalid answers fails whatever its counts are, with or without a champion."""
    champion, challenger = Case().reports()
    sick = dataclasses.replace(challenger, health=dataclasses.replace(HEALTHY, **health))
    verdict = gate.judge(None if first else champion, sick, POLICY)
    assert verdict.outcome is Outcome.FAILED
    assert problem in words(verdict, "health")


@pytest.mark.parametrize("which", [0, 1])
def test_only_the_same_images_are_paired(which: int) -> None:
    """A champion's report on another slice, or on none, is inconclusive, and the message asks for a new one."""
    champion, challenger = Case().reports()
    scores = list(champion.scores)
    scores[which] = dataclasses.replace(scores[which], digest="e" * 64)
    without = dataclasses.replace(champion, scores=tuple(s for i, s in enumerate(champion.scores) if i != which))
    for other in (dataclasses.replace(champion, scores=tuple(scores)), without):
        verdict = gate.judge(other, challenger, POLICY)
        assert verdict.outcome is Outcome.INCONCLUSIVE
        assert "score it again" in words(verdict, ("base", "feedback")[which])


def test_a_report_without_slices_gets_a_verdict() -> None:
    """Reports without slices get a verdict too."""
    empty = Report("b" * 64, (), HEALTHY)
    for champion in (None, empty):
        assert gate.judge(champion, empty, POLICY).outcome is Outcome.INCONCLUSIVE


def test_a_verdict_is_plain_json() -> None:
    """Every kind of reason, with its numbers and the policy, can be written as JSON without NaN."""
    for verdict in (Case().judged(), gate.judge(None, Case().reports()[1], POLICY), Case(corrections=2).judged()):
        back = json.loads(json.dumps(gate.as_json(verdict), allow_nan=False))
        assert back["outcome"] == verdict.outcome.value
        assert [reason["check"] for reason in back["reasons"]] == [reason.check for reason in verdict.reasons]
        assert back["policy"]["margin_points"] == POLICY.margin_points


@pytest.mark.parametrize(
    "wrong",
    [{"alpha": 0.0}, {"alpha": 0.5}, {"margin_points": 0}, {"class_margin_points": 101}, {"minimum_feedback": 0},
     {"base_floor_percent": -1}, {"worthwhile_points": math.nan}],
)  # fmt: skip
def test_a_policy_out_of_range_is_refused(wrong: dict[str, float]) -> None:
    """A policy with a number out of range is refused, and the message names the field."""
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Policy(**wrong)  # type: ignore[arg-type] # the point is what a settings file may hold


def test_a_smaller_base_slice_has_wider_margins_and_never_narrower() -> None:
    """Margins apply unchanged from 10,000 images on; below, they grow as n falls, up to 100 points."""
    policy = Policy()
    assert policy.at(10_000) == policy == policy.at(60_000)
    sizes = [5_000, 1_000, 253, 50, 5]
    margins = [policy.at(n).margin_points for n in sizes]
    assert margins == sorted(margins)
    assert margins[0] > policy.margin_points
    assert all(policy.at(n).margin_points >= 100 * 5 / n for n in sizes)
    assert policy.at(5).class_margin_points == 100
    assert policy.at(5).class_floor_percent == 0


def test_no_challenger_beats_a_champion_that_does_not_run() -> None:
    """The answers of a champion that does not run are no evidence, so any comparison is inconclusive."""
    champion, challenger = Case(base_broken=0).reports()
    sick = dataclasses.replace(champion, health=dataclasses.replace(HEALTHY, shaped=False, shape=(10, 0)))
    verdict = gate.judge(sick, challenger, POLICY)
    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert "does not run here" in words(verdict, "champion")
    assert gate.judge(champion, challenger, POLICY).outcome is not Outcome.FAILED
