"""Does the interval of the `users` slice hold the truth? Simulated crowds of which everything is known.

    python -m benchmarks.users_slice --crowds 1000

People have their own accuracy and draw different amounts. They correct none or half of what is misread, at once or
after the drawing was sent, and answer none or half of what their phones ask. Phones send unsure drawings often and
others rarely, a fifth of the sources is held out, the night's lottery draws the questions. A person counts from the
first upload under the policy on. The truth is the accuracy on everything that all of them drew.
"""

import argparse
import json
import sys
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from loop.asking.queue import lottery_chances, winners
from loop.evaluation import users

UNSURE_IF_RIGHT, UNSURE_IF_WRONG = 0.05, 0.7
UNSURE_RATE, OTHER_RATE = 0.8, 0.02
HOLDOUT = 0.2
LATE = 0.3
"""The share of corrections that are made after the phone has decided about the drawing."""


@dataclass(frozen=True, slots=True)
class Crowd:
    """``people`` who draw ``each`` digits on average (lognormal, ``spread``); their accuracies are beta distributed."""

    people: int
    each: int
    accuracy: float
    alike: float
    answers: int
    spread: float


CROWDS = {
    "500 people": Crowd(500, 300, 0.98, 30, 300, 1.0),
    "75 people": Crowd(75, 1500, 0.97, 30, 300, 0.7),
    "2,000 people": Crowd(2000, 100, 0.985, 40, 300, 1.2),
    "a weak model": Crowd(300, 400, 0.93, 20, 200, 1.0),
    "people alike": Crowd(500, 300, 0.98, 1e6, 300, 0.5),
    "50 people, few answers": Crowd(50, 500, 0.97, 30, 150, 0.8),
}


@dataclass(frozen=True, slots=True)
class Habits:
    """The shares of mistakes that people correct, and of unsure drawings that were to be sent which they answer."""

    corrected: float = 0.0
    answered: float = 0.0


HABITS = [Habits(corrected, answered) for answered in (0.0, 0.5) for corrected in (0.0, 0.5)]


@dataclass(frozen=True, slots=True)
class Found:
    """Whether the interval holds the truth; its width, and how much the estimate is above the truth, in points."""

    holds: bool
    width: float
    error: float


def measure(crowd: Crowd, habits: Habits, seed: int) -> Found:
    """One crowd."""
    random = np.random.default_rng([seed, 7])
    skill = random.beta(crowd.accuracy * crowd.alike, (1 - crowd.accuracy) * crowd.alike, crowd.people)
    amount = np.round(crowd.each * random.lognormal(-(crowd.spread**2) / 2, crowd.spread, crowd.people))
    amount = np.maximum(1, amount).astype(np.int64)
    truth = float((skill * amount).sum() / amount.sum())
    held_out = np.flatnonzero(random.random(crowd.people) < HOLDOUT)
    who = np.repeat(held_out, amount[held_out])
    right = random.random(len(who)) < skill[who]
    unsure = random.random(len(who)) < np.where(right, UNSURE_IF_RIGHT, UNSURE_IF_WRONG)
    rates = np.where(unsure, UNSURE_RATE, OTHER_RATE)
    corrected = ~right & (random.random(len(who)) < habits.corrected)
    late = random.random(len(who)) < LATE  # corrected after the phone has decided about the drawing
    sent = (random.random(len(who)) < rates) & (~corrected | late)
    answered = sent & unsure & (random.random(len(who)) < habits.answered)
    counts = _begun(who, sent)
    waits = np.flatnonzero(sent & ~answered)
    chances = lottery_chances(rates[waits], crowd.answers)
    won = winners(chances, seed)
    by_lot, chances = waits[won], chances[won]
    stays = counts[by_lot] & ~corrected[by_lot]
    by_lot, chances = by_lot[stays], chances[stays]
    weights = 1 / (rates[by_lot] * chances)
    words = np.flatnonzero((corrected | answered) & counts)
    sizes = np.where(corrected[words], 1.0, 1 / rates[words])
    drawn, sizes = users.drawn_words(sizes, float(np.median(weights)), random.random(len(words)))
    rows, weights = np.concatenate([by_lot, words[drawn]]), np.concatenate([weights, sizes])
    low, high = users.interval(right[rows], weights, who[rows])
    estimate = float(weights[right[rows]].sum() / weights.sum())
    return Found(low <= truth <= high, 100 * (high - low), 100 * (estimate - truth))


def _begun(who: NDArray[np.int64], sent: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Whether a digit was drawn after its person's first upload under the policy; rows are in the order of drawing."""
    first = np.full(int(who.max()) + 1, len(who))
    np.minimum.at(first, who[sent], np.flatnonzero(sent))
    begun: NDArray[np.bool_] = np.arange(len(who)) > first[who]
    return begun


def main() -> None:
    """Print the coverage of each kind of crowd and habit."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--crowds", type=int, default=1000, help="simulated crowds of each kind")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    found = []
    for name, crowd in CROWDS.items():
        for habits in HABITS:
            runs = [measure(crowd, habits, seed) for seed in range(arguments.crowds)]
            row = {
                "crowd": name,
                **asdict(habits),
                "coverage": float(np.mean([run.holds for run in runs])),
                "width_points": float(np.mean([run.width for run in runs])),
                "bias_points": float(np.mean([run.error for run in runs])),
                "n": arguments.crowds,
            }
            found.append(row)
            if not arguments.json:
                sys.stdout.write(
                    f"{name}, {habits.corrected:.0%} corrected, {habits.answered:.0%} answered: holds the truth in "
                    f"{100 * row['coverage']:.1f} % of {arguments.crowds:,}, {row['width_points']:.1f} points wide, "
                    f"{row['bias_points']:+.2f} on average\n"
                )
    if arguments.json:
        sys.stdout.write(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
