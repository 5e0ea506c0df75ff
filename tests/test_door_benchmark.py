"""``benchmarks/door.py`` in a short form: every flood floods, others are served, nothing acknowledged is missing."""

import sys

import pytest

from benchmarks import door


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="the second loopback address and the peak memory are Linux's")
def test_a_short_form() -> None:
    """Every row is measured; while the home is away uploads are refused, and all that were answered 201 are stored."""
    noticed, moved = door.measure(2, 1.0, 50)
    assert [each.flood for each in noticed] == ["none", *door.FLOODS]
    assert all(each.uploads > 0 and each.refused == 0 for each in noticed)
    assert max(each.peak_mib for each in noticed) < door.AIM_MIB
    assert moved.acknowledged > 0
    assert moved.refused > 0
    assert moved.missing == 0
