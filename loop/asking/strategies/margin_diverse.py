"""Margin, then diverse: of the drawings between two digits, those that differ from each other (Zhdanov 2019)."""

import numpy as np

from loop.asking.candidates import Candidates, Choice
from loop.asking.strategies import margin

_SHORTLIST = 5  # times as many drawings as are asked for


def choose(candidates: Candidates, count: int, seed: int) -> Choice:
    """Shortlist by margin, then k-means++ on the embeddings, each drawing weighted by its uncertainty.

    Scores are the uncertainties by margin.
    """
    shortlist = margin.choose(candidates, _SHORTLIST * count, seed)
    points = candidates.embeddings[shortlist.rows].astype(np.float64)
    random = np.random.default_rng(seed)
    nearest = np.full(len(points), np.inf)
    free = np.ones(len(points), np.bool_)
    picked: list[int] = []
    for _ in range(min(count, len(points))):
        chances = np.where(free, shortlist.scores * np.where(np.isinf(nearest), 1.0, nearest), 0.0)
        if not picked:
            row = 0
        elif chances.sum() > 0:
            row = int(random.choice(len(points), p=chances / chances.sum()))
        else:
            row = int(np.flatnonzero(free)[0])
        picked.append(row)
        free[row] = False
        away = points - points[row]
        nearest = np.minimum(nearest, np.einsum("ij,ij->i", away, away))
    return Choice(shortlist.rows[picked], shortlist.scores[picked])
