"""What ``active_learning.py`` found: learning curves, labels for nine tenths of the gain, paired differences.

Intervals of curves come from a bootstrap of whole runs (a seed and its fold), those of differences from Student over
seeds.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

ALL, BASE, RANDOM = "all", "base", "random"
NIGHTLY = "nightly:"
GAIN_SHARE = 0.9
RESAMPLES = 2_000
ENDS = (0.025, 0.975)

Run = tuple[int, int]
"""A seed and its fold."""


@dataclass(frozen=True, slots=True)
class Point:
    """One night: accuracy in per cent on the judged writers, and on MNIST's test set (not with --development)."""

    strategy: str
    labels: int
    seed: int
    fold: int
    accuracy: float
    mnist: float | None
    n: int


@dataclass(frozen=True, slots=True, eq=False)
class Curve:
    """Accuracies ``(runs, budgets)`` of one strategy."""

    budgets: list[int]
    accuracy: NDArray[np.float64]

    def needed(self, rows: NDArray[np.intp], base: NDArray[np.float64], every: NDArray[np.float64]) -> float:
        """Labels for nine tenths of the gain, in the mean over these runs."""
        return _needed(self.accuracy[rows].mean(0), base[rows].mean(), every[rows].mean(), self.budgets)


def summary(found: list[Point]) -> dict[str, Any]:
    """Mean accuracies, and how many labels each strategy needs for nine tenths of the gain that all labels bring.

    Over the runs that have every budget of every strategy. ``share`` is the number of labels beside random's; where
    random never got there, beside its largest budget, so the true share is smaller.
    """
    cells = {(p.strategy, 0 if p.strategy in (ALL, BASE) else p.labels, p.seed, p.fold): p.accuracy for p in found}
    sizes: dict[str, list[int]] = {}
    for name, labels in sorted({key[:2] for key in cells}):
        sizes.setdefault(name, []).append(labels)
    runs = [run for run in sorted({key[2:] for key in cells}) if _complete(cells, sizes, run)]
    if not runs or not {ALL, BASE} <= sizes.keys():
        return {"runs": 0}
    rows = {
        name: np.array([[cells[name, labels, *run] for labels in budgets] for run in runs])
        for name, budgets in sizes.items()
    }
    base, every = rows.pop(BASE)[:, 0], rows.pop(ALL)[:, 0]
    curves = {name: Curve(sizes[name], accuracy) for name, accuracy in rows.items()}
    draws = [np.arange(len(runs)), *np.random.default_rng(0).integers(0, len(runs), (RESAMPLES, len(runs)))]
    needed = {name: np.array([each.needed(draw, base, every) for draw in draws]) for name, each in curves.items()}
    result: dict[str, Any] = {"runs": len(runs), "seeds": len({seed for seed, _ in runs})}
    result |= {"base": float(base.mean()), "all": float(every.mean()), "strategies": {}}
    for name, curve in curves.items():
        result["strategies"][name] = {
            "labels": curve.budgets,
            "accuracy": curve.accuracy.mean(0).tolist(),
            "deviation": _deviation(curve.accuracy).tolist(),
            "behind_all": (curve.accuracy - every[:, None]).mean(0).tolist(),
            "behind_all_deviation": _deviation(curve.accuracy - every[:, None]).tolist(),
            "labels_for_90_percent": _estimate(needed[name]),
        }
        if RANDOM in needed:
            random = np.minimum(needed[RANDOM], curves[RANDOM].budgets[-1])
            result["strategies"][name]["share"] = _estimate(needed[name] / random)
    return result


def paired(found: list[Point], one: str, other: str, budget: int) -> dict[str, Any]:
    """The accuracy of one strategy less that of the other, in points, over the runs that both have.

    The interval is Student's over seeds; folds of one seed are averaged first.
    """
    from scipy import stats

    cells = {(p.strategy, p.seed, p.fold): p for p in found if p.labels == budget}
    runs = sorted({key[1:] for key in cells if {(one, *key[1:]), (other, *key[1:])} <= cells.keys()})
    gaps = {run: cells[one, *run].accuracy - cells[other, *run].accuracy for run in runs}
    seeds = sorted({seed for seed, _ in runs})
    means = np.array([np.mean([gap for run, gap in gaps.items() if run[0] == seed]) for seed in seeds])
    result: dict[str, Any] = {"compared": [one, other], "labels": budget, "runs": len(runs), "seeds": len(seeds)}
    if not seeds:
        return result
    for name in (one, other):
        result[name] = float(np.mean([cells[name, *run].accuracy for run in runs]))
    result["difference"] = float(means.mean())
    if len(seeds) > 1:
        half = float(stats.t.ppf(0.975, len(seeds) - 1) * means.std(ddof=1) / np.sqrt(len(seeds)))
        result["interval"] = [float(means.mean()) - half, float(means.mean()) + half]
    return result


def plot(result: dict[str, Any], path: Path) -> None:
    """Draw the learning curves, with standard errors over runs."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(7, 4.5))
    ticks: set[int] = set()
    for name, curve in result["strategies"].items():
        strategy = name.removeprefix(NIGHTLY)
        label = strategy if strategy == name else f"{strategy}, asked night after night"
        axes.errorbar(curve["labels"], curve["accuracy"], curve["deviation"], marker="o", capsize=3, label=label)
        ticks |= set(curve["labels"])
    gain = result["base"] + GAIN_SHARE * (result["all"] - result["base"])
    for height, style, label in (
        (result["all"], "--", "all labels"),
        (gain, "-.", "90 % of their gain"),
        (result["base"], ":", "no label"),
    ):
        axes.axhline(height, linestyle=style, color="grey", label=label)
    axes.set(xscale="log", xlabel="labels", ylabel="accuracy on people never met, %", title="What labels teach")
    axes.set_xticks(sorted(ticks), [f"{budget:,}" for budget in sorted(ticks)])
    axes.minorticks_off()
    axes.legend(loc="lower right")
    figure.tight_layout()
    figure.savefig(path, dpi=100)


def _complete(cells: dict[tuple[str, int, int, int], float], sizes: dict[str, list[int]], run: Run) -> bool:
    return all((name, labels, *run) in cells for name, budgets in sizes.items() for labels in budgets)


def _deviation(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """Standard errors of the means of columns; 0 for one run."""
    return rows.std(0, ddof=1) / np.sqrt(len(rows)) if len(rows) > 1 else np.zeros(rows.shape[1])


def _estimate(values: NDArray[np.float64]) -> dict[str, float]:
    """The first value, with the interval of the others; infinities have no interpolation."""
    low, high = np.quantile(values[1:], ENDS, method="nearest")
    return {"value": float(values[0]), "low": float(low), "high": float(high)}


def _needed(accuracy: NDArray[np.float64], base: float, every: float, budgets: list[int]) -> float:
    """Labels until the curve first reaches nine tenths of the gain, on a line between budgets; infinity if never."""
    target = base + GAIN_SHARE * (every - base)
    before, low = 0.0, base
    for labels, height in zip(budgets, accuracy.tolist(), strict=True):
        if height >= target:
            return before + (labels - before) * (target - low) / max(height - low, 1e-9)
        before, low = float(labels), height
    return float("inf")
