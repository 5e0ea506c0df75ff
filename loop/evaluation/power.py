"""Measure the gate's error rates (``loop gate-power``): simulate feedback with a known truth and judge it.

The simulation calls the real ``gate.judge``, not a formula for it. People draw images, some people ten times as many as
others; the version on their phones is right or wrong; wrong answers arrive as corrections, some right ones as
confirmations; champion and challenger are scored on what arrived. Hostile hands lie about everything.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np
from numpy.typing import NDArray

from loop.evaluation import gate
from loop.evaluation.gate import Outcome, Policy
from loop.evaluation.scoring import Health, Report, Score
from models.family import Progress, no_progress

Floats = NDArray[np.float64]

FEEDBACK_SIZES = (50, 100, 200, 500, 1000, 2000)
BASE_IMAGES = 10_000  # MNIST's test set

_HEALTHY = Health(True, (BASE_IMAGES, 10), True, True, True, 10, ())


@dataclass(frozen=True, slots=True)
class Scenario:
    """One truth about champion and challenger; all shares are percentage points of the images that people draw.

    ``fixed`` and ``broken`` are what the challenger changes on people's drawings, ``base_fixed`` and ``base_broken``
    on the base slice. ``newer_champion``: an earlier version gathered the feedback, so the champion has errors among
    the confirmations too. ``hands`` people draw; the logarithm of how much each of them draws has standard deviation
    ``size_spread``. For each of them, with even odds, ``by_hand`` points more are fixed and fewer broken, or the
    reverse. Of the hands, the share ``hostile`` sends only lies, each as a confirmation: images that the better model
    seems to misread and the worse one to read, under the label that makes it so.
    """

    name: str
    fixed: float
    broken: float
    base_fixed: float = 0.20
    base_broken: float = 0.23
    newer_champion: bool = False
    champion_percent: float = 94.0
    base_percent: float = 99.6
    confirm_rate: float = 0.1
    hands: int = 30
    by_hand: float = 0.0
    size_spread: float = 0.7
    hostile: float = 0.0


EQUALS = (
    Scenario("no gain, 1 % fixed and 1 % broken", 1.0, 1.0, base_broken=0.2),
    Scenario("no gain, 3 % fixed and 3 % broken", 3.0, 3.0, base_broken=0.2),
    Scenario("no gain, feedback of an earlier version", 2.0, 2.0, base_broken=0.2, newer_champion=True),
)
"""A/A: equal accuracy everywhere, as for one recipe with two seeds; the models only disagree."""

GAINS = tuple(Scenario(f"true gain of {gain} points", gain + 0.5, 0.5) for gain in (1, 2, 4))
"""Half a point is broken besides what is fixed, and 0.03 points are lost on the base slice."""

LOSSES = tuple(
    Scenario(f"true loss of {loss:.2f} points on the base slice", 4.5, 0.5, base_broken=0.20 + loss)
    for loss in (0.0, 0.05, 0.1, 0.25, 0.5)
)
"""Combined with a true feedback gain of 4 points, so that only the base slice can fail."""

CLUSTERS = tuple(
    Scenario(
        f"no gain on average, but {points:+d} or {-points:d} points for each hand",
        2.0,
        2.0,
        base_broken=0.2,
        hands=hands,
        by_hand=points / 2,
    )
    for points in (1, 2)
    for hands in (3, 10, 30, 100)
)
"""A/A with hands that differ. Two seeds of one recipe differ by about half a point between hands (docs/adr/0016)."""

FEW = tuple(replace(gain, hands=hands) for hands in (3, 5, 10, 60) for gain in GAINS)
"""The same gains, shown by fewer or more hands; half a feedback size."""

HOSTILE = tuple(
    Scenario(
        f"true {'gain' if fixed > broken else 'loss'} of 3.7 points, a fifth of the hands lies", fixed, broken,
        champion_percent=95.0, hands=hands, hostile=0.2,
    )
    for fixed, broken in ((0.5, 4.2), (4.2, 0.5))
    for hands in (10, 30, 60)
)  # fmt: skip
"""585 uploads, as many as in the attack that this was built against."""
HOSTILE_SIZE, FEW_SIZE = 585, 500


@dataclass(frozen=True, slots=True)
class Cell:
    """One scenario at one feedback size: shares of each verdict, and of a naive gate (no slice scored lower)."""

    world: str
    """The scenario's name."""
    hands: int
    feedback_n: int
    passed: float
    inconclusive: float
    failed: float
    naive_passed: float


@dataclass(frozen=True, slots=True)
class Table:
    """The results of ``simulate``; docs/results.md contains the output of ``markdown``."""

    cells: tuple[Cell, ...]
    policy: Policy
    seed: int
    repetitions: int

    def markdown(self) -> str:
        """The settings of the simulation, and a table of its cells."""
        settings = ", ".join(f"{name} {value:g}" for name, value in asdict(self.policy).items())
        rows = [
            f"{self.repetitions} repetitions per row, seed {self.seed}; {settings}.",
            "",
            "| truth | hands | feedback n | passed | inconclusive | failed | naive `>=` passes |",
            "|---|---|---|---|---|---|---|",
        ]
        for cell in self.cells:
            shares = (cell.passed, cell.inconclusive, cell.failed, cell.naive_passed)
            rows.append(
                f"| {cell.world} | {cell.hands} | {cell.feedback_n} | {' | '.join(f'{s:.1%}' for s in shares)} |"
            )
        return "\n".join(rows) + "\n"


