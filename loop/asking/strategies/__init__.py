"""Every query strategy by name. A new one is a file here and a line below; the contract tests run for each name."""

from loop.asking.candidates import Strategy
from loop.asking.strategies import (
    badge,
    committee,
    density,
    entropy,
    k_center,
    least_confidence,
    margin,
    margin_diverse,
    uniform,
)

STRATEGIES: dict[str, Strategy] = {
    "random": uniform.choose,
    "least-confidence": least_confidence.choose,
    "margin": margin.choose,
    "entropy": entropy.choose,
    "committee": committee.choose,
    "k-center": k_center.choose,
    "badge": badge.choose,
    "margin-diverse": margin_diverse.choose,
    "density": density.choose,
}
