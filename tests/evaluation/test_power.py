"""The gate's error rates in simulated scenarios with a known truth."""

from dataclasses import replace

import numpy as np
import pytest

from loop.evaluation import gate, power
from loop.evaluation.gate import Policy
from loop.evaluation.scoring import Report

POLICY = Policy()


def rng(seed: int) -> np.random.Generator:
    """A generator with a fixed seed, so that each run gives the same result."""
    return np.random.default_rng(seed)


@pytest.mark.slow
def test_equal_models_are_rarely_promoted_and_a_naive_gate_promotes_many() -> None:
    """A/A over three scenarios: at most 5 % pass (n=300, plus two standard errors); a naive gate passes over 12 %."""
    cells = [power.cell(scenario, 500, POLICY, rng(i), 100) for i, scenario in enumerate(power.EQUALS)]
    assert sum(cell.passed for cell in cells) / 3 <= 0.05 + 2 * 0.0126
    assert sum(cell.naive_passed for cell in cells) / 3 > 0.12


@pytest.mark.slow
def test_half_a_point_lost_on_the_base_is_refused() -> None:
    """A base loss of half a point passes in 0 of 150 draws despite a feedback gain; without a loss, 93 % pass."""
    cells = {
        scenario.name[13:17]: power.cell(scenario, 500, POLICY, rng(3), 150)
        for scenario in (power.LOSSES[0], power.LOSSES[-1])
    }
    assert cells["0.50"].passed == 0
    assert cells["0.50"].failed >= 0.95
    assert cells["0.00"].passed >= 0.93


def test_a_wide_margin_lets_the_loss_through() -> None:
    """Negative control: with a wide margin the same loss passes."""
    lax = Policy(margin_points=5, class_margin_points=20)
    assert power.cell(power.LOSSES[-1], 500, lax, rng(3), 60).passed >= 0.9


@pytest.mark.slow
def test_a_true_gain_is_found_where_there_is_feedback_enough() -> None:
    """A gain of four points passes on 100 items only if MNIST shows one too, mostly on 200, at least 90 % on 500."""
    found = [power.cell(power.GAINS[-1], size, POLICY, rng(4), 80).passed for size in (100, 200, 500)]
    assert found[0] <= 0.05
    assert found[1] >= 0.65
    assert found[2] >= 0.9


@pytest.mark.parametrize("scenario", power.EQUALS + power.GAINS, ids=lambda scenario: scenario.name)
def test_the_scenarios_have_the_stated_gain(scenario: power.Scenario) -> None:
    """The weighted estimate is unbiased: its mean over 60 samples is the true gain within 3.5 standard errors."""
    generator = rng(5)
    gains = []
    for _ in range(60):
        champion, challenger = power.sample(scenario, 1000, generator)
        assert challenger.scores[1].n == 1000
        gains.append(gate.pair(champion.scores[1], challenger.scores[1], POLICY).gain(0.05)[0])
    error = float(np.std(gains) / np.sqrt(60))
    assert np.mean(gains) == pytest.approx(scenario.fixed - scenario.broken, abs=3.5 * error)


def test_the_same_seed_gives_the_same_table() -> None:
    """One seed gives one table, another seed another; progress ends at its total; each scenario has a Markdown row."""
    seen: list[tuple[str, int, int]] = []
    tables = [power.simulate(POLICY, seed, 2, (50, 200), lambda *step: seen.append(step)) for seed in (1, 1, 2)]
    assert tables[0] == tables[1]
    assert tables[0].cells != tables[2].cells
    assert seen[-1][1:] == (len(tables[0].cells),) * 2
    for scenario in power.EQUALS + power.GAINS + power.LOSSES + power.CLUSTERS:
        assert f"| {scenario.name} |" in tables[0].markdown()


@pytest.mark.slow
@pytest.mark.parametrize(
    "scenario", [s for s in power.CLUSTERS if s.hands in (3, 10)], ids=lambda s: f"{s.hands}, {s.by_hand}"
)
def test_hands_that_differ_are_rarely_taken_for_a_gain(scenario: power.Scenario) -> None:
    """With ±1 or ±2 points for each of 3 or 10 hands and no gain on average, at most 5 % pass (n=150, plus 2 SE)."""
    assert power.cell(scenario, 1000, POLICY, rng(6), 150).passed <= 0.05 + 2 * 0.018


def test_a_judge_of_uploads_takes_them_for_a_gain() -> None:
    """Negative control: the same worlds with the hands left out pass more than 15 % (three hands, two points)."""
    scenario = next(s for s in power.CLUSTERS if s.hands == 3 and s.by_hand == 1.0)
    generator, passed = rng(6), 0
    for _ in range(60):
        reports = (_without_hands(report) for report in power.sample(scenario, 1000, generator))
        passed += gate.judge(*reports, POLICY).outcome is gate.Outcome.PASSED
    assert passed / 60 > 0.15


def _without_hands(report: Report) -> Report:
    return replace(report, scores=tuple(replace(score, sources=None) for score in report.scores))


@pytest.mark.slow
@pytest.mark.parametrize("scenario", power.HOSTILE[1:5:3], ids=lambda s: s.name)
def test_a_fifth_of_lying_hands_neither_passes_nor_fails_a_model(scenario: power.Scenario) -> None:
    """A challenger 3.7 points worse passes, and one 3.7 points better fails, in at most 5 % of nights (n=100)."""
    found = power.cell(scenario, power.HOSTILE_SIZE, POLICY, rng(7), 100)
    assert (found.passed if scenario.fixed < scenario.broken else found.failed) <= 0.05


def test_without_the_rule_lying_hands_pass_a_bad_model() -> None:
    """Negative control: if only one hand is left out, a fifth of 30 hands passes a bad challenger most of the time."""
    scenario = next(s for s in power.HOSTILE if s.hands == 30 and s.fixed < s.broken)
    lax = Policy(hostile_share=0.01)
    generator, outcomes = rng(8), []
    for _ in range(40):
        verdict = gate.judge(*power.sample(scenario, power.HOSTILE_SIZE, generator), lax)
        outcomes.append(next(reason.outcome for reason in verdict.reasons if reason.check == "feedback"))
    assert outcomes.count(gate.Outcome.PASSED) > 20
