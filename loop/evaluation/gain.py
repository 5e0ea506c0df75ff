"""Checks of what people wrote: has the challenger gained for them, and which evidence carries that answer?

Two slices come from people: ``feedback``, the uploads of hands that judge, and ``users``, a picture of all that they
draw. ``feedback`` carries the verdict if it has enough uploads of enough hands; else ``users`` does; else the base
slice helps, within limits that ``_without_carrier`` states. A slice that does not carry can still fail a challenger.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from loop.evaluation.pairs import Bounds, Pairs
from loop.evaluation.scoring import Score
from loop.evaluation.verdict import FEEDBACK, Outcome, Policy, Reason

LEAST = 1e-9
"""Smaller differences are rounding errors."""


@dataclass(frozen=True, slots=True, eq=False)
class Evidence:
    """One slice of people's images: the challenger's score and what changed. ``unselected`` counts the images that are
    not there because the champion misread them: only those can be broken.
    """

    score: Score
    pairs: Pairs
    unselected: int
    policy: Policy

    @property
    def missing(self) -> str:
        """What the slice lacks before it may carry a verdict, in words; empty if nothing."""
        policy, found, lacks = self.policy, self.pairs.hands, []
        if self.score.n < policy.minimum_feedback:
            lacks.append(f"n={self.score.n}, need {policy.minimum_feedback}")
        if self.unselected < policy.minimum_confirmations:
            lacks.append(f"confirmations n={self.unselected}, need {policy.minimum_confirmations}")
        if found is not None and found.count < policy.minimum_hands:
            lacks.append(f"hands n={found.count}, need {policy.minimum_hands}")
        return "; ".join(lacks)

    @property
    def agrees(self) -> bool:
        """Whether at least two hands gain, also without those that gain most, on images that could be broken too."""
        found = self.pairs.hands
        enough = self.unselected >= self.policy.minimum_confirmations
        return enough and found is not None and found.count > 1 and self.survives()

    @property
    def bounds(self) -> Bounds:
        """Estimate, lower and upper bound of the gain in points."""
        return self.pairs.gain(self.policy.alpha)

    def survives(self, threshold: float = 0.0) -> bool:
        """Whether the gain exceeds ``threshold`` points without the hands that gain most."""
        found = self.pairs.hands
        return found is None or found.without_best(self.policy.hostile_share, threshold / 100) > LEAST

    def harmed(self, threshold: float = 0.0, digit: int | None = None) -> bool:
        """Whether the gain is below ``threshold`` points without the hands that lose most."""
        found = self.pairs.hands
        return found is None or found.without_worst(self.policy.hostile_share, threshold / 100, digit) < -LEAST


def checks(
    found: Sequence[Evidence], base: tuple[Score, Pairs] | None, policy: Policy, tainted: bool
) -> Iterator[Reason]:
    """The reasons of every slice of people's images, and which of them carried the verdict.

    ``found`` is in the order in which slices may carry; ``base`` is the base slice if both models were scored on it.
    """
    carrier = next((evidence for evidence in found if not evidence.missing), None)
    excused = carrier is not None or tainted
    alone = None if carrier else _without_carrier(found, base, policy, tainted)
    for evidence in found:
        if evidence is carrier:
            yield _carries(evidence, tainted)
        else:
            yield _only_watches(evidence, excused or (alone is not None and alone.outcome is Outcome.PASSED))
        yield _no_digit_harmed(evidence)
    if all(evidence.score.name != FEEDBACK for evidence in found):
        need = f"need {policy.minimum_feedback} from at least {policy.minimum_hands} holdout sources"
        outcome = Outcome.PASSED if excused else Outcome.INCONCLUSIVE
        yield Reason("feedback", outcome, f"{FEEDBACK}: n=0, {need}", {"n": 0, "need": policy.minimum_feedback})
    yield _carried_by(carrier, found) if alone is None else alone


def _carries(evidence: Evidence, tainted: bool) -> Reason:
    """Superiority; over a tainted champion, non-inferiority."""
    policy, (_, low, high) = evidence.policy, evidence.bounds
    margin = -policy.tainted_margin_points if tainted else 0.0
    text = _words(evidence)
    if high < 0 and evidence.harmed():
        outcome, text = Outcome.FAILED, f"{text}: worse{_even(evidence, best=False)}"
    elif low > margin and evidence.survives(margin):
        outcome, text = Outcome.PASSED, f"{text}{_even(evidence, best=True)}"
        if tainted:
            text = f"{text}; the champion is tainted, so not worse by {-margin:g} points is enough"
    elif not tainted and high < policy.worthwhile_points and evidence.harmed(policy.worthwhile_points):
        outcome, text = Outcome.FAILED, f"{text}: a gain of {policy.worthwhile_points:g} points is ruled out"
    else:
        outcome, text = Outcome.INCONCLUSIVE, f"{text}: {_lacks(evidence, margin)}"
    return Reason(evidence.score.name, outcome, f"{evidence.score.name}: {text}", numbers(evidence))


def not_below_day0(check: str, evidence: Evidence) -> Reason:
    """Non-inferiority to the base of day 0, if the evidence could carry a verdict; else only shown harm counts."""
    policy, (_, low, high) = evidence.policy, evidence.bounds
    text = f"{evidence.score.name}: against the base of day 0, {_words(evidence)}"
    if high < 0 and evidence.harmed():
        outcome, text = Outcome.FAILED, f"{text}: worse{_even(evidence, best=False)}"
    elif evidence.missing:
        outcome, text = Outcome.PASSED, f"{text}: no loss is shown, and too little is there to rule it out"
    elif low >= -policy.margin_points and evidence.survives(-policy.margin_points):
        outcome, text = Outcome.PASSED, f"{text}, margin {policy.margin_points:g}"
    else:
        outcome, text = Outcome.INCONCLUSIVE, f"{text}, margin {policy.margin_points:g}: a loss is not ruled out"
    return Reason(check, outcome, text, numbers(evidence))


def _only_watches(evidence: Evidence, excused: bool) -> Reason:
    """A slice that cannot carry the verdict: it fails a challenger that is shown to be worse, and passes no other."""
    outcome = Outcome.PASSED if excused else Outcome.INCONCLUSIVE
    text = f"{evidence.missing}; {_words(evidence)}" if evidence.missing else _words(evidence)
    if evidence.bounds[2] < 0 and evidence.harmed():
        outcome, text = Outcome.FAILED, f"{text}: worse{_even(evidence, best=False)}"
    return Reason(evidence.score.name, outcome, f"{evidence.score.name}: {text}", numbers(evidence))


def _no_digit_harmed(evidence: Evidence) -> Reason:
    """Fails only on proven harm: a digit of people's images has too few items to prove the absence of a loss."""
    alpha, pairs = evidence.policy.alpha / 10, evidence.pairs
    bounds = [pairs.gain(alpha, digit) for digit in range(10)]
    harmed = [
        f"{digit} loses {-gain:.1f} points"
        for digit, (gain, _, high) in enumerate(bounds)
        if high < 0 and evidence.harmed(0.0, digit)
    ]
    outcome = Outcome.FAILED if harmed else Outcome.PASSED
    text = f"{evidence.score.name}, each digit: {'; '.join(harmed) or 'no harm is shown'}"
    return Reason(f"{evidence.score.name} classes", outcome, text, pairs.by_digit(bounds))


