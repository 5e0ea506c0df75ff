"""Does the interval of the `users` slice hold the truth? Simulated crowds of which everything is known.

    python benchmarks/users_slice.py --crowds 1000

People have their own accuracy and draw different amounts. Phones send unsure drawings often and others rarely, a fifth
of the sources is held out, the night's lottery draws the questions. The truth is the accuracy on everything that all
of them drew.
"""

import argparse
import json
import sys
from dataclasses import dataclass

import numpy as np

from loop.asking.queue import lottery_chances, winners
from loop.evaluation import users

UNSURE_IF_RIGHT, UNSURE_IF_WRONG = 0.05, 0.7
UNSURE_RATE, OTHER_RATE = 0.8, 0.02
HOLDOUT = 0.2


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


def holds(crowd: Crowd, seed: int) -> tuple[bool, float]:
    """Whether the interval holds the truth, and its width in points."""
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
    sent = random.random(len(who)) < rates
    who, right, rates = who[sent], right[sent], rates[sent]
    chances = lottery_chances(rates, crowd.answers)
    won = winners(chances, seed)
    low, high = users.interval(right[won], 1 / (rates[won] * chances[won]), who[won])
    return low <= truth <= high, 100 * (high - low)


def main() -> None:
    """Print the coverage of each kind of crowd."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--crowds", type=int, default=1000, help="simulated crowds of each kind")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    found = {}
    for name, crowd in CROWDS.items():
        runs = [holds(crowd, seed) for seed in range(arguments.crowds)]
        found[name] = {
            "coverage": float(np.mean([hit for hit, _ in runs])),
            "width_points": float(np.mean([width for _, width in runs])),
            "n": arguments.crowds,
        }
        if not arguments.json:
            line = f"{name}: holds the truth in {100 * found[name]['coverage']:.1f} % of {arguments.crowds:,}"
            sys.stdout.write(f"{line}, {found[name]['width_points']:.1f} points wide\n")
    if arguments.json:
        sys.stdout.write(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
