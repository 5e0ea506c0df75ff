"""The gate: champion's report, challenger's report, policy → verdict with reasons. Pure: no clock, no randomness.

The rules, in this order. None of them looks at an image; ``scoring`` did:

1. A challenger with invalid answers fails: NaN, a wrong shape, a constant answer, a digit never answered.
2. Without a champion, absolute floors on the base slice decide, and the verdict states this. If the champion's answers
   are invalid the result is inconclusive: beating it would be no evidence.
3. Base slice (a report's first): the challenger is not worse by more than a margin.
4. Nor is it worse on any digit of the base slice.
5. People's images, ``feedback`` or else ``users``: the challenger is better, weighted by inverse sampling rate, on
   enough uploads of enough hands (``gain``). And it harms no digit there. A tainted champion may be replaced by a
   challenger that is not worse.
6. It is not worse than the frozen base of day 0 either, on any slice: small losses of many nights must not add up.
7. The reasons of other checks (``probes``) count as these do.

Every comparison is paired: an image counts only if one of the two models is right and the other is wrong. *Passed*
needs evidence. *Failed* needs evidence too: harm is shown, or a worthwhile gain is ruled out. Everything else is
*inconclusive*, and the reason states how much is missing. The worst check decides. A verdict is always returned.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict

import numpy as np

from loop.evaluation import gain, intervals
from loop.evaluation.gain import Evidence
from loop.evaluation.pairs import Pairs, pair
from loop.evaluation.scoring import Report, Score
from loop.evaluation.verdict import FEEDBACK, USERS, Outcome, Policy, Reason, Verdict, as_json

__all__ = ["FEEDBACK", "USERS", "Outcome", "Pairs", "Policy", "Reason", "Verdict", "as_json", "judge", "pair"]


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
    reasons = (
        *_checks(champion, challenger, policy, tainted),
        *_since_day0(day0, champion, challenger, policy),
        *probes,
    )
    worst = _worst(reason.outcome for reason in reasons)
    return Verdict(worst, reasons, champion.model if champion else None, challenger.model, policy)


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
    if (pairs := _paired(champion, base, policy)) is None:
        yield _unpaired("base", base)
    else:
        yield _not_worse("base", base, pairs, policy)
        yield _no_digit_worse(base, pairs, policy)
    people = [score for name in (FEEDBACK, USERS) if (score := challenger.on(name)) is not None and score.n]
    found = {score.name: _evidence(champion, score, policy) for score in people}
    yield from (_unpaired(score.name, score) for score in people if found[score.name] is None)
    paired = [evidence for evidence in found.values() if evidence is not None]
    if paired or not people:
        yield from gain.checks(paired, None if pairs is None else (base, pairs), policy, tainted)


def _since_day0(day0: Report | None, champion: Report | None, challenger: Report, policy: Policy) -> Iterator[Reason]:
    """Non-inferiority to the frozen base: on its slice, and on people's images if they can decide.

    Where people's images are too few for that, only shown harm counts.
    """
    if day0 is None or champion is None or challenger.health.problems or not challenger.scores:
        return
    if day0.health.problems:
        text = f"the base of day 0 does not run here ({'; '.join(day0.health.problems)}), so no comparison is possible"
        yield Reason("day 0", Outcome.INCONCLUSIVE, text, asdict(day0.health))
        return
    if day0.model == champion.model:
        yield Reason("day 0", Outcome.PASSED, "the champion is the base of day 0, so the checks above compare with it")
        return
    for score in challenger.scores:
        check = f"day 0 {score.name}"
        if score.n == 0:
            continue
        if (found := _evidence(day0, score, policy)) is None:
            yield _unpaired(check, score, "the base of day 0")
        elif score is challenger.scores[0]:
            yield _not_worse(check, score, found.pairs, policy, "against the base of day 0, ")
        else:
            yield gain.not_below_day0(check, found)


def _evidence(before: Report, score: Score, policy: Policy) -> Evidence | None:
    """What a slice of people's images shows; None if the earlier model was scored on other images."""
    other, pairs = before.on(score.name), _paired(before, score, policy)
    if other is None or pairs is None:
        return None
    # What is in ``users`` does not depend on what the user said, so all that the earlier model reads counts.
    read = int(np.count_nonzero(other.right))
    return Evidence(score, pairs, read if score.name == USERS else score.confirmations, policy)


def _paired(before: Report, score: Score, policy: Policy) -> Pairs | None:
    other = before.on(score.name)
    return None if other is None or other.digest != score.digest else pair(other, score, policy)


def _unpaired(check: str, score: Score, who: str = "the champion") -> Reason:
    text = f"{score.name}: {who} was scored on other images; score it again on this slice"
    return Reason(check, Outcome.INCONCLUSIVE, text, {"n": score.n, "digest": score.digest})


def _not_worse(check: str, score: Score, pairs: Pairs, policy: Policy, against: str = "") -> Reason:
    """Non-inferiority of the whole base slice."""
    estimate, low, high = bounds = pairs.gain(policy.alpha)
    text = f"{_percent(pairs.before)} → {_percent(pairs.after)}, loss {0 - estimate:.2f} points"
    text = f"{text}, at most {0 - low:.2f} at {policy.confidence}, margin {policy.margin_points:g}; {_changed(pairs)}"
    if -low <= policy.margin_points:
        enough = score.n >= policy.minimum_base
        outcome, text = (Outcome.PASSED, text) if enough else (Outcome.INCONCLUSIVE, _short(score, policy.minimum_base))
    elif high < 0:
        outcome, text = Outcome.FAILED, f"{text}: worse by at least {-high:.2f} points"
    else:
        outcome, text = Outcome.INCONCLUSIVE, f"{text}: neither a loss nor its absence is shown"
    numbers = pairs.counts(score.n, bounds) | {"margin_points": policy.margin_points, "need": policy.minimum_base}
    return Reason(check, outcome, f"{score.name}: {against}{text}", numbers)


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
    text = f"{score.name}, each digit: margin {margin:g} points at {policy.confidence}; {details}"
    if unsure and not harmed and score.n:
        text = f"{text}; n={int(pairs.n.min())} of the rarest digit"
    return Reason("classes", outcome, text, pairs.by_digit(bounds) | {"margin_points": margin})


def _floor(score: Score, policy: Policy) -> Reason:
    floor = policy.base_floor_percent
    low, high = (100 * end for end in score.interval_at(1 - 2 * policy.alpha))
    outcome = _against_floor(low, high, floor)
    text = f"{score.name}: {_percent(score.accuracy)}, at least {low:.2f} % at {policy.confidence}, floor {floor:g} %"
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
    text = f"{score.name}, each digit: floor {floor:g} % at {policy.confidence}; {'; '.join(below) or 'all above'}"
    numbers = {"floor_percent": floor, "at_least_percent": [low for _, low, _ in ends.values()]}
    return Reason("class floor", _worst(outcomes.values()), text, numbers)


def _against_floor(low: float, high: float, floor: float) -> Outcome:
    return Outcome.PASSED if low >= floor else Outcome.FAILED if high < floor else Outcome.INCONCLUSIVE


def _worst(outcomes: Iterable[Outcome]) -> Outcome:
    return max(outcomes, key=list(Outcome).index)


def _short(score: Score, need: int) -> str:
    return f"n={score.n}, need {need}"


def _changed(pairs: Pairs) -> str:
    return f"fixed {int(pairs.fixed.sum())}, broke {int(pairs.broken.sum())} of n={int(pairs.n.sum())}"


def _percent(share: float) -> str:
    return f"{100 * share:.2f} %"
