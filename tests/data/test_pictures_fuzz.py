"""Mutations of real PNG and JPEG files in ``digits.read`` raise only ``BadImage``, with limited time and memory."""

import random
import resource
import time
import warnings
from collections import Counter

import numpy as np
import pytest

from loop.data import digits
from loop.errors import BadImage
from tests.helpers import malformed

SOUND = malformed.bases() | {"PNG interlaced": malformed.interlaced(malformed.grey())}
SECONDS = 2  # processor time of one file; the slowest of four megapixels takes 0.2
MEBIBYTES = 512


def fate(data: bytes) -> str:
    """Read the file; return "taken" for a complete digit, "refused" for one short line. Other errors propagate."""
    try:
        read = digits.read(data)
    except BadImage as refused:
        message = str(refused)
        return "refused" if len(message.splitlines()) == 1 and len(message) < 300 else "a long refusal"
    assert (read.pixels.shape, read.pixels.dtype) == ((28, 28), np.uint8)
    assert np.ptp(read.pixels) > 0
    return "taken"


def spliced(rng: random.Random) -> bytes:
    """Return the beginning of one file and the end of another."""
    first, second = rng.choices(list(SOUND.values()), k=2)
    return malformed.corrected(first[: rng.randrange(len(first))] + second[rng.randrange(len(second)) :])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("n", "seed"), [(2_000, 1), pytest.param(120_000, 20261120, marks=pytest.mark.campaign)], ids=["short", "campaign"]
)
def test_mutations_are_digits_or_refusals(n: int, seed: int) -> None:
    """Each of nine files is a mutation, the tenth a splice; both results are frequent, so the fuzzing is effective."""
    rng = random.Random(seed)  # noqa: S311  (repeatable)
    files, ends, slowest = list(SOUND.values()), Counter[str](), 0.0
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for number in range(n):
            data = spliced(rng) if number % 10 == 0 else malformed.mutated(files[number % len(files)], rng)
            begun = time.process_time()
            ends[fate(data)] += 1
            slowest = max(slowest, time.process_time() - begun)
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    print(f"{n:,} files, {dict(ends)}, slowest {slowest:.2f} s, peak {grown:+.0f} MiB")  # noqa: T201
    assert set(ends) == {"taken", "refused"}
    assert min(ends.values()) > n / 50
    assert slowest < SECONDS
    assert grown < MEBIBYTES
