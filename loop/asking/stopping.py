"""When to stop asking: what another hundred answers are expected to fix, and so how many a day are worth asking. Pure.

Three signals say how much is left to learn, each as a share of ``ask.per_day`` from 0 to 1:

- the curve of ``loop worth``: digits that another hundred answers fix in 10,000, for all users;
- stability: the share of what people draw that the last two champions read differently;
- contradictions: the share of the last answers by lot that differ from what the phone's model read. Those that a
  strategy asked for say nothing: a model is wrong about half of what it is unsure of, however good it is.

One signal that is high keeps the pace: each is blind to something, so all that are known must be low before it falls,
and at least two must be known. Drawings of a new kind overrule them: if many of the newest drawings are farther from
everything labelled than the labelled are from each other, the pace is the full one. The pace is between
``ask.least_per_day`` and ``ask.per_day``.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

MORE = 100
"""Answers ahead that the expectation is about."""
FULL_FIXES = 10.0
"""Digits in 10,000 that another hundred answers must be expected to fix to be worth the full pace: 0.1 points."""
FULL_CHANGED = 0.005
"""A night cannot fix more than it changes; a drawing that phones rarely send counts for all that they did not."""
FULL_CONTRADICTED = 0.02
"""Where people disagree with one drawing in fifty, there is much to learn."""
LEAST_ANSWERS, LEAST_DRAWINGS = 100, 50
"""Fewer say nothing about a share."""
FAR_QUANTILE = 0.99
"""A drawing is of a new kind if this share of the labelled are nearer to each other."""
NEW_SHARE = 0.10
"""By the quantile 1 % are expected; ten times as many are no chance."""


@dataclass(frozen=True, slots=True)
class Signals:
    """What is known; None: unknown. ``fixes`` is digits in 10,000 by another hundred answers, the others are shares."""

    fixes: float | None = None
    changed: float | None = None
    contradicted: float | None = None
    new_kind: float | None = None


@dataclass(frozen=True, slots=True)
class Pace:
    """How many questions a day, and why; whether that is another number than before."""

    per_day: int
    reasons: tuple[str, ...]
    moved: bool = False


def pace(signals: Signals, per_day: int, least_per_day: int) -> Pace:
    """The pace within the limits."""
    known = [
        (value, full, text)
        for value, full, text in (
            (signals.fixes, FULL_FIXES, f"another {MORE} answers are expected to fix about {{:.0f}} digits in 10,000"),
            (signals.changed, FULL_CHANGED, "the last two champions read {:.1%} of what people draw differently"),
            (
                signals.contradicted,
                FULL_CONTRADICTED,
                "{:.1%} of the last answers by lot contradicted the phones' model",
            ),
        )
        if value is not None
    ]
    said = [text.format(value).replace("%", " %") for value, _, text in known]
    if signals.new_kind is not None and signals.new_kind > NEW_SHARE:
        new = f"{100 * signals.new_kind:.0f} % of the newest drawings are unlike everything labelled"
        return Pace(per_day, (f"{new}: ask.per_day {per_day:,}", *said))
    if len(known) < 2:
        return Pace(per_day, (f"too little is known to ask less than ask.per_day ({per_day:,})", *said))
    need = max(min(1.0, value / full) for value, full, _ in known)
    wanted = min(per_day, max(least_per_day, math.ceil(need * per_day)))
    if wanted == per_day:
        return Pace(per_day, (f"there is enough to learn for ask.per_day ({per_day:,})", *said))
    return Pace(wanted, (f"{wanted:,} questions a day instead of ask.per_day ({per_day:,})", *said))


def fixes(labels: Sequence[int], accuracies: Sequence[float], taught: int) -> float | None:
    """Digits in 10,000 that another hundred answers fix after ``taught`` ones, from a non-decreasing curve.

    Beyond its end a curve goes on with its last gain for each doubling, which the law of diminishing returns bounds
    from above; within it, what it shows counts. None for a curve with fewer than two sizes above 0.
    """
    if len(labels) < 3:
        return None
    steps = np.log2(np.maximum(labels, 1))
    back = -3 if len(labels) > 3 else -2  # the last two gains: a single one is mostly chance
    slope = (accuracies[-1] - accuracies[back]) / (steps[-1] - steps[back])

    def at(n: int) -> float:
        if n <= labels[-1]:
            return float(np.interp(n, labels, accuracies))
        return min(1.0, float(accuracies[-1] + slope * (math.log2(n) - steps[-1])))

    return 10_000 * max(0.0, at(taught + MORE) - at(taught))


def changed(before: NDArray[np.intp], now: NDArray[np.intp], weights: NDArray[np.float64]) -> float | None:
    """The weighted share of drawings ``(n,)`` that two champions read differently; None for too few."""
    return float(np.average(before != now, weights=weights)) if len(now) >= LEAST_DRAWINGS else None


def contradicted(answers: int, different: int) -> float | None:
    """The share of answers that differ from the phone's model; None for too few."""
    return different / answers if answers >= LEAST_ANSWERS else None


def new_kind(drawings: NDArray[np.float32], labelled: NDArray[np.float32]) -> float | None:
    """The share of drawings ``(n, d)`` that are farther from everything labelled ``(m, d)`` than all but 1 % of the
    labelled are from each other, by cosine distance of embeddings; None for too few.
    """
    if min(len(drawings), len(labelled)) < LEAST_DRAWINGS:
        return None
    known, fresh = _directions(labelled), _directions(drawings)
    among = known @ known.T
    np.fill_diagonal(among, -1)
    near = np.quantile(1 - among.max(axis=1), FAR_QUANTILE)
    return float(np.mean(1 - (fresh @ known.T).max(axis=1) > near))


def _directions(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    lengths = np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
    return np.asarray(rows / lengths, np.float32)
