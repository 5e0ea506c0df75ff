"""The contract of every model family: each family, and the tests' family, follows ``models.family``'s protocols.

A new family is added to ``models.NAMES`` and passes; a family whose training takes long is shrunken in ``SHRUNKEN``.
What only one family promises lies in its own folder.
"""

import io
import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest

import models
from loop.evaluation import export_check
from loop.evaluation.verdict import ExportLimits, Outcome
from models import coreml
from models.cnn import Cnn
from models.family import Candidate, Card, Family, Lesson, Precision, Weights, no_progress, precision
from tests.helpers.linear import Linear
from tests.helpers.paths import ROOT
from tests.models.cnn.conftest import TINY_BASE, TINY_NIGHT

CARD = Card("Reads digits", "someone", "MIT", "3", {"b": "2", "a": "ä"})
SHRUNKEN: dict[str, Family] = {
    "cnn": Cnn(base_recipe=replace(TINY_BASE, steps=6), night_recipe=TINY_NIGHT),
    "linear": Linear("linear"),
}
FRAMEWORK = {"cnn": pytest.mark.slow}
"""Families whose own answers need TensorFlow."""
NAMES = (*models.NAMES, "linear")
TRAINED = [pytest.param(name, marks=FRAMEWORK.get(name, ())) for name in NAMES]


@dataclass(frozen=True, slots=True, eq=False)
class Subject:
    """A family, the arrays of its base, and digits that it learns from and reads."""

    family: Family
    base: Weights
    digits: dict[str, np.ndarray]

    @property
    def candidate(self) -> Candidate:
        """The base, rebuilt from copies of its arrays."""
        return self.family.load({name: array.copy() for name, array in self.base.items()})

    @property
    def images(self) -> np.ndarray:
        """Forty digits that were not learned from."""
        return self.digits["test_images"][:40]

    def lesson(self, taught: int = 20, **changes: Any) -> Lesson:
        """Return a night that replays digits and trains on the first of the others."""
        images, labels = self.digits["test_images"][:taught], self.digits["test_labels"][:taught]
        replay = (self.digits["train_images"][:200], self.digits["train_labels"][:200])
        return Lesson(*replay, images, labels, changes.get("weights", np.arange(1.0, taught + 1)))

    def teach(self, lesson: Lesson, seed: int = 1) -> Weights:
        """Return the candidate that the lesson trains from the base."""
        return self.family.fine_tune(self.base, lesson, seed, no_progress).weights()


@pytest.fixture(scope="module")
def digits(small_corpus: Path) -> dict[str, np.ndarray]:
    """scikit-learn's digits at 28×28."""
    with np.load(small_corpus) as stored:
        return dict(stored)


@pytest.fixture(scope="module", params=NAMES)
def subject(request: pytest.FixtureRequest, digits: dict[str, np.ndarray]) -> Subject:
    """Each family with its base: the shipped one, or one that it learns in a second."""
    family = SHRUNKEN.get(request.param) or models.get(request.param)
    base = family.shipped()
    if base is None:
        base = family.train_base(digits["train_images"], digits["train_labels"], 0, no_progress).weights()
    return Subject(family, base, digits)


@pytest.fixture(autouse=True)
def untouched(request: pytest.FixtureRequest) -> Iterator[None]:
    """No family changes the arrays that it is given."""
    if "subject" not in request.fixturenames:
        yield
        return
    base = request.getfixturevalue("subject").base
    before = {name: array.copy() for name, array in base.items()}
    yield
    assert same(base, before)


def same(one: Weights, other: Weights) -> bool:
    """Whether both contain the same names, types and bits."""
    return one.keys() == other.keys() and all(
        array.dtype == other[name].dtype and np.array_equal(array, other[name]) for name, array in one.items()
    )


def turned(arrays: Weights) -> Weights:
    """The same arrays in another order."""
    return dict(reversed(arrays.items()))


def test_what_a_family_says_of_itself(subject: Subject) -> None:
    """A name, a base corpus that exists, precisions that files can have, and a recipe that JSON keeps as it is."""
    family = subject.family
    assert family.name
    assert family.corpus in ("mnist", "digits")
    assert family.precisions
    assert set(family.precisions) <= set(get_args(Precision))
    assert len(set(family.precisions)) == len(family.precisions)
    assert json.loads(json.dumps(family.recipe())) == family.recipe()


