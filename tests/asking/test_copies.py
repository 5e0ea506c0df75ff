"""Near copies in the pool, and of what has a label."""

from dataclasses import replace

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from loop.asking.candidates import Candidates
from loop.asking.copies import near_copies, near_labelled

NEAR = 0.002


def candidates(angles: list[float], best: list[int]) -> Candidates:
    """One drawing for each angle, in radians; its likeliest digit is given, 9 comes second."""
    embeddings = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    rows = np.full((len(angles), 10), 0.01)
    rows[:, 9] = 0.2
    rows[np.arange(len(angles)), best] = 0.72
    return Candidates(rows, embeddings, np.zeros((0, 2), np.float32), np.zeros((0, len(angles), 10)))


def test_of_near_copies_the_one_that_is_worth_most_stays() -> None:
    """Two directions 0.01 radians apart are near (distance 0.00005), 0.1 radians apart they are not (0.005)."""
    found = candidates([0.0, 0.01, 0.1, 0.02], [1, 1, 1, 1])
    assert near_copies(found, np.array([1.0, 3.0, 1.0, 2.0]), NEAR).tolist() == [0, 3]


def test_a_near_copy_of_a_removed_one_stays() -> None:
    """0 and 0.05 are near, 0.05 and 0.1 are near, 0 and 0.1 are not: only the middle one goes."""
    found = candidates([0.0, 0.05, 0.1], [1, 1, 1])
    assert near_copies(found, np.array([3.0, 2.0, 1.0]), NEAR).tolist() == [1]


def test_other_digits_are_no_copies() -> None:
    """Equal embeddings with other likeliest digits would contradict the network: both stay."""
    assert near_copies(candidates([0.0, 0.0], [1, 7]), np.ones(2), NEAR).tolist() == []


def test_none_are_near_at_distance_0() -> None:
    """``ask.near = 0`` switches the search off; so does an empty shortlist."""
    assert near_copies(candidates([0.0, 0.0], [1, 1]), np.ones(2), 0.0).tolist() == []
    assert near_copies(candidates([], []), np.zeros(0), NEAR).tolist() == []


@given(
    st.lists(st.tuples(st.integers(0, 100), st.integers(0, 2), st.floats(0, 1)), max_size=40),
    st.sampled_from([0.0005, 0.002, 0.021]),  # no two angles below have just this distance
)
def test_what_stays_is_apart_and_what_goes_has_a_better_copy(given: list[tuple[int, int, float]], near: float) -> None:
    """Compared pair by pair in a plain loop."""
    found = candidates([each[0] / 100 for each in given], [each[1] for each in given])
    worth = np.array([each[2] for each in given])
    best = [each[1] for each in given]
    kept: list[int] = []
    for row in np.argsort(-worth, kind="stable").tolist():
        if not any(best[row] == best[other] and _close(found, row, other, near) for other in kept):
            kept.append(row)
    assert near_copies(found, worth, near).tolist() == sorted(set(range(len(given))) - set(kept))


def _close(found: Candidates, one: int, other: int, near: float) -> bool:
    """The same comparison as the module's, in float32."""
    directions = found.embeddings / np.linalg.norm(found.embeddings, axis=1, keepdims=True)
    return bool(directions[one] @ directions[other] > 1 - near)


def test_near_a_label() -> None:
    """0.01 radians from a labelled digit, of any length, is near, 0.1 is not; without labels or at distance 0, none."""
    found = candidates([0.0, 0.1, 1.01], [1, 1, 1])
    labelled = np.array([[5.0, 0.05], [np.cos(1.0), np.sin(1.0)], [0.0, 0.0]], np.float32)
    assert near_labelled(replace(found, labelled=labelled), NEAR).tolist() == [0, 2]
    assert near_labelled(replace(found, labelled=labelled), 0.0).tolist() == []
    assert near_labelled(found, NEAR).tolist() == []
    assert near_labelled(replace(found[np.zeros(0, np.intp)], labelled=labelled), NEAR).tolist() == []