def _without_carrier(
    found: Sequence[Evidence], base: tuple[Score, Pairs] | None, policy: Policy, tainted: bool
) -> Reason:
    """What the base slice may decide where people's images cannot.

    Its test images are public, so a stranger can teach them: a gain there is no evidence by itself. It counts if at
    least two hands write, and the others gain too when those that gain most are left out. A tainted champion may go if
    the checks of the base slice pass and no harm to people is shown.
    """
    lacks = "; ".join(f"{evidence.score.name}: {evidence.missing}" for evidence in found)
    lacks = lacks or f"no uploads of hands that judge, need {policy.minimum_feedback} of {policy.minimum_hands} hands"
    if tainted:
        text = (
            f"people's images cannot decide ({lacks}); the champion is tainted, so not worse on the base slice decides"
        )
        return Reason("evidence", Outcome.PASSED, text, {"carried_by": "base"})
    if base is None:
        return Reason(
            "evidence", Outcome.INCONCLUSIVE, f"people's images cannot decide ({lacks})", {"carried_by": None}
        )
    score, pairs = base
    gain, low, high = pairs.gain(policy.alpha)
    text = f"people's images cannot decide ({lacks}), so {score.name} is asked"
    text = f"{text}: gain {gain:+.2f} points, from {low:+.2f} to {high:+.2f} at {policy.confidence}"
    shown = {"gain_points": gain, "gain_at_least": low, "gain_at_most": high}
    if low > 0 and any(evidence.agrees for evidence in found):
        text = f"{text}, and hands gain without the best of them: {score.name} carried the verdict"
        return Reason("evidence", Outcome.PASSED, text, {"carried_by": score.name} | shown)
    why = "two hands or more must gain too, since its images are public" if low > 0 else "no gain is shown there"
    return Reason("evidence", Outcome.INCONCLUSIVE, f"{text}; {why}", {"carried_by": None} | shown)