@pytest.mark.parametrize("name", models.NAMES)
def test_a_family_is_found_by_its_name(name: str) -> None:
    """The name in the settings is the family's name; other names are refused."""
    assert models.get(name).name == name
    with pytest.raises(KeyError):
        models.get(f"{name}s")


def test_weights_are_kept_bit_for_bit(subject: Subject) -> None:
    """Saved without pickle and loaded in another order, the arrays are the same, and so is the file made of them."""
    file = io.BytesIO()
    np.savez(file, allow_pickle=False, **subject.base)
    file.seek(0)
    with np.load(file, allow_pickle=False) as stored:
        again = subject.family.load(turned(dict(stored)))
    assert same(again.weights(), subject.candidate.weights())
    assert again.export(CARD) == subject.candidate.export(CARD)


@pytest.mark.parametrize("change", ["missing", "an axis more", "not finite", "text"])
def test_malformed_arrays_are_refused_by_name(subject: Subject, change: str) -> None:
    """An array that is missing, has another shape or type, or is not finite is a ``ValueError`` that names it."""
    for name, array in subject.base.items():
        arrays = dict(subject.base)
        match change:
            case "missing":
                del arrays[name]
            case "an axis more":
                arrays[name] = array[None]
            case "not finite":
                arrays[name] = array * np.float32("nan")
            case "text":
                arrays[name] = array.astype(str)
        with pytest.raises(ValueError, match=name):
            subject.family.load(arrays)


def test_an_extra_array_is_refused_by_name(subject: Subject) -> None:
    """An array that the family does not know is a ``ValueError`` that names it."""
    with pytest.raises(ValueError, match="stowaway"):
        subject.family.load(subject.base | {"stowaway": np.zeros(1)})


def test_the_same_weights_and_card_give_the_same_bytes(subject: Subject) -> None:
    """The file depends on the card's entries, but not on their order or the order of arrays."""
    data = subject.candidate.export(CARD)
    other = Card(CARD.description, CARD.author, CARD.licence, CARD.version, dict(reversed(CARD.metadata.items())))
    assert subject.family.load(turned(subject.base)).export(other) == data
    assert subject.candidate.export(Card(CARD.description, CARD.author, CARD.licence, "4", CARD.metadata)) != data


def test_the_file_says_what_the_card_says(subject: Subject) -> None:
    """The card is the file's metadata, without a date or a tool's version; the classes are the ten digits."""
    model = coreml.load(subject.candidate.export(CARD))
    said = {"description": "Reads digits", "author": "someone", "license": "MIT", "version": "3"}
    assert model.metadata == said | CARD.metadata
    assert model.labels == tuple("0123456789")
    assert model.label_name == "classLabel"


def test_a_legal_precision_is_rounded_once(subject: Subject) -> None:
    """For each precision that a family's files know, rounding again changes neither the arrays nor the file."""
    for wanted in subject.family.precisions:
        once = subject.candidate.rounded(wanted)
        assert same(once.rounded(wanted).weights(), once.weights())
        saved = subject.family.load(once.weights()).rounded(wanted)
        assert saved.export(CARD) == once.export(CARD)
        coreml.load(once.export(CARD))
        assert precision(subject.family, wanted) == wanted


def test_another_precision_is_refused(subject: Subject) -> None:
    """An unsupported precision raises ``ValueError`` with its name; the loop uses the first one instead."""
    for wanted in set(get_args(Precision)) - set(subject.family.precisions):
        with pytest.raises(ValueError, match=wanted):
            subject.candidate.rounded(wanted)
        assert precision(subject.family, wanted) == subject.family.precisions[0]


def test_what_a_family_learns_in_rounds_nothing(subject: Subject) -> None:
    """The first precision stores a candidate exactly."""
    assert same(subject.candidate.rounded(subject.family.precisions[0]).weights(), subject.candidate.weights())


