"""Krippendorff's alpha and Dawid and Skene's model, on published figures and on reviewers with known accuracy."""

import numpy as np
import pytest

from loop.evaluation.agreement import alpha, dawid_skene

# Krippendorff, "Computing Krippendorff's Alpha-Reliability" (2011), part C: four observers, twelve units; . is missing.
PUBLISHED = ("123321412   ", "1233224125 3", " 3332342251 ", "12332441251 ")
LIBRARY = 0.6237944677026939


def answers(rows: tuple[str, ...]) -> list[tuple[int, str, str]]:
    """One answer per character that is no space."""
    return [
        (unit, f"observer {i}", value) for i, row in enumerate(rows) for unit, value in enumerate(row) if value != " "
    ]


def test_alpha_of_the_published_example() -> None:
    """Krippendorff's own example with missing values: 0.743 for nominal data."""
    assert alpha(answers(PUBLISHED)) == pytest.approx(0.743, abs=0.0005)


def test_alpha_is_that_of_the_library() -> None:
    """The package krippendorff (0.9.0, ``level_of_measurement="nominal"``) gives the same for 200 units with gaps."""
    random = np.random.default_rng(3)
    said = random.integers(0, 4, (5, 200))
    gone = random.random(said.shape) < 0.3
    said[:, :120] = said[0, :120]
    found = [(unit, f"{i}", f"{said[i, unit]}") for i, unit in zip(*np.nonzero(~gone), strict=True)]
    assert alpha(found) == pytest.approx(LIBRARY, abs=1e-12)


def test_alpha_at_its_limits() -> None:
    """1 for perfect agreement, about 0 for chance, nothing to say without two answers or without a difference."""
    perfect = [(unit, person, str(unit % 3)) for unit in range(30) for person in "ab"]
    assert alpha(perfect) == 1.0
    chance = np.random.default_rng(1).integers(0, 10, (4_000, 2))
    assert alpha([(unit, str(i), str(value)) for unit, row in enumerate(chance) for i, value in enumerate(row)]) == (
        pytest.approx(0.0, abs=0.02)
    )
    assert alpha([]) is None
    assert alpha([(1, "a", "7"), (2, "b", "7")]) is None
    assert alpha([(1, "a", "7"), (1, "b", "7")]) is None


def test_dawid_skene_finds_who_is_right() -> None:
    """Reviewers of 99, 95, 80 and 60 %: estimated within three points, and the labels beat a vote of the majority."""
    random = np.random.default_rng(2)
    truth = random.integers(0, 10, 1_500)
    given = [
        (unit, f"{right}", str(digit if random.random() < right else (digit + random.integers(1, 10)) % 10))
        for right in (0.99, 0.95, 0.8, 0.6)
        for unit, digit in enumerate(truth)
    ]
    found = dawid_skene(given)
    for name, estimate in found.accuracies.items():
        assert estimate == pytest.approx(float(name), abs=0.03)
    right = np.mean([found.labels[unit][0] == str(digit) for unit, digit in enumerate(truth)])
    assert right > 0.99


def test_a_known_answer_outweighs_the_majority() -> None:
    """Two reviewers who share an error are not believed against a gold question."""
    said = [(unit, person, "1") for unit in range(20) for person in "ab"]
    found = dawid_skene(said, dict.fromkeys(range(20), "7"))
    assert found.accuracies == {"a": 0.0, "b": 0.0}
    assert found.labels[3] == ("7", 1.0)
