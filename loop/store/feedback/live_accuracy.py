"""How often each version is right where people draw, from the sums of ``live_scores``."""

from dataclasses import dataclass

from sqlalchemy.orm import Session

from loop.evaluation import intervals
from loop.store.feedback import live_scores
from loop.store.feedback.live_scores import LiveSums


@dataclass(frozen=True, slots=True)
class Live:
    """A version's accuracy in the users' hands, its 95 % interval, and the evidence behind them.

    ``how``: ``told`` (predicted by phones that run it) or ``said`` (its own answers to the uploads that arrived while
    it was champion, whatever the phones ran). ``n`` uploads of ``sources`` sources carry as much information as
    ``effective_n`` independent ones of equal weight.
    """

    version: int
    how: str
    n: int
    sources: int
    accuracy: float
    low: float
    high: float
    effective_n: float


def live(tx: Session, least_rate: float) -> list[Live]:
    """Every version with evidence, newest first; ``told`` before ``said``.

    Confirmations with a rate below ``least_rate`` are set aside, like all that ``weighing`` names.
    """
    return [_live(sums) for sums in live_scores.sums(tx, least_rate)]


def _live(sums: LiveSums) -> Live:
    """An upload has weight 1/rate, the number of drawings that it represents: a phone sends every wrong answer and few
    right ones, so the plain share of right uploads means nothing.

    Wilson's interval at an effective size, the smaller of two: that of the unequal weights
    (``intervals.effective_size``), and that of the sources: one person's digits resemble each other, so the variance
    between sources counts (linearised ratio).
    """
    weight = sums.right + sums.wrong
    accuracy = sums.right / weight
    parts, squares = (sums.right, sums.wrong), (sums.right_squares, sums.wrong_squares)
    size = intervals.effective_size(sums.n, sums.heaviest, parts, squares)
    between = max(0.0, sums.bb - 2 * accuracy * sums.ab + accuracy**2 * sums.aa)
    if sums.sources > 1 and between > 0:
        variance = between / weight**2 * sums.sources / (sums.sources - 1)
        size = min(size, accuracy * (1 - accuracy) / variance)
    low, high = intervals.wilson(accuracy, size)
    return Live(sums.version, sums.how, sums.n, sums.sources, accuracy, low, high, size)
