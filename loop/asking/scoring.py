"""Read the pool with the models of a round: what the strategy sees, a part of the pool at a time."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy.orm import Session

from loop.asking import shortlist as shortlists
from loop.asking.candidates import Candidates
from loop.asking.shortlist import Shortlist
from loop.asking.strategies import margin
from loop.home import Home
from loop.store.feedback import narrow
from models.family import Progress, no_progress

SCORED_AT_ONCE = 2_048
SURE = np.eye(10)[0]
"""What stands for the probabilities of a drawing without a picture: every strategy that ranks puts it last."""


@dataclass(frozen=True, slots=True)
class Look:
    """Who looks at the pool, for how many questions, and the seed of the lots. ``models`` are the digests of the files
    that read it: the champion, then the committee if the strategy needs one.
    """

    strategy: str
    count: int
    seed: int
    models: tuple[str, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Scored:
    """Of every drawing its uncertainty by margin, ``(n,) float64``; of the shortlist, its rows and all the rest."""

    unsure: NDArray[np.float64]
    rows: NDArray[np.intp]
    candidates: Candidates


@dataclass(frozen=True, slots=True, eq=False)
class Pictures:
    """The drawings of a pool, by the number of their upload: ``ids (n,) int64``; ``stored (n,) bool``: its picture is
    in the store. ``labelled (m,) int64``: the labelled uploads that strategies of distance compare with.
    """

    ids: NDArray[np.int64]
    stored: NDArray[np.bool_]
    labelled: NDArray[np.int64]


def score(tx: Session, home: Home, look: Look, pictures: Pictures, progress: Progress = no_progress) -> Scored:
    """Read every drawing with every model. One without a picture keeps its place, so that the others are read in the
    same parts and get the same numbers to the last bit; its own are ``SURE`` and an embedding of zeros.

    Raises ``ArtifactCorrupt``, ``BadModel``, ``StoreUnavailable``.
    """
    model, *others = [home.models.get(each) for each in look.models]
    n = len(pictures.ids)
    shortlist = Shortlist(look.strategy, shortlists.size(look.count), np.random.default_rng([look.seed, 2]).random(n))
    unsure = np.zeros(n)
    for begin in range(0, n, SCORED_AT_ONCE):
        rows = np.arange(begin, min(begin + SCORED_AT_ONCE, n))
        digits, gone = _digits(tx, pictures, rows), ~pictures.stored[rows]
        reading = model.read(digits)
        theirs = np.array([finite(each.probabilities(digits)) for each in others]).reshape(-1, len(rows), 10)
        own, embeddings = finite(reading.probabilities), reading.embeddings.copy()
        own[gone], theirs[:, gone], embeddings[gone] = SURE, SURE, 0
        part = Candidates(own, embeddings, np.zeros((0, embeddings.shape[1]), np.float32), theirs)
        unsure[rows] = margin.uncertainty(part.probabilities)
        shortlist.add(rows, part)
        progress("score", begin + len(rows), n)
    known = narrow.pixels(tx, pictures.labelled)
    return Scored(unsure, *shortlist.found(model.read(known).embeddings))


def finite(probabilities: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """Rows that sum to 1; one that does not is as unsure as a row can be."""
    rows = np.asarray(probabilities, np.float64)
    sums = rows.sum(axis=1, keepdims=True)
    with np.errstate(invalid="ignore", divide="ignore"):
        sound = np.isfinite(sums) & (sums > 0) & (rows.min(axis=1, keepdims=True) >= 0)
        return np.where(sound, rows / sums, 0.1)


def _digits(tx: Session, pictures: Pictures, rows: NDArray[np.intp]) -> NDArray[np.uint8]:
    found = np.zeros((len(rows), 28, 28), np.uint8)
    here = pictures.stored[rows]
    found[here] = narrow.pixels(tx, pictures.ids[rows[here]])
    return found
