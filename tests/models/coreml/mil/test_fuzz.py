"""Any content of a package's zip, program or weight file raises only ``ModelError``, in limited time."""

import random
import resource
import time
import warnings
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models import coreml
from tests.models.coreml import mutations
from tests.models.coreml.mil import programs
from tests.models.coreml.mil.programs import Program
from tests.models.coreml.test_fuzz import ENDS, TIGHT, survive

pytestmark = pytest.mark.slow

SEEDS: Sequence[Program] = (programs.network(stored=True), programs.compact())
PARTS = ("zip", "program", "fields", "weights")


def _mutated(seed: int, part: str, rng: random.Random) -> bytes:
    """Return a package with its zip, the program's bytes or fields, or the weight file changed."""
    made = SEEDS[seed]
    if part == "zip":
        return mutations.of_bytes(made.package(), rng)
    model, blob = made.model(), bytes(made.blob)
    if part == "program":
        model = mutations.of_bytes(model, rng)
    elif part == "weights":
        blob = mutations.of_bytes(blob, rng)
    else:
        message = type(made.message).FromString(model)
        mutations.of_fields(message, rng)
        model = message.SerializeToString()
    return programs.packed(model, {"weights/weight.bin": blob})


@settings(max_examples=400, deadline=None)
@given(seed=st.sampled_from(range(len(SEEDS))), part=st.sampled_from(PARTS), chance=st.integers(0, 2**32))
def test_mutated_packages_are_refused_or_run(seed: int, part: str, chance: int) -> None:
    """A package with anything changed loads and runs, or raises ``ModelError``; numpy does not even warn."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert survive(_mutated(seed, part, random.Random(chance)), TIGHT) in ENDS  # noqa: S311  (repeatable)


def test_seeds_run_and_mutations_bite() -> None:
    """Unbroken packages run; of 100 mutants of each part some run and some are refused."""
    assert {survive(made.package(), TIGHT) for made in SEEDS} == {"ran"}
    rng = random.Random(6)  # noqa: S311  (repeatable)
    for part in PARTS:
        found = [survive(_mutated(i % len(SEEDS), part, rng), TIGHT) for i in range(100)]
        assert ("ran" in found) == (part != "zip"), part  # a zip has checksums
        assert set(found) & {"Malformed", "AnotherKind"}, part


@pytest.mark.campaign
def test_a_hundred_thousand_mutations() -> None:
    """100,000 mutants of packages under the default limits: only ``ModelError``, none beyond 5 s, under 1.5 GB."""
    rng = random.Random(20261128)  # noqa: S311  (repeatable)
    slowest = 0.0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for i in range(100_000):
            data = _mutated(i % len(SEEDS), PARTS[i // len(SEEDS) % len(PARTS)], rng)
            start = time.process_time()
            assert survive(data, coreml.Limits()) in ENDS
            slowest = max(slowest, time.process_time() - start)
    assert slowest < 5
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss < 1_500_000
