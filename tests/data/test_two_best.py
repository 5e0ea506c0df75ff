"""The two best of ten probabilities."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loop.data.two_best import SUM_TOLERANCE, TwoBest, most_in_sum, two_best
from loop.errors import BadField


@given(st.integers(0, 2**32 - 1))
def test_they_are_what_sorting_finds(seed: int) -> None:
    """For any probabilities, also as float16 and float32, which do not sum to exactly 1."""
    shares = np.random.default_rng(seed).dirichlet(np.full(10, 0.3))
    for given_ in (shares, shares.astype(np.float32), shares.astype(np.float16)):
        listed = [float(each) for each in given_]
        found = two_best(listed)
        assert (found.share, found.second_share) == tuple(sorted(listed)[:-3:-1])
        assert (listed[found.digit], listed[found.second]) == (found.share, found.second_share)
        assert found.digit != found.second


@given(st.integers(0, 2**32 - 1), st.floats(0.05, 1000), st.floats(-0.99, 0.99))
def test_no_ten_sum_to_more_than_their_two_best_allow(seed: int, evenness: float, off: float) -> None:
    """So what is taken as ten probabilities is taken as two best, also at the tolerance and nearly even ones."""
    shares = np.random.default_rng(seed).dirichlet(np.full(10, evenness)) * (1 - off * SUM_TOLERANCE)
    listed = [min(1.0, float(each)) for each in shares]
    found = two_best(listed)
    assert 1 - math.fsum(listed) >= 1 - most_in_sum(found.share, found.second_share)


def test_of_equal_ones_the_smaller_digit_is_better() -> None:
    """So every client agrees."""
    assert two_best([0.1] * 10) == TwoBest(0, 0.1, 1, 0.1)
    assert two_best([0, 0, 0.5, 0, 0, 0, 0, 0.5, 0, 0]) == TwoBest(2, 0.5, 7, 0.5)


def test_the_sum_has_a_tolerance() -> None:
    """At the tolerance they are taken, beyond it refused, on either side."""
    for sign in (1, -1):
        two_best([0.5 + sign * 0.99 * SUM_TOLERANCE, 0.5, *[0.0] * 8])
        with pytest.raises(BadField, match=r"expected a sum of 1 within 0\.001"):
            two_best([0.5 + sign * 1.01 * SUM_TOLERANCE, 0.5, *[0.0] * 8])
