"""The picture of the random arm is exact, whatever the pool's size, the number of questions and the model do."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from loop.asking.candidates import Candidates
from loop.asking.queue import RANDOM, AskingRules, PoolColumns, plan
from loop.asking.surplus import surplus
from loop.home.sections import Asking

RULES = Asking(per_day=3, random_share=0.15, source_share=1, digit_share=1, near=0.002, pool_size=8)
COUNTS = (0, 1, 0, 0, 3, 0, 0, 2)
"""Questions of each round; in those without one the pool overflows, too."""
ARRIVALS = 5
WORLDS = 500


class World:
    """Drawings of which the wrong ones are unsure and alone, and half of the right ones are alike: a model that drops
    or chooses before the lottery changes the picture.
    """

    def __init__(self) -> None:
        n = ARRIVALS * len(COUNTS)
        random = np.random.default_rng(5)
        self.wrong = np.arange(n) % 4 == 0
        self.rates = np.where(np.arange(n) % 3 == 0, 0.2, 0.8)
        alike = ~self.wrong & (np.arange(n) % 2 == 0)
        self.embeddings = np.where(alike[:, None], 1.0, random.normal(size=(n, 16))).astype(np.float32)
        self.unsure = np.where(self.wrong, 0.95, 0.05) + 0.01 * random.random(n)
        self.probabilities = np.full((n, 10), 1e-3)
        self.probabilities[:, 3] = 1 - self.unsure / 2
        self.probabilities[:, 5] = self.unsure / 2
        self.probabilities /= self.probabilities.sum(axis=1, keepdims=True)
        contents = np.where(alike & (np.arange(n) % 6 == 0), 0, np.arange(n))
        self.digests = np.zeros((n, 32), np.uint8)
        self.digests[:, 0] = contents

    def weights(self, seed: int) -> NDArray[np.float64]:
        """Of each drawing 1/(rate × chance) if it was asked about by lot, else 0, after all rounds: ``(n,)``."""
        random = np.random.default_rng([seed, 9])
        sent = random.random(len(self.wrong)) < self.rates
        found = np.zeros(len(self.wrong))
        pool, drawn = np.zeros(0, np.intp), np.zeros(len(self.wrong), np.bool_)
        for day, count in enumerate(COUNTS):
            new = np.arange(day * ARRIVALS, (day + 1) * ARRIVALS)
            pool = np.concatenate([pool, new[sent[new]]])
            if not len(pool):
                continue
            seen = Candidates(
                self.probabilities[pool],
                self.embeddings[pool],
                np.zeros((0, 16), np.float32),
                np.zeros((0, len(pool), 10)),
            )
            columns = PoolColumns(
                pool, pool % 3, self.rates[pool], drawn[pool], self.digests[pool], np.zeros(len(pool), np.bool_)
            )
            overflowing = RULES.per_day if len(pool) > RULES.pool_size else 0
            rules = AskingRules(count, "margin", RULES.random_share, 1.0, 1.0, RULES.near, overflowing)
            shortlist = np.arange(len(pool)), seen
            made = plan(columns, *shortlist, rules, seed * 100 + day)
            drawn[pool[made.new]] = True
            for question in made.questions:
                if question.arm == RANDOM and question.chance is not None:
                    assert not found[pool[question.row]]
                    found[pool[question.row]] = 1 / (self.rates[pool[question.row]] * question.chance)
            ages = (day - pool // ARRIVALS).astype(np.float64)
            gone = surplus(columns, ages, self.unsure[pool], shortlist, made, RULES)
            asked = [question.row for question in made.questions]
            pool = np.delete(pool, np.union1d(gone, np.array(asked, np.intp)))
            assert len(pool) <= RULES.pool_size
        return found


@pytest.mark.slow
def test_the_weights_of_the_answers_by_lot_stand_for_everything() -> None:
    """In a pool that overflows, with rounds of none and of few questions, each drawing's weight is 1 on average, and
    the weights of the wrong ones sum to their number.
    """
    world = World()
    found = np.array([world.weights(seed) for seed in range(WORLDS)])
    errors = found.std(axis=0) / np.sqrt(WORLDS)
    assert (errors > 0).all()  # each was asked about in some world
    assert (np.abs(found.mean(axis=0) - 1) < 4.5 * errors).all()
    for group in (world.wrong, ~world.wrong):
        totals = found[:, group].sum(axis=1)
        assert totals.mean() == pytest.approx(group.sum(), abs=4 * totals.std() / np.sqrt(WORLDS))


@given(count=st.integers(0, 300), share=st.floats(0.001, 1), day=st.integers(0, 300))
def test_every_round_with_a_question_draws_lots(count: int, share: float, day: int) -> None:
    """At least one, never more than there are questions; a round without any only if the pool is past its size."""
    lots = AskingRules(count, random_share=share, overflowing=day).lots
    assert (lots > 0) == (count > 0 or day > 0)
    assert lots <= max(count, 0 if count else day)
    assert AskingRules(count, random_share=0.0, overflowing=day).lots == 0