def simulate(
    policy: Policy,
    seed: int,
    repetitions: int = 1000,
    feedback_sizes: Sequence[int] = FEEDBACK_SIZES,
    progress: Progress = no_progress,
) -> Table:
    """Judge each scenario at each size ``repetitions`` times; about 8 ms each. The same seed gives the same table."""
    plan = [(scenario, size) for scenario in EQUALS + GAINS for size in feedback_sizes]
    plan += [(scenario, max(feedback_sizes)) for scenario in LOSSES + CLUSTERS]
    plan += [(scenario, FEW_SIZE) for scenario in FEW] + [(scenario, HOSTILE_SIZE) for scenario in HOSTILE]
    cells = []
    for done, (scenario, size) in enumerate(plan):
        progress("judging", done, len(plan))
        cells.append(cell(scenario, size, policy, np.random.default_rng([seed, done]), repetitions))
    progress("judging", len(plan), len(plan))
    return Table(tuple(cells), policy, seed, repetitions)


def cell(scenario: Scenario, size: int, policy: Policy, rng: np.random.Generator, repetitions: int) -> Cell:
    """How often each verdict occurs in one scenario with ``size`` feedback items."""
    outcomes: list[Outcome] = []
    naive = 0
    for _ in range(repetitions):
        champion, challenger = sample(scenario, size, rng)
        outcomes.append(gate.judge(champion, challenger, policy).outcome)
        both = zip(champion.scores, challenger.scores, strict=True)
        naive += all(after.accuracy >= before.accuracy for before, after in both)
    share = {outcome: outcomes.count(outcome) / repetitions for outcome in Outcome}
    return Cell(
        scenario.name,
        scenario.hands,
        size,
        share[Outcome.PASSED],
        share[Outcome.INCONCLUSIVE],
        share[Outcome.FAILED],
        naive / repetitions,
    )


def sample(scenario: Scenario, size: int, rng: np.random.Generator) -> tuple[Report, Report]:
    """Champion's and challenger's report on a base slice and on ``size`` feedback items drawn from ``scenario``."""
    base = _draw(rng, BASE_IMAGES, scenario.base_percent, scenario.base_fixed, scenario.base_broken)
    drawn = _drawings(scenario, size)
    busy = rng.lognormal(0, scenario.size_spread, scenario.hands)
    writer = rng.choice(scenario.hands, drawn, p=busy / busy.sum())
    shift = scenario.by_hand * rng.choice((-1.0, 1.0), scenario.hands)[writer]
    before, after = _draw(rng, drawn, scenario.champion_percent, scenario.fixed + shift, scenario.broken - shift)
    served = _served(before, scenario, rng)
    sent = np.flatnonzero(~served | (rng.random(drawn) < scenario.confirm_rate))[:size]
    before, after, served, sources = before[sent], after[sent], served[sent], writer[sent]
    lying = np.isin(sources, rng.permutation(scenario.hands)[: int(scenario.hostile * scenario.hands)])
    worse = scenario.fixed < scenario.broken  # is the challenger the worse of the two?
    before, after, served = np.where(lying, not worse, before), np.where(lying, worse, after), served | lying
    weights = np.where(served, 1 / scenario.confirm_rate, 1.0)
    digits = rng.integers(0, 10, BASE_IMAGES + len(sent), dtype=np.uint8)

    def report(model: str, on_base: NDArray[np.bool_], on_drawings: NDArray[np.bool_]) -> Report:
        base_score = _score("mnist", digits[:BASE_IMAGES], on_base, np.ones(BASE_IMAGES), None)
        feedback = _score(gate.FEEDBACK, digits[BASE_IMAGES:], on_drawings, weights, sources)
        return Report(model, (base_score, feedback), _HEALTHY)

    return report("champion", base[0], before), report("challenger", base[1], after)


def _drawings(scenario: Scenario, size: int) -> int:
    """How many images to draw so that ``size`` of them are sent: a quarter more than expected, plus 300."""
    sent_share = 1 - scenario.champion_percent / 100 * (1 - scenario.confirm_rate)
    return int(1.25 * size / sent_share) + 300


def _draw(
    rng: np.random.Generator, n: int, percent: float, fixed: float | Floats, broken: float | Floats
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Which of ``n`` drawings the champion and the challenger classify correctly."""
    at = rng.random(n) * 100
    wrong = 100 - percent
    return at >= wrong, (at < fixed) | ((at >= wrong) & (at < 100 - broken))


def _served(before: NDArray[np.bool_], scenario: Scenario, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Which drawings the version on the phones classified correctly; an earlier version errs more, and elsewhere."""
    if not scenario.newer_champion:
        return before
    return rng.random(len(before)) < np.where(before, 0.97, 0.3)


def _score(
    name: str,
    labels: NDArray[np.uint8],
    right: NDArray[np.bool_],
    weights: Floats,
    sources: NDArray[np.int64] | None,
) -> Score:
    """A score with only the columns that the gate uses; there are no simulated images to draw."""
    predictions = np.where(right, labels, (labels + 1) % 10).astype(np.uint8)
    nothing = np.zeros(len(labels), np.float32)
    return Score(name, "simulated", labels, predictions, weights, nothing, nothing, sources)
