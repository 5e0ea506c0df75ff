"""The gate: champion's report, challenger's report, policy → verdict with reasons. Pure: no clock, no randomness.

The rules, in this order. None of them looks at an image; ``scoring`` did:

1. A challenger with invalid answers fails: NaN, a wrong shape, a constant answer, a digit never answered.
2. Without a champion, absolute floors on the base slice decide, and the verdict states this. If the champion's answers
   are invalid the result is inconclusive: beating it would be no evidence.
3. Base slice (a report's first): the challenger is not worse by more than a margin.
4. Nor is it worse on any digit of the base slice.
5. Slice ``feedback``: the challenger is better, weighted by inverse sampling rate, on enough items.
6. And it harms no digit of that slice.

Every comparison is paired: an image counts only if one of the two models is right and the other is wrong. *Passed*
needs evidence. *Failed* needs evidence too: harm is shown, or a worthwhile gain is ruled out. Everything else is
*inconclusive*, and the reason states how much is missing. The worst check decides. A verdict is always returned.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from loop.evaluation import intervals
from loop.evaluation.scoring import Report, Score
from loop.evaluation.verdict import FEEDBACK, Outcome, Policy, Reason, Verdict, as_json

__all__ = ["FEEDBACK", "Outcome", "Pairs", "Policy", "Reason", "Verdict", "as_json", "judge", "pair"]


@dataclass(frozen=True, slots=True, eq=False)
class Pairs:
    """Two models on one slice: counts of what the challenger fixed and broke, by digit and by weight.

    ``weights`` are the ``h`` distinct weights; ``fixed`` and ``broken`` ``(10, h)`` count images; ``n`` and ``mass``
    ``(10,)`` are the images of each digit and the sum of their weights.
    """

    weights: list[float]
    fixed: NDArray[np.int64]
    broken: NDArray[np.int64]
    n: NDArray[np.int64]
    mass: NDArray[np.float64]

    def gain(self, alpha: float, digit: int | None = None) -> tuple[float, float, float]:
        """Estimate, lower bound and upper bound (each one-sided, level ``alpha``) of the gain in points."""
        rows = slice(None) if digit is None else slice(digit, digit + 1)
        fixed, broken = self.fixed[rows].sum(axis=0).tolist(), self.broken[rows].sum(axis=0).tolist()
        scale = 100 / max(float(self.mass[rows].sum()), 1e-9)
        low, high = intervals.weighted_gain(fixed, broken, self.weights, alpha)
        estimate = sum(w * (f - b) for w, f, b in zip(self.weights, fixed, broken, strict=True))
        return estimate * scale, max(low * scale, -100.0), min(high * scale, 100.0)


def judge(
    champion: Report | None,
    challenger: Report,
    policy: Policy,
    *,
    day0: Report | None = None,
    tainted: bool = False,
    probes: Sequence[Reason] = (),
) -> Verdict:
    """May the challenger replace the champion? All reports score the same slices, the base slice first.

    ``champion`` is ``None`` in a family's first run. ``day0`` is the report of the frozen base (version 1): small
    losses of many nights must not add up. ``tainted``: the champion was taught uploads that were erased or rejected
    since, so a challenger that is not worse may replace it. ``probes`` are the reasons of other checks; the worst
    reason of all decides. Never raises; reports that cannot be paired are inconclusive.
    """
    reasons = (*_checks(champion, challenger, policy, tainted), *_since_day0(day0, challenger, policy), *probes)
    worst = _worst(reason.outcome for reason in reasons)
    return Verdict(worst, reasons, champion.model if champion else None, challenger.model, policy)


def pair(champion: Score, challenger: Score) -> Pairs:
    """Count what changed between two scores of the same slice."""
    weights, cell = np.unique(challenger.weights, return_inverse=True)
    labels, h = challenger.labels.astype(np.intp), max(len(weights), 1)
    before, after = champion.right, challenger.right

    def count(where: NDArray[np.bool_]) -> NDArray[np.int64]:
        return np.bincount(labels[where] * h + cell[where], minlength=10 * h).reshape(10, h)

    n = np.bincount(labels, minlength=10)
    mass = np.bincount(labels, challenger.weights, minlength=10).astype(np.float64)
    return Pairs(weights.tolist() or [1.0], count(~before & after), count(before & ~after), n, mass)


def _checks(champion: Report | None, challenger: Report, policy: Policy, tainted: bool) -> Iterator[Reason]:
    problems = challenger.health.problems
    yield Reason(
        "health",
        Outcome.FAILED if problems else Outcome.PASSED,
        "; ".join(problems) or "answers are finite and complete, and sum to 1",
        asdict(challenger.health),
    )
    if problems:
        return
    if not challenger.scores:
        yield Reason("base", Outcome.INCONCLUSIVE, "no slice was scored, so there is nothing to judge", {"n": 0})
        return
    base = challenger.scores[0]
    if champion is None:
        yield Reason("first run", Outcome.PASSED, "no champion yet, so only absolute floors apply")
        yield _floor(base, policy)
        yield _class_floor(base, policy)
        return
    if champion.health.problems:
        text = f"the champion does not run here ({'; '.join(champion.health.problems)}), so no comparison is possible"
        yield Reason("champion", Outcome.INCONCLUSIVE, text, asdict(champion.health))
        return
    if (pairs := _paired(champion, base)) is None:
        yield _unpaired("base", base)
    else:
        yield _not_worse(base, champion, pairs, policy)
        yield _no_digit_worse(base, pairs, policy)
    feedback = challenger.on(FEEDBACK)
    if feedback is None or feedback.n == 0:
        text = f"{FEEDBACK}: n=0, need {policy.minimum_feedback} from at least {policy.minimum_hands} holdout sources"
        yield Reason("feedback", Outcome.INCONCLUSIVE, text, {"n": 0, "need": policy.minimum_feedback})
    elif (pairs := _paired(champion, feedback)) is None:
        yield _unpaired("feedback", feedback)
    else:
        yield _better(feedback, champion, pairs, policy, tainted)
        yield _no_digit_harmed(feedback, pairs, policy)


def _since_day0(day0: Report | None, challenger: Report, policy: Policy) -> Iterator[Reason]:
    """Non-inferiority to the frozen base on every slice that both reports have."""
    for score in () if day0 is None or challenger.health.problems else challenger.scores:
        if day0 is None or score.n == 0 or (pairs := _paired(day0, score)) is None:
            continue
        gain, low, high = pairs.gain(policy.alpha)
        text = f"{score.name}, against the base of day 0: gain {gain:+.2f} points, from {low:+.2f} to {high:+.2f}"
        outcome = Outcome.FAILED if high < 0 and low < -policy.margin_points else Outcome.PASSED
        if high >= 0 and low < -policy.margin_points and gain < -policy.margin_points:
            outcome, text = Outcome.INCONCLUSIVE, f"{text}: a loss over the margin {policy.margin_points:g} is likely"
        yield Reason(f"day 0: {score.name}", outcome, text, _numbers(score, pairs, gain, low, high))


def _paired(champion: Report, score: Score) -> Pairs | None:
    other = champion.on(score.name)
    return None if other is None or other.digest != score.digest else pair(other, score)


def _unpaired(check: str, score: Score) -> Reason:
    text = f"{score.name}: the champion was scored on other images; score it again on this slice"
    return Reason(check, Outcome.INCONCLUSIVE, text, {"n": score.n, "digest": score.digest})


def _not_worse(score: Score, champion: Report, pairs: Pairs, policy: Policy) -> Reason:
    """Non-inferiority of the whole base slice."""
    gain, low, high = pairs.gain(policy.alpha)
    text = f"{_moved(score, champion)}, loss {0 - gain:.2f} points, at most {-low:.2f} at {_confidence(policy)}"
    text = f"{text}, margin {policy.margin_points:g}; {_changed(pairs)}"
    if -low <= policy.margin_points:
        enough = score.n >= policy.minimum_base
        outcome, text = (Outcome.PASSED, text) if enough else (Outcome.INCONCLUSIVE, _short(score, policy.minimum_base))
    elif high < 0:
        outcome, text = Outcome.FAILED, f"{text}: worse by at least {-high:.2f} points"
    else:
        outcome, text = Outcome.INCONCLUSIVE, f"{text}: neither a loss nor its absence is shown"
    numbers = _numbers(score, pairs, gain, low, high) | {
        "margin_points": policy.margin_points,
        "need": policy.minimum_base,
    }
    return Reason("base", outcome, f"{score.name}: {text}", numbers)


def _no_digit_worse(score: Score, pairs: Pairs, policy: Policy) -> Reason:
    """Non-inferiority of each digit of the base slice.

    All ten digits must pass, so ``alpha`` needs no correction for passing (intersection-union). For failing, ``alpha``
    is divided by ten (Bonferroni), so that equal models rarely seem to harm a digit.
    """
    margin = policy.class_margin_points
    unsure: list[str] = []
    harmed: list[str] = []
    bounds = [pairs.gain(policy.alpha, digit) for digit in range(10)]
    for digit in np.flatnonzero(pairs.n).tolist():
        loss, at_most = (0 - end for end in bounds[digit][:2])
        if at_most > margin:
            sure = pairs.gain(policy.alpha / 10, digit)[2] < 0
            (harmed if sure else unsure).append(f"{digit} loses {loss:.2f} points, at most {at_most:.2f}")
    absent = [str(digit) for digit in np.flatnonzero(pairs.n == 0).tolist()]
    unsure += [f"{digit} does not occur" for digit in absent]
    outcome = Outcome.FAILED if harmed else Outcome.INCONCLUSIVE if unsure else Outcome.PASSED
    details = "; ".join(harmed + unsure) or "no digit loses more"
    text = f"{score.name}, each digit: margin {margin:g} points at {_confidence(policy)}; {details}"
    if unsure and not harmed and score.n:
        text = f"{text}; n={int(pairs.n.min())} of the rarest digit"
    return Reason("classes", outcome, text, _by_digit(pairs, bounds) | {"margin_points": margin})


def _better(score: Score, champion: Report, pairs: Pairs, policy: Policy, tainted: bool) -> Reason:
    """Superiority on the feedback slice; over a tainted champion, non-inferiority."""
    gain, low, high = pairs.gain(policy.alpha)
    text = (
        f"{_moved(score, champion)}, gain {gain:+.2f} points, from {low:+.2f} to {high:+.2f} at {_confidence(policy)}"
    )
    text = f"{text}; {_changed(pairs)}{_hands(score, champion)}"
    missing = _missing(score, policy)
    if high < 0:
        outcome, text = Outcome.FAILED, f"{text}: worse"
    elif tainted and (missing or low >= -policy.tainted_margin_points):
        outcome, text = Outcome.PASSED, f"{text}; not worse, which is enough: the champion is tainted"
    elif missing:
        outcome, text = Outcome.INCONCLUSIVE, f"{missing}; {text}"
    elif low > 0:
        outcome = Outcome.PASSED
    elif high < policy.worthwhile_points:
        outcome, text = Outcome.FAILED, f"{text}: a gain of {policy.worthwhile_points:g} points is ruled out"
    else:
        outcome, text = Outcome.INCONCLUSIVE, f"{text}: {_needed(score, gain, low)}"
    numbers = _numbers(score, pairs, gain, low, high) | {
        "need": policy.minimum_feedback,
        "confirmations": score.confirmations,
        "need_confirmations": policy.minimum_confirmations,
        "hands": score.hands,
    }
    return Reason("feedback", outcome, f"{score.name}: {text}", numbers)


def _no_digit_harmed(score: Score, pairs: Pairs, policy: Policy) -> Reason:
    """Fails only on proven harm: a digit of the feedback slice has too few items to prove the absence of a loss."""
    bounds = [pairs.gain(policy.alpha / 10, digit) for digit in range(10)]
    harmed = [f"{digit} loses {-gain:.1f} points" for digit, (gain, _, high) in enumerate(bounds) if high < 0]
    outcome = Outcome.FAILED if harmed else Outcome.PASSED
    text = f"{score.name}, each digit: {'; '.join(harmed) or 'no harm is shown'}"
    return Reason("feedback classes", outcome, text, _by_digit(pairs, bounds))


def _floor(score: Score, policy: Policy) -> Reason:
    floor = policy.base_floor_percent
    low, high = (100 * end for end in score.interval_at(1 - 2 * policy.alpha))
    outcome = _against_floor(low, high, floor)
    text = f"{score.name}: {_percent(score.accuracy)}, at least {low:.2f} % at {_confidence(policy)}, floor {floor:g} %"
    if score.n < policy.minimum_base and outcome is Outcome.PASSED:
        outcome, text = Outcome.INCONCLUSIVE, f"{score.name}: {_short(score, policy.minimum_base)}"
    numbers = {"n": score.n, "need": policy.minimum_base, "at_least_percent": low, "floor_percent": floor}
    return Reason("floor", outcome, text, numbers)


def _class_floor(score: Score, policy: Policy) -> Reason:
    floor = policy.class_floor_percent
    ends = {}
    for digit, (n, accuracy) in enumerate(score.per_class):
        low, high = intervals.wilson(accuracy if n else 0.0, n, 1 - 2 * policy.alpha)
        ends[digit] = (n, 100 * low, 100 * high)
    outcomes = {digit: _against_floor(low, high, floor) for digit, (_, low, high) in ends.items()}
    below = [
        f"{d}: at least {ends[d][1]:.1f} %, n={ends[d][0]}" for d, o in outcomes.items() if o is not Outcome.PASSED
    ]
    text = f"{score.name}, each digit: floor {floor:g} % at {_confidence(policy)}; {'; '.join(below) or 'all above'}"
    numbers = {"floor_percent": floor, "at_least_percent": [low for _, low, _ in ends.values()]}
    return Reason("class floor", _worst(outcomes.values()), text, numbers)


def _against_floor(low: float, high: float, floor: float) -> Outcome:
    return Outcome.PASSED if low >= floor else Outcome.FAILED if high < floor else Outcome.INCONCLUSIVE


def _worst(outcomes: Iterable[Outcome]) -> Outcome:
    return max(outcomes, key=list(Outcome).index)


def _missing(score: Score, policy: Policy) -> str:
    """What is missing before a gain may count, in words; empty if nothing is missing."""
    if score.n < policy.minimum_feedback:
        return _short(score, policy.minimum_feedback)
    if score.confirmations < policy.minimum_confirmations:
        return f"confirmations n={score.confirmations}, need {policy.minimum_confirmations}"
    if score.hands is not None and score.hands < policy.minimum_hands:
        return f"hands n={score.hands}, need {policy.minimum_hands}"
    return ""


def _needed(score: Score, gain: float, low: float) -> str:
    """How many items would decide: the width of a bound shrinks with the square root of n."""
    if gain <= 0:
        return "no gain is shown, and none is ruled out"
    return f"a gain of this size would be shown by about n={math.ceil(score.n * ((gain - low) / gain) ** 2)}"


def _short(score: Score, need: int) -> str:
    return f"n={score.n}, need {need}"


def _moved(score: Score, champion: Report) -> str:
    before = champion.on(score.name)
    return f"{_percent(before.accuracy if before else math.nan)} → {_percent(score.accuracy)}"


def _changed(pairs: Pairs) -> str:
    return f"fixed {int(pairs.fixed.sum())}, broke {int(pairs.broken.sum())} of n={int(pairs.n.sum())}"


def _hands(score: Score, champion: Report) -> str:
    """How many hands gain and lose: items of one hand resemble each other, so hands are better evidence than n."""
    before = champion.on(score.name)
    if score.sources is None or before is None:
        return ""
    change = score.weights * (score.right.astype(np.float64) - before.right)
    by_hand = np.bincount(np.unique(score.sources, return_inverse=True)[1], change)
    return f"; of {score.hands} hands {int((by_hand > 0).sum())} gain and {int((by_hand < 0).sum())} lose"


def _numbers(score: Score, pairs: Pairs, gain: float, low: float, high: float) -> dict[str, Any]:
    return {
        "n": score.n,
        "fixed": int(pairs.fixed.sum()),
        "broken": int(pairs.broken.sum()),
        "gain_points": gain,
        "gain_at_least": low,
        "gain_at_most": high,
    }


def _by_digit(pairs: Pairs, bounds: list[tuple[float, float, float]]) -> dict[str, Any]:
    return {
        "n": pairs.n.tolist(),
        "fixed": pairs.fixed.sum(axis=1).tolist(),
        "broken": pairs.broken.sum(axis=1).tolist(),
        "gain_points": [gain for gain, _, _ in bounds],
        "gain_at_least": [low for _, low, _ in bounds],
        "gain_at_most": [high for _, _, high in bounds],
    }


def _percent(share: float) -> str:
    return f"{100 * share:.2f} %"


def _confidence(policy: Policy) -> str:
    return f"{100 * (1 - policy.alpha):g} %"
