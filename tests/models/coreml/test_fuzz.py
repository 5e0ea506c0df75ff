"""Any file raises only ``ModelError``, in limited time and memory."""

import random
import resource
import time
import warnings
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models import coreml
from tests.models.coreml import mutations, seeds

TIGHT = coreml.Limits(tensor=1 << 20, tensors=1 << 22, weights=1 << 22, macs=100_000_000)
MESSAGES = [seed() for seed in seeds.ALL]
ENDS = {"ran", "AnotherKind", "Malformed", "Unsupported", "LimitExceeded"}
FILES = [message.SerializeToString() for message in MESSAGES]


def _given(feature: coreml.Feature) -> np.ndarray:
    """Return two inputs of the described shape."""
    if feature.kind != "image":
        return np.ones((2, *feature.shape))
    colours = () if feature.colour == "grayscale" else (3,)
    return np.ones((2, feature.height, feature.width, *colours), np.uint8)


def survive(data: bytes, limits: coreml.Limits = TIGHT) -> str:
    """Inspect, load and run ``data``; return how it ended. Anything but a ``ModelError`` escapes, warnings too."""
    try:
        coreml.inspect(data, limits=limits)
        model = coreml.load(data, limits=limits)
        found = model.predict({feature.name: _given(feature) for feature in model.inputs})
    except coreml.ModelError as error:
        return type(error).__name__ if len(str(error).splitlines()) == 1 else "more than one line"
    assert all(len(values) == 2 for values in found.values())
    return "ran"


@pytest.mark.slow
@settings(max_examples=500, deadline=None)
@given(base=st.sampled_from(range(len(FILES))), of_fields=st.booleans(), seed=st.integers(0, 2**32))
def test_mutated_files_are_refused_or_run(base: int, of_fields: bool, seed: int) -> None:
    """Files with changed bytes or fields load and run, or raise ``ModelError``; numpy does not even warn."""
    rng = random.Random(seed)  # noqa: S311  (a repeatable choice of mutations, no secret)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert survive(_mutated(base, of_fields, rng)) in ENDS


def _mutated(base: int, of_fields: bool, rng: random.Random) -> bytes:
    if not of_fields:
        return mutations.of_bytes(FILES[base], rng)
    message = type(MESSAGES[base])()
    message.CopyFrom(MESSAGES[base])
    mutations.of_fields(message, rng)
    data: bytes = message.SerializeToString()
    return data


@settings(max_examples=150, deadline=None)
@given(data=st.binary(max_size=200))
def test_any_bytes_are_refused(data: bytes) -> None:
    """Bytes that are not a model raise ``ModelError``."""
    assert survive(data) in ENDS - {"ran"}


@pytest.mark.slow
def test_seeds_run_and_mutations_reach_every_outcome() -> None:
    """The seeds run; of 400 mutants some run and some are refused for each reason, so the fuzzing is effective."""
    assert {survive(data) for data in FILES} == {"ran"}
    rng = random.Random(5)  # noqa: S311  (repeatable)
    found = {survive(_mutated(i % len(FILES), bool(i % 2), rng)) for i in range(400)}
    assert found == ENDS


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_mutated_foreign_files_are_refused_or_run(foreign: dict[str, bytes], seed: int) -> None:
    """The same for the two real files by other people."""
    rng = random.Random(seed)  # noqa: S311  (repeatable)
    assert survive(mutations.of_bytes(rng.choice(list(foreign.values())), rng), coreml.Limits()) in ENDS


@pytest.mark.campaign
def test_a_hundred_thousand_mutations(foreign: dict[str, bytes]) -> None:
    """100,000 mutants under the default limits: only ``ModelError``, none beyond 5 s, and under 1.5 GB in all."""
    rng = random.Random(20261120)  # noqa: S311  (repeatable)
    real: Sequence[bytes] = list(foreign.values())
    slowest = 0.0
    for i in range(100_000):
        data = mutations.of_bytes(rng.choice(real), rng) if i % 20 == 0 else _mutated(i % len(FILES), i % 2 == 0, rng)
        start = time.process_time()
        assert survive(data, coreml.Limits()) in ENDS
        slowest = max(slowest, time.process_time() - start)
    assert slowest < 5
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss < 1_500_000
