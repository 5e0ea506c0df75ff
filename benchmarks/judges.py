"""The gate's evidence from hands: what liars, single uploads, small juries and many nights can do to a verdict.

Every night is simulated with a known truth (``loop/evaluation/power.py``) and judged by the real ``gate.judge``, with
the hands and, as a comparison, without them: the same uploads, each taken for independent, as the gate did before.

    python benchmarks/judges.py [--repetitions 1000] [--seed 0] [--only hostile aa power few upload drift] [--json]
"""

import argparse
import json
import os
import platform
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # so that the script runs from a clone that is not installed

from loop.evaluation import gate, power  # noqa: E402 - after the path
from loop.evaluation.gate import Outcome, Policy  # noqa: E402
from loop.evaluation.power import Scenario  # noqa: E402
from loop.evaluation.scoring import Report, Score  # noqa: E402

Row = dict[str, Any]
POLICY = Policy()
NIGHTS = 30
GOOD = Scenario("gain of 3.7", 4.2, 0.5, champion_percent=95.0)
BAD = Scenario("loss of 3.7", 0.5, 4.2, champion_percent=95.0)
CONTENTS = ((True, False), (False, True), (True, True), (False, False))
"""Whether champion and challenger read the one more upload."""
WEIGHTS = (1e-300, 1.0, 5.0, 10.0, 100.0, 1e9, 1e300)
NEW = 10_000
"""The number of a hand that sent nothing before."""


def hostile(seed: int, nights: int) -> Iterator[Row]:
    """Passed and failed with lying hands; the gate before, with and without the lies."""
    for which, scenario in enumerate((BAD, GOOD)):
        for hands in (10, 30, 60):
            for share in (0.0, 0.2):
                made = replace(scenario, hands=hands, hostile=share)
                name = f"{scenario.name}, {share:.0%} of {hands} hands lie"
                yield _shares(name, made, power.HOSTILE_SIZE, [seed, 1, which, hands, int(100 * share)], nights)


def equal(seed: int, nights: int) -> Iterator[Row]:
    """A/A: hands gain or lose by chance, none on average."""
    for hands in (3, 10, 100):
        for size, points in ((585, 1), (2000, 0), (2000, 1), (2000, 2)):
            made = Scenario("", 2.0, 2.0, base_broken=0.2, hands=hands, by_hand=points / 2)
            name = f"no gain, ±{points} points for each of {hands} hands, n={size}"
            yield _shares(name, made, size, [seed, 2, hands, size, points], nights)


def gains(seed: int, nights: int) -> Iterator[Row]:
    """Power at 500 uploads; the gains of hands differ by a point."""
    for points in (1, 2, 4):
        for hands in (10, 30, 60):
            made = Scenario("", points + 0.5, 0.5, hands=hands, by_hand=0.5)
            yield _shares(f"gain of {points}, {hands} hands, n=500", made, 500, [seed, 3, points, hands], nights)


def few(seed: int, nights: int) -> Iterator[Row]:
    """What a deployment with one to five hands may do, with 500 uploads."""
    for hands in (1, 2, 3, 5):
        for gained, points in ((0, 1), (0, 2), (4, 1)):
            made = Scenario(
                "", 2.0 + gained, 2.0 if not gained else 0.5, base_broken=0.2, hands=hands, by_hand=points / 2
            )
            name = f"gain of {gained}, ±{points} for each of {hands} hands, n=500"
            yield _shares(name, made, 500, [seed, 4, hands, gained, points], nights)


def _shares(name: str, scenario: Scenario, size: int, seed: list[int], nights: int) -> Row:
    generator, now, before = np.random.default_rng(seed), [], []
    for _ in range(nights):
        reports = power.sample(scenario, size, generator)
        now.append(gate.judge(*reports, POLICY).outcome)
        before.append(gate.judge(*(_without_hands(report) for report in reports), POLICY).outcome)

    def share(outcomes: list[Outcome], outcome: Outcome) -> float:
        return outcomes.count(outcome) / nights

    return {
        "case": name,
        "passed": share(now, Outcome.PASSED),
        "failed": share(now, Outcome.FAILED),
        "passed_by_uploads": share(before, Outcome.PASSED),
        "failed_by_uploads": share(before, Outcome.FAILED),
    }


def _without_hands(report: Report) -> Report:
    return replace(report, scores=tuple(replace(score, sources=None) for score in report.scores))


