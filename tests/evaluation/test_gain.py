"""Which evidence carries a verdict, what a few hands may do, and the comparisons beside the champion's."""

import dataclasses
import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks import judges
from loop.evaluation import gate
from loop.evaluation.gate import USERS, Outcome, Reason, Verdict
from loop.evaluation.scoring import Report
from tests.helpers.pairs import HEALTHY, POLICY, Case, outcome, words


def renamed(report: Report, name: str) -> Report:
    """The report with its second slice under another name."""
    return dataclasses.replace(report, scores=(report.scores[0], dataclasses.replace(report.scores[1], name=name)))


def with_users(report: Report, users: Report) -> Report:
    """The report with a third slice, labelled by reviewers."""
    return dataclasses.replace(report, scores=(*report.scores, renamed(users, USERS).scores[1]))


def evidence(verdict: Verdict) -> Reason:
    """The reason that says what carried the verdict."""
    return next(reason for reason in verdict.reasons if reason.check == "evidence")


def test_the_verdict_says_that_feedback_carried_it() -> None:
    """With enough uploads and hands feedback carries, and the text has uploads, hands, bounds and who is left out."""
    verdict = Case(hands=20).judged()
    assert verdict.outcome is Outcome.PASSED
    assert evidence(verdict).text == "feedback carried the verdict: n=400 uploads by 20 hands"
    text = words(verdict, "feedback")
    for part in (
        "gain +3.84 points, from +",
        "n=400 uploads by 20 hands",
        "gain and",
        "without the 4 hands that gain most",
    ):
        assert part in text


@pytest.mark.parametrize("hands", [1, 2])
def test_one_or_two_hands_promote_nothing_alone(hands: int) -> None:
    """Whatever they gain: the verdict is inconclusive and states how many are missing."""
    verdict = Case(hands=hands, fixed=155, broken=0).judged()
    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert f"feedback: hands n={hands}, need 3" in evidence(verdict).text
    assert "no gain is shown there" in evidence(verdict).text


def test_two_hands_promote_together_with_the_base_slice() -> None:
    """If MNIST shows a gain and each of two hands gains, MNIST carries the verdict; one hand or none never suffices."""
    better = Case(base_fixed=40, base_broken=5, hands=2)
    verdict = better.judged()
    assert verdict.outcome is Outcome.PASSED
    assert evidence(verdict).numbers["carried_by"] == "mnist"
    assert dataclasses.replace(better, hands=1).judged().outcome is Outcome.INCONCLUSIVE
    alone = dataclasses.replace(better, corrections=0, confirmations=0, fixed=0, broken=0).judged()
    assert alone.outcome is Outcome.INCONCLUSIVE
    assert "two hands or more must gain too, since its images are public" in evidence(alone).text
    only_corrections = dataclasses.replace(better, corrections=400, confirmations=0, fixed=200, broken=0).judged()
    assert only_corrections.outcome is Outcome.INCONCLUSIVE


def test_one_hand_can_fail_nothing() -> None:
    """A single hand for which everything breaks is no proof: it may lie."""
    assert Case(hands=1, fixed=0, broken=200).judged().outcome is Outcome.INCONCLUSIVE
    assert Case(hands=12, fixed=0, broken=60).judged().outcome is Outcome.FAILED


def test_a_gain_of_one_hand_is_no_gain() -> None:
    """Where one of ten hands gains all of it, the bounds and the hands left out both say so."""
    champion, challenger = Case(hands=10, fixed=155, broken=0).reports()
    score = challenger.scores[1]
    assert score.sources is not None
    other = np.where(score.sources == 0, score.predictions, champion.scores[1].predictions)
    scores = (challenger.scores[0], dataclasses.replace(score, predictions=other))
    verdict = gate.judge(champion, dataclasses.replace(challenger, scores=scores), POLICY)
    assert outcome(verdict, "feedback") is not Outcome.PASSED
    assert "1 gain and 0 lose" in words(verdict, "feedback")


def test_reviewers_carry_where_hands_are_few() -> None:
    """With one hand the slice `users` carries; with enough hands it only watches for harm."""
    few, many, users = Case(hands=1).reports(), Case(hands=20).reports(), Case().reports()
    verdict = gate.judge(with_users(few[0], users[0]), with_users(few[1], users[1]), POLICY)
    assert verdict.outcome is Outcome.PASSED
    assert evidence(verdict).text.startswith("users carried the verdict: n=400 uploads; feedback only watched for harm")
    harm = Case(fixed=0, broken=60).reports()
    verdict = gate.judge(with_users(many[0], harm[0]), with_users(many[1], harm[1]), POLICY)
    assert evidence(verdict).numbers["carried_by"] == "feedback"
    assert outcome(verdict, "users") is Outcome.FAILED
    assert verdict.outcome is Outcome.FAILED


def test_a_tainted_champion_may_go_for_one_that_is_not_worse() -> None:
    """Equal on enough people: inconclusive, but passed over a tainted champion, with a reason; harm still fails."""
    equal = Case(corrections=300, confirmations=900, fixed=10, broken=1, hands=40)
    assert equal.judged().outcome is Outcome.INCONCLUSIVE
    verdict = gate.judge(*equal.reports(), POLICY, tainted=True)
    assert verdict.outcome is Outcome.PASSED
    assert "the champion is tainted, so not worse by 2 points is enough" in words(verdict, "feedback")
    harm = dataclasses.replace(equal, fixed=0, broken=80)
    assert gate.judge(*harm.reports(), POLICY, tainted=True).outcome is Outcome.FAILED