@pytest.mark.parametrize("subject", TRAINED, indirect=True)
def test_probabilities(subject: Subject) -> None:
    """Each image gets ten probabilities of at least 0 and sum 1, regardless of other images; no image gives none."""
    answer = subject.candidate.probabilities(subject.images)
    assert (answer.shape, answer.dtype) == ((40, 10), np.float32)
    assert (answer >= 0).all()
    np.testing.assert_allclose(answer.sum(1), 1.0, atol=1e-5)
    np.testing.assert_allclose(subject.candidate.probabilities(subject.images[7:8])[0], answer[7], atol=1e-5)
    assert subject.candidate.probabilities(subject.images[:0]).shape == (0, 10)


@pytest.mark.parametrize("subject", TRAINED, indirect=True)
def test_other_images_are_refused(subject: Subject) -> None:
    """Images of another type or shape raise ``ValueError`` with the expected one."""
    for images in (subject.images.astype(np.float32), subject.images[0]):
        with pytest.raises(ValueError, match="uint8"):
            subject.candidate.probabilities(images)


@pytest.mark.parametrize("subject", TRAINED, indirect=True)
def test_the_file_answers_as_the_candidate(subject: Subject) -> None:
    """In each precision, the exported file passes the check before publication."""
    for wanted in subject.family.precisions:
        candidate = subject.candidate.rounded(wanted)
        data = candidate.export(CARD)
        verdict = export_check.run(data, data, candidate.probabilities, subject.images, ExportLimits())
        assert verdict.outcome is Outcome.PASSED, verdict.reasons


@pytest.mark.parametrize("subject", TRAINED, indirect=True)
def test_a_base_repeats_and_tells_its_progress(subject: Subject) -> None:
    """The same corpus and seed give the same bits; progress is reported up to the end."""
    told: list[tuple[int, int]] = []
    corpus = (subject.digits["train_images"][:200], subject.digits["train_labels"][:200])
    first = subject.family.train_base(*corpus, 3, lambda what, done, total: told.append((done, total)))
    assert same(first.weights(), subject.family.train_base(*corpus, 3, no_progress).weights())
    assert told
    assert all(0 <= done <= total for done, total in told)
    assert told[-1][0] == told[-1][1] > 0


@pytest.mark.parametrize("subject", TRAINED, indirect=True)
def test_a_night_teaches_and_repeats(subject: Subject) -> None:
    """The same base, lesson and seed give the same bits, which are not the base's."""
    first = subject.teach(subject.lesson())
    assert same(first, subject.teach(subject.lesson()))
    assert not same(first, subject.base)
    assert np.isfinite(subject.family.load(first).probabilities(subject.images)).all()


@pytest.mark.parametrize("subject", TRAINED, indirect=True)
def test_a_night_of_nothing_new_is_allowed(subject: Subject) -> None:
    """A lesson without corrections replays the base corpus alone."""
    taught = subject.teach(subject.lesson(0))
    assert np.isfinite(subject.family.load(taught).probabilities(subject.images)).all()


def test_a_night_starts_from_a_checked_base(subject: Subject) -> None:
    """A base without one of its arrays is refused with the array's name before training."""
    name, *_ = subject.base
    wrong = {other: array for other, array in subject.base.items() if other != name}
    with pytest.raises(ValueError, match=name):
        subject.family.fine_tune(wrong, subject.lesson(), 1, no_progress)


@pytest.mark.parametrize("weights", [np.zeros(3), np.array([1, -1, 1.0]), np.array([1, np.nan, 1.0]), np.ones(2)])
def test_a_lesson_that_does_not_fit_is_refused(subject: Subject, weights: np.ndarray) -> None:
    """Weights that are all 0, negative, NaN or too few raise ``ValueError`` before training."""
    with pytest.raises(ValueError, match="weights"):
        subject.family.fine_tune(subject.base, subject.lesson(3, weights=weights), 1, no_progress)


@pytest.mark.slow
@pytest.mark.parametrize("name", models.NAMES)
def test_a_family_costs_nothing_until_it_trains(name: str) -> None:
    """Its recipe, base and a file of its base load neither TensorFlow, Keras, scikit-learn nor coremltools."""
    code = (
        "import sys, models; from models.family import Card;"
        f"family = models.get({name!r}); family.recipe(); base = family.shipped();"
        "base and family.load(base).export(Card('', '', '', ''));"
        "print(sorted({'tensorflow', 'keras', 'coremltools', 'sklearn'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