def one_upload(seed: int, nights: int) -> Iterator[Row]:
    """How far one more upload of any content moves a bound of the gain at n=585, in points: the worst of all tried."""
    for rate in (0.1, 0.2, 0.5, 1.0):
        for hands in (10, 30, 60):
            draws = [worst_upload(rate, hands, [seed, 5, hands, number]) for number in range(max(1, nights // 250))]
            yield max(draws, key=lambda row: abs(row["moved"]))


def worst_upload(rate: float, hands: int, seed: list[int], weights: Sequence[float] = WEIGHTS) -> Row:
    """Try each hand and a new one, four contents, and each weight."""
    scenario = replace(GOOD, hands=hands, confirm_rate=rate)
    reports = power.sample(scenario, power.HOSTILE_SIZE, np.random.default_rng(seed))
    champion, challenger = (report.scores[1] for report in reports)
    known = [] if champion.sources is None else np.unique(champion.sources).tolist()
    before = gate.pair(champion, challenger, POLICY).gain(POLICY.alpha)
    worst: Row = {"moved": 0.0}
    for hand in [*known, NEW]:
        for right in CONTENTS:
            for weight in weights:
                pairs = gate.pair(
                    _with(champion, hand, right[0], weight), _with(challenger, hand, right[1], weight), POLICY
                )
                after = pairs.gain(POLICY.alpha)
                moved = max((after[1] - before[1], after[2] - before[2]), key=abs)
                if abs(moved) > abs(worst["moved"]):
                    who = "new" if hand == NEW else "known"
                    worst = {
                        "moved": moved,
                        "hand": who,
                        "weight": weight,
                        "champion": right[0],
                        "challenger": right[1],
                    }
    share = 100 / rate / float(champion.weights.sum() + 1 / rate)
    return {"case": f"one more upload, rate {rate:g}, {hands} hands", **worst, "share_of_a_confirmation": share}


def _with(score: Score, hand: int, right: bool, weight: float) -> Score:
    assert score.sources is not None  # noqa: S101 - simulated scores have hands
    nothing = np.zeros(score.n + 1, np.float32)
    return replace(
        score,
        labels=np.append(score.labels, np.uint8(3)),
        predictions=np.append(score.predictions, np.uint8(3 if right else 4)),
        weights=np.append(score.weights, weight),
        confidences=nothing,
        margins=nothing,
        sources=np.append(score.sources, hand),
    )


def drift(seed: int, nights: int) -> Iterator[Row]:
    """Thirty nights of the attacker of ``drifted``, without and with the comparison with day 0."""
    for known in (False, True):
        for number in range(max(1, nights // 250)):
            yield drifted([seed, 6, number], NIGHTS, known=known)


def drifted(seed: list[int], nights: int, *, known: bool) -> Row:
    """An attacker who knows the judge's images and each night loses as much as the gate lets pass.

    The champion of the first night is honestly 4 points better than the base on people's images. The attacker erases
    its own uploads each morning, so that the champion is tainted and not worse is enough. ``known``: the gate is given
    the report of day 0.
    """
    scenario = replace(GOOD, fixed=4.3, broken=0.3, base_broken=0.2, hands=30)
    day0, champion = power.sample(scenario, 1000, np.random.default_rng(seed))
    champion, day0 = replace(champion, model="champion"), replace(day0, model="day 0")
    promoted = 0
    for _ in range(nights):
        worse = champion
        for which in (0, 1):
            worse = _as_bad_as_passes(champion, worse, which, day0 if known else None)
        if worse is champion:
            break  # nothing passes any more
        promoted, champion = promoted + 1, worse
    lost = [
        100 * (after.accuracy - before.accuracy) for after, before in zip(champion.scores, day0.scores, strict=True)
    ]
    name = f"{'with' if known else 'without'} the comparison with day 0, draw {seed[-1]}"
    return {"case": name, "base_points": lost[0], "feedback_points": lost[1], "nights_passed": promoted}


def _as_bad_as_passes(champion: Report, so_far: Report, which: int, day0: Report | None) -> Report:
    """The challenger that breaks the most images of a slice, evenly over digits, and still passes; by bisection."""
    right = np.flatnonzero(so_far.scores[which].right)

    def broken(count: int) -> Report:
        scores = list(so_far.scores)
        predictions = scores[which].predictions.copy()
        order = right[np.random.default_rng(0).permutation(len(right))]
        predictions[order[:count]] = (scores[which].labels[order[:count]] + 1) % 10
        scores[which] = replace(scores[which], predictions=predictions)
        return Report("challenger", tuple(scores), so_far.health)

    low, high = 0, len(right)
    while high - low > 1:
        middle = (low + high) // 2
        passes = gate.judge(champion, broken(middle), POLICY, day0=day0, tainted=True).outcome is Outcome.PASSED
        low, high = (middle, high) if passes else (low, middle)
    return so_far if low == 0 else replace(broken(low), model="champion")


PARTS: dict[str, Callable[[int, int], Iterator[Row]]] = {
    "hostile": hostile,
    "aa": equal,
    "power": gains,
    "few": few,
    "upload": one_upload,
    "drift": drift,
}


def shown(row: Row) -> str:
    """One line of a table."""
    cells = [f"{key} {_cell(key, value)}" for key, value in row.items() if key != "case"]
    return f"{row['case']:<58} {'  '.join(cells)}"


def _cell(key: str, value: object) -> str:
    if not isinstance(value, float) or key == "weight":
        return f"{value:g}" if isinstance(value, float) else str(value)
    return f"{value:.1%}" if key.startswith(("passed", "failed")) else f"{value:+.3f}"


def main() -> None:
    """Run the parts that were asked for; a line for each row, on stderr with ``--json``."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--repetitions", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", nargs="+", choices=list(PARTS), default=list(PARTS))
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    found: dict[str, list[Row]] = {}
    for number, part in enumerate(asked.only):
        print(f"{part} ({number + 1} of {len(asked.only)})", file=sys.stderr, flush=True)
        found[part] = []
        for row in PARTS[part](asked.seed, asked.repetitions):
            found[part].append(row)
            print(shown(row), file=sys.stderr if asked.json else sys.stdout, flush=True)
    machine = f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}"
    if asked.json:
        json.dump({"seed": asked.seed, "repetitions": asked.repetitions, "machine": machine, "rows": found}, sys.stdout)
    else:
        print(f"seed {asked.seed}, {asked.repetitions} repetitions, {machine}")


if __name__ == "__main__":
    main()
