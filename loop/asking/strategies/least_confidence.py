"""Least confidence (Lewis and Gale 1994): the lower the probability of the best digit, the more wanted."""

from loop.asking.candidates import Candidates, Choice, highest


def choose(candidates: Candidates, count: int, seed: int) -> Choice:
    """The drawings that the model is least sure of."""
    return highest(1 - candidates.probabilities.max(axis=1), count, seed)
