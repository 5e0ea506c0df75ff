"""Digits as strangers store them: every odd input is read as it was meant, or is refused by its true cause."""

from pathlib import Path

import numpy as np
import pytest

from loop.data import digits, doubts, handwriting, labelled
from loop.data.labelled import Labelled
from loop.errors import BadImage
from tests.helpers import oddities, shared

FAINT = 6  # of 60 digits that may be read wrong or refused: 8×8 and shadows cost some


def read(name: str, folder: Path) -> Labelled:
    """The odd input of that name."""
    write, _ = (oddities.RIGHT | oddities.REFUSED)[name]
    return labelled.read(write(folder))


@pytest.mark.parametrize("name", oddities.RIGHT)
def test_read_as_meant(name: str, tmp_path: Path) -> None:
    """The base reads nearly all of its digits right, and the treatment of most says what was done."""
    found = read(name, tmp_path)
    right = int(np.sum(doubts.base()(found.images).argmax(1) == found.labels))
    assert right >= oddities.COUNT - FAINT
    assert found.treatments.most_common(1)[0][0] == oddities.RIGHT[name][1]


@pytest.mark.parametrize("name", oddities.REFUSED)
def test_refused_by_name(name: str, tmp_path: Path) -> None:
    """Nothing is taken, and the message names the cause."""
    with pytest.raises(BadImage, match=oddities.REFUSED[name][1]):
        read(name, tmp_path)


@pytest.mark.parametrize(
    "name", ["IDX, black on white", "IDX, 0 and 1", "CSV", "npz, 8×8 of 0 to 16", "photo, hard shadow"]
)
def test_import_and_score_read_alike(name: str, tmp_path: Path) -> None:
    """Both readers give the same digits, in the same order."""
    path = oddities.RIGHT[name][0](tmp_path)
    [person] = handwriting.people([path])
    imported = [sample.digit() for sample in person.samples() if sample.reason is None]
    assert np.array_equal(np.stack([digit.pixels for digit in imported]), labelled.read(path).images)


def test_a_flag_takes_what_was_stopped(tmp_path: Path) -> None:
    """``--as transposed`` gives MNIST's own digits back and says so; ``--as given`` takes them as they are stored."""
    path = oddities.REFUSED["IDX by columns"][0](tmp_path)
    images, _ = oddities.chosen()
    asked, given = labelled.read(path, "transposed"), labelled.read(path, "given")
    assert np.array_equal(asked.images, images)
    assert set(asked.treatments) == {"transposed"}
    assert np.array_equal(given.images, images.swapaxes(1, 2))
    assert set(given.treatments) == {digits.KEPT}


def test_the_check_can_fail(tmp_path: Path) -> None:
    """A reader that reads nothing raises no doubt, and neither do few digits: the refusals above come from evidence."""
    path = oddities.REFUSED["IDX by columns"][0](tmp_path)
    [person] = handwriting.people([path])
    doubts.check("set", person.samples(), lambda images: np.zeros((len(images), 10)))
    doubts.check("set", list(person.samples())[:10])


STRANGE = {
    "grey28-black-on-white": "inverted",
    "half-shadow": "inverted; evened; fitted",
    "idx-black-on-white": "inverted",
    "idx-zero-one": "scaled from 0..1",
    "png-exif-turned": "turned 90; inverted; fitted",
}


@pytest.mark.parametrize("name", STRANGE)
def test_the_strange_inputs(name: str) -> None:
    """The inputs that were once read wrong in silence: right, and the treatment says what was done."""
    found = labelled.read(shared.strange(name))
    right = int(np.sum(doubts.base()(found.images).argmax(1) == found.labels))
    assert right >= 0.95 * len(found.labels)
    assert set(found.treatments) == {STRANGE[name]}
