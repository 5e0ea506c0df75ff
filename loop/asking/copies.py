"""Near copies: a second drawing that the network sees almost as the first teaches almost nothing. Pure."""

import numpy as np
from numpy.typing import NDArray

from loop.asking.candidates import Candidates

AT_ONCE = 512


def near_copies(candidates: Candidates, worth: NDArray[np.float64], near: float) -> NDArray[np.intp]:
    """The rows that repeat a kept row of at least the same worth, ascending; no row is kept beside a near copy of it.

    Two drawings are near copies if the same two digits are the likeliest and the cosine distance of their embeddings is
    below ``near``; 0 finds none. ``worth (n,)``, larger is kept; of equal ones the earlier row.
    """
    if not near or not len(worth):
        return np.zeros(0, np.intp)
    likeliest = np.sort(np.argsort(candidates.probabilities, axis=1, kind="stable")[:, -2:], axis=1)
    pair = likeliest @ np.array([10, 1])
    found = [_repeats(candidates.embeddings, np.flatnonzero(pair == each), worth, near) for each in np.unique(pair)]
    return np.sort(np.concatenate(found))


def near_labelled(candidates: Candidates, near: float) -> NDArray[np.intp]:
    """The rows of drawings closer than ``near`` to a labelled one, by cosine distance, ascending; 0 finds none."""
    if not near or not len(candidates.labelled):
        return np.zeros(0, np.intp)
    known = _directions(candidates.labelled).T
    parts = range(0, len(candidates), AT_ONCE)
    closest = [(_directions(candidates.embeddings[begin : begin + AT_ONCE]) @ known).max(axis=1) for begin in parts]
    return np.flatnonzero(np.concatenate(closest) > 1 - near) if closest else np.zeros(0, np.intp)


def _directions(embeddings: NDArray[np.float32]) -> NDArray[np.float32]:
    found: NDArray[np.float32] = embeddings / np.maximum(np.linalg.norm(embeddings, axis=1, keepdims=True), 1e-12)
    return found


def _repeats(
    embeddings: NDArray[np.float32], rows: NDArray[np.intp], worth: NDArray[np.float64], near: float
) -> NDArray[np.intp]:
    """The near copies among these rows: the best row removes its near copies, then the best that is left."""
    rows = rows[np.argsort(-worth[rows], kind="stable")]
    directions = _directions(embeddings[rows])
    repeats = np.zeros(len(rows), np.bool_)
    for begin in range(0, len(rows), AT_ONCE):
        close = directions[begin : begin + AT_ONCE] @ directions[begin:].T > 1 - near
        for place, likes in enumerate(close, start=begin):
            if not repeats[place]:
                repeats[place + 1 :] |= likes[place + 1 - begin :]
    return rows[repeats]