def _carried_by(carrier: Evidence | None, found: Sequence[Evidence]) -> Reason:
    if carrier is None:
        raise ValueError("expected a slice that carries the verdict")
    lacking = "".join(f"; {e.score.name} only watched for harm ({e.missing})" for e in found if e.missing)
    text = f"{carrier.score.name} carried the verdict: {uploads(carrier)}{lacking}"
    return Reason("evidence", Outcome.PASSED, text, {"carried_by": carrier.score.name})


def uploads(evidence: Evidence) -> str:
    """The uploads and hands of a slice, in words."""
    found = evidence.pairs.hands
    return f"n={evidence.score.n} uploads" + ("" if found is None else f" by {_count(found.count, 'hand')}")


def _words(evidence: Evidence) -> str:
    """Accuracies, gain, bounds, uploads and hands."""
    pairs, (gain, low, high) = evidence.pairs, evidence.bounds
    text = f"{100 * pairs.before:.2f} % → {100 * pairs.after:.2f} %, gain {gain:+.2f} points"
    text = f"{text}, from {low:+.2f} to {high:+.2f} at {evidence.policy.confidence}"
    text = f"{text}; fixed {int(pairs.fixed.sum())}, broke {int(pairs.broken.sum())} of {uploads(evidence)}"
    if pairs.hands is None:
        return text
    change = pairs.hands.change.sum(axis=0)
    return f"{text}, {int((change > LEAST).sum())} gain and {int((change < -LEAST).sum())} lose"


def _even(evidence: Evidence, *, best: bool) -> str:
    """The gain of the other hands, in words."""
    found = evidence.pairs.hands
    if found is None:
        return ""
    share = evidence.policy.hostile_share
    rest = 100 * (found.without_best(share) if best else found.without_worst(share))
    verb, number = "gain" if best else "lose", found.dropped(share)
    most = f"hand that {verb}s" if number == 1 else f"{number} hands that {verb}"
    return f"; {rest:+.2f} without the {most} most"


def _lacks(evidence: Evidence, margin: float) -> str:
    """Why the evidence does not decide, and how much would."""
    pairs, (gain, low, high) = evidence.pairs, evidence.bounds
    if high < 0:
        return f"a loss, but few hands cause it{_even(evidence, best=False)}"
    if low > margin:
        return f"few hands cause the gain{_even(evidence, best=True)}"
    if gain <= margin:
        return "no gain is shown, and none is ruled out"
    more = ((gain - low) / (gain - margin)) ** 2
    hands = "" if pairs.hands is None else f" by {math.ceil(pairs.hands.count * more)} hands"
    return f"a gain of this size would be shown by about n={math.ceil(evidence.score.n * more)} uploads{hands}"


def numbers(evidence: Evidence) -> dict[str, Any]:
    """The numbers of a reason."""
    pairs, policy, score = evidence.pairs, evidence.policy, evidence.score
    of_hands = {} if pairs.hands is None else {
        "hands_left_out": pairs.hands.dropped(policy.hostile_share),
        "gain_without_best": 100 * pairs.hands.without_best(policy.hostile_share),
        "gain_without_worst": 100 * pairs.hands.without_worst(policy.hostile_share),
        "effective_hands": pairs.hands.effective(),
    }  # fmt: skip
    return {
        **pairs.counts(score.n, evidence.bounds),
        "need": policy.minimum_feedback,
        "confirmations": score.confirmations,
        "need_confirmations": policy.minimum_confirmations,
        "hands": score.hands,
        "need_hands": policy.minimum_hands,
        **of_hands,
    }


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
