"""Digits in unusual formats: each input is read correctly, or is refused with the true cause."""

from pathlib import Path

import numpy as np
import pytest

from loop.data import convention_check, digits, handwriting, labelled
from loop.data.labelled import Labelled
from loop.errors import BadImage
from tests.helpers import oddities, shared

MAX_ERRORS = 6  # of 60 digits that may be misread or refused: 8×8 and shadows cost some


def read(name: str, folder: Path) -> Labelled:
    """Write and read the odd input of that name."""
    write, _ = (oddities.RIGHT | oddities.REFUSED)[name]
    return labelled.read(write(folder))


@pytest.mark.slow
@pytest.mark.parametrize("name", oddities.RIGHT)
def test_read_correctly(name: str, tmp_path: Path) -> None:
    """The base reads nearly all digits correctly, and most digits have the expected preparation."""
    found = read(name, tmp_path)
    right = int(np.sum(convention_check.base()(found.images).argmax(1) == found.labels))
    assert right >= oddities.COUNT - MAX_ERRORS
    assert found.preparations.most_common(1)[0][0] == oddities.RIGHT[name][1]


@pytest.mark.slow
@pytest.mark.parametrize("name", oddities.REFUSED)
def test_refused_by_name(name: str, tmp_path: Path) -> None:
    """The whole input is refused, and the message names the cause."""
    with pytest.raises(BadImage, match=oddities.REFUSED[name][1]):
        read(name, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["IDX, black on white", "IDX, 0 and 1", "CSV", "npz, 8×8 of 0 to 16", "photo, hard shadow"]
)
def test_import_and_score_read_alike(name: str, tmp_path: Path) -> None:
    """``import`` and ``score`` read the same digits, in the same order."""
    path = oddities.RIGHT[name][0](tmp_path)
    [person] = handwriting.people([path])
    imported = [sample.digit() for sample in person.samples() if sample.reason is None]
    assert np.array_equal(np.stack([digit.pixels for digit in imported]), labelled.read(path).images)


@pytest.mark.slow
def test_the_option_accepts_what_was_refused(tmp_path: Path) -> None:
    """``--as transposed`` restores MNIST's digits, with that preparation; ``--as given`` reads them as stored."""
    path = oddities.REFUSED["IDX by columns"][0](tmp_path)
    images, _ = oddities.chosen()
    transposed, given = labelled.read(path, "transposed"), labelled.read(path, "given")
    assert np.array_equal(transposed.images, images)
    assert set(transposed.preparations) == {"transposed"}
    assert np.array_equal(given.images, images.swapaxes(1, 2))
    assert set(given.preparations) == {digits.KEPT}


def test_the_check_can_fail(tmp_path: Path) -> None:
    """A reader with no correct answer refuses no set, and few digits are not refused: refusals need evidence."""
    path = oddities.REFUSED["IDX by columns"][0](tmp_path)
    [person] = handwriting.people([path])
    convention_check.check("set", person.samples(), lambda images: np.zeros((len(images), 10)))
    convention_check.check("set", list(person.samples())[:10])


STRANGE = {
    "grey28-black-on-white": "inverted",
    "half-shadow": "inverted; evened; fitted",
    "idx-black-on-white": "inverted",
    "idx-zero-one": "scaled from 0..1",
    "png-exif-turned": "turned 90; inverted; fitted",
}


@pytest.mark.parametrize("name", STRANGE)
def test_the_strange_inputs(name: str) -> None:
    """Inputs that were once misread without an error are read correctly, with the expected preparation."""
    found = labelled.read(shared.strange(name))
    right = int(np.sum(convention_check.base()(found.images).argmax(1) == found.labels))
    assert right >= 0.95 * len(found.labels)
    assert set(found.preparations) == {STRANGE[name]}