def test_without_people_the_base_slice_replaces_a_tainted_champion() -> None:
    """Nobody judges yet: a tainted champion goes if MNIST is not worse, and stays if it is."""
    nobody = Case(corrections=0, confirmations=0, fixed=0, broken=0)
    verdict = gate.judge(*nobody.reports(), POLICY, tainted=True)
    assert verdict.outcome is Outcome.PASSED
    assert "not worse on the base slice decides" in evidence(verdict).text
    worse = dataclasses.replace(nobody, base_broken=80)
    assert gate.judge(*worse.reports(), POLICY, tainted=True).outcome is Outcome.FAILED


def test_small_losses_against_day_0_add_up() -> None:
    """A challenger within the margin of the champion is refused if both have drifted from the base of day 0."""
    champion, challenger = Case(base_fixed=0, base_broken=12, hands=20).reports()
    day0, _ = Case(base_fixed=0, hands=20).reports()
    day0 = dataclasses.replace(day0, model="c" * 64)
    drifted = champion.scores[0].predictions.copy()
    drifted[5000:5060] = (champion.scores[0].labels[5000:5060] + 1) % 10
    both = []
    for report in (champion, challenger):
        predictions = np.where(np.arange(10_000) // 60 == 5000 // 60, drifted, report.scores[0].predictions)
        predictions[5000:5060] = drifted[5000:5060]
        scores = (dataclasses.replace(report.scores[0], predictions=predictions), report.scores[1])
        both.append(dataclasses.replace(report, scores=scores))
    assert gate.judge(*both, POLICY).outcome is Outcome.PASSED
    verdict = gate.judge(*both, POLICY, day0=day0)
    assert outcome(verdict, "day 0 mnist") is Outcome.FAILED
    assert "against the base of day 0" in words(verdict, "day 0 mnist")
    assert outcome(verdict, "day 0 feedback") is Outcome.PASSED


def test_day_0_is_compared_once_and_only_on_the_same_images() -> None:
    """A champion that is the base needs no second comparison; a base that does not run, or other images, give none."""
    champion, challenger = Case(hands=20).reports()
    verdict = gate.judge(champion, challenger, POLICY, day0=champion)
    assert "the champion is the base of day 0" in words(verdict, "day 0")
    day0 = dataclasses.replace(champion, model="c" * 64)
    sick = dataclasses.replace(day0, health=dataclasses.replace(HEALTHY, shaped=False, shape=(10, 0)))
    assert gate.judge(champion, challenger, POLICY, day0=sick).outcome is Outcome.INCONCLUSIVE
    other = dataclasses.replace(day0, scores=day0.scores[:1])
    assert "score it again" in words(gate.judge(champion, challenger, POLICY, day0=other), "day 0 feedback")


@pytest.mark.parametrize("found", list(Outcome))
def test_reasons_of_other_checks_take_part(found: Outcome) -> None:
    """The worst of all reasons decides, whoever gave it, and a first run is probed too."""
    probe = Reason("canaries", found, "a stamp draws 3 % of digits")
    champion, challenger = Case(hands=20).reports()
    assert gate.judge(champion, challenger, POLICY, probes=[probe]).outcome is found
    assert gate.judge(None, challenger, POLICY, probes=[probe]).outcome is found
    assert gate.judge(champion, challenger, POLICY, probes=[probe]).reasons[-1] is probe


@settings(deadline=None, max_examples=60)
@given(st.lists(st.floats(), min_size=1, max_size=12), st.integers(0, 2**31))
def test_no_weight_makes_the_gate_raise(odd: list[float], seed: int) -> None:
    """Any floats as weights, of any hands: a verdict with finite numbers that can be written as JSON."""
    rng = np.random.default_rng(seed)
    reports = []
    for report in Case(hands=6).reports():
        weights = report.scores[1].weights.copy()
        weights[: len(odd)] = odd
        scores = (report.scores[0], dataclasses.replace(report.scores[1], weights=weights))
        reports.append(dataclasses.replace(report, scores=scores))
    verdict = gate.judge(
        *reports, POLICY, day0=dataclasses.replace(reports[0], model="c"), tainted=bool(rng.integers(2))
    )
    json.dumps(gate.as_json(verdict), allow_nan=False)
    numbers = next(reason.numbers for reason in verdict.reasons if reason.check == "feedback")
    assert all(math.isfinite(numbers[name]) for name in ("gain_points", "gain_at_least", "gain_at_most"))


@pytest.mark.slow
def test_nights_of_small_losses_end_near_day_0() -> None:
    """An attacker who loses as much as passes ends at most 0.3 points below day 0, even if nights go on for ever: then
    nothing passes any more. Without the comparison, six nights lose over a point.
    """
    without, known = (judges.drifted([0], 6, known=known) for known in (False, True))
    assert min(known["base_points"], known["feedback_points"]) >= -0.3
    assert without["base_points"] < -1


@pytest.mark.slow
@pytest.mark.parametrize("rate", [0.1, 1.0])
def test_one_upload_moves_a_bound_by_little(rate: float) -> None:
    """Of any content and any weight: at most half a point at n=585 with ten hands; it was 56 points before."""
    assert abs(judges.worst_upload(rate, 10, [4], (1.0, 10.0, 1e300))["moved"]) <= 0.5
