"""What phones should send and ask: the policy that fits the reviewers' capacity and last week's drawings. Pure.

A policy is set so that about ``WANTED_PER_ANSWER`` unsure drawings arrive for each answer that reviewers can give: a
strategy needs some to choose from, and more would only fill the pool. Sure drawings are sent rarely, just enough for
the random arm. The margin and both chances change at most by a factor of two at once, so that one odd week does not
turn the phones upside down.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from loop.feed.asking import AskingPolicy
from loop.feed.document import MILLION

WANTED_PER_ANSWER = 4
MARGINS_PPM = tuple(range(50_000, 950_000, 50_000))
FIRST_MARGIN_PPM, FIRST_OTHER_PPM = 300_000, 10_000
LEAST_PPM = 100
"""A chance below 1 in 10,000 gives a drawing so much weight that one of them would decide about a week."""
WORTHWHILE = 0.1
"""A smaller relative change is not worth a new policy."""


@dataclass(frozen=True, slots=True, eq=False)
class Arrivals:
    """The drawings of the last ``days``, also those that their users answered: ``margins (n,) float64``, the difference
    of the two best probabilities as the phone computed it; ``rates (n,) float64``, the chances with which phones sent
    them.
    """

    margins: NDArray[np.float64]
    rates: NDArray[np.float64]
    days: float

    def per_day(self, below: float = 2.0) -> float:
        """How many drawings with a smaller margin people made a day, as far as what arrived tells."""
        return float((1 / self.rates)[self.margins < below].sum()) / self.days


@dataclass(frozen=True, slots=True)
class Capacity:
    """``answers_a_day`` that reviewers give; the ``random_share`` of the questions; what the app asks its user."""

    answers_a_day: int
    random_share: float
    ask_user: bool
    asked_a_day: int


@dataclass(frozen=True, slots=True)
class Proposal:
    """A policy, and why: one sentence for each member that was decided."""

    policy: AskingPolicy
    reasons: tuple[str, ...]


def propose(before: AskingPolicy | None, arrivals: Arrivals, capacity: Capacity) -> Proposal:
    """The policy for the next days."""
    if not capacity.answers_a_day:
        policy = AskingPolicy(0, 0, 0, capacity.ask_user, capacity.asked_a_day)
        return Proposal(policy, ("ask.per_day is 0: phones send no drawings",))
    if before is None or not before.unsure_ppm or not len(arrivals.rates):
        return _first(before, capacity)
    wanted = WANTED_PER_ANSWER * capacity.answers_a_day
    margin, unsure, why_unsure = _unsure(arrivals, before.margin_ppm, wanted * (1 - capacity.random_share))
    other, why_other = _other(arrivals, margin, wanted * capacity.random_share)
    policy = AskingPolicy(
        margin_ppm=margin,
        unsure_ppm=_near(before.unsure_ppm, unsure),
        other_ppm=_near(max(before.other_ppm, LEAST_PPM), other),
        ask_user=capacity.ask_user,
        asked_a_day=capacity.asked_a_day,
    )
    return Proposal(policy, (why_unsure, why_other))


def differs(before: AskingPolicy | None, after: AskingPolicy) -> bool:
    """Whether the change is worth a new policy."""
    if before is None or (before.ask_user, before.asked_a_day) != (after.ask_user, after.asked_a_day):
        return True
    pairs = (
        (before.margin_ppm, after.margin_ppm),
        (before.unsure_ppm, after.unsure_ppm),
        (before.other_ppm, after.other_ppm),
    )
    return any(abs(new - old) > WORTHWHILE * max(old, 1) for old, new in pairs)


def _first(before: AskingPolicy | None, capacity: Capacity) -> Proposal:
    if before is not None and before.unsure_ppm:
        policy = AskingPolicy(
            before.margin_ppm, before.unsure_ppm, before.other_ppm, capacity.ask_user, capacity.asked_a_day
        )
        return Proposal(policy, ("no drawing arrived in the last days: the policy stays",))
    policy = AskingPolicy(FIRST_MARGIN_PPM, MILLION, FIRST_OTHER_PPM, capacity.ask_user, capacity.asked_a_day)
    return Proposal(policy, ("the first policy: nothing is known yet about what people draw",))


def _unsure(arrivals: Arrivals, before: int, wanted: float) -> tuple[int, int, str]:
    """The margin, the chance below it, and why: the smallest margin below which enough drawings are made, as far as the
    margin may move at once.
    """
    largest = MARGINS_PPM[-1]
    enough = next((each for each in MARGINS_PPM if arrivals.per_day(each / MILLION) >= wanted), largest)
    margin = _near(max(before, MARGINS_PPM[0]), enough)
    made = arrivals.per_day(margin / MILLION)
    chance = min(MILLION, max(LEAST_PPM, round(MILLION * wanted / made))) if made else MILLION
    why = f"below a margin of {margin / MILLION:g} people draw {made:.0f} a day, {wanted:.0f} are wanted"
    if margin != enough:
        why += f"; the margin moves to {enough / MILLION:g}, at most by a factor of two at once"
    elif made < wanted:
        why += "; no larger margin is used"
    return margin, chance, why


def _other(arrivals: Arrivals, margin: int, wanted: float) -> tuple[int, str]:
    made = max(arrivals.per_day() - arrivals.per_day(margin / MILLION), 1.0)
    chance = min(MILLION, max(LEAST_PPM, round(MILLION * wanted / made)))
    return chance, f"people make {made:.0f} sure drawings a day, {wanted:.0f} are wanted for the random arm"


def _near(before: int, wanted: int) -> int:
    """The wanted chance or margin, at least half and at most double of before."""
    return min(max(wanted, before // 2, LEAST_PPM), 2 * before, MILLION)
