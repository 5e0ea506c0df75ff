"""Labelled digits to score a model on: a path as people have it → arrays, and what could not be read.

Used by ``loop score``. A path is a folder with MNIST's IDX files (its test set is taken, never its training set), one
IDX file of a pair, or whatever ``handwriting`` reads: a folder or zip of ``<digit>/*.png``. Every image that is not
28×28 goes through the normaliser; a file that cannot be read is a line in ``refused``, never the end of the others.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from loop.data import digits, handwriting, idx
from loop.errors import BadImage

_TEST_SETS = ("t10k", "test")


@dataclass(frozen=True, slots=True, eq=False)
class Labelled:
    """``images`` ``(n, 28, 28) uint8``, white ink on black; ``labels`` ``(n,) uint8``; ``refused``: name and reason."""

    name: str
    images: NDArray[np.uint8]
    labels: NDArray[np.uint8]
    refused: tuple[tuple[str, str], ...] = ()


def read(path: Path) -> Labelled:
    """What is at ``path``. Raises BadImage where it is missing, not of a known kind, or holds no digit at all."""
    pair = _pair(path)
    found = _from_pair(*pair) if pair else _from_people(path)
    if not len(found.labels):
        reasons = f"; {found.refused[0][0]}: {found.refused[0][1]}" if found.refused else ""
        raise BadImage(f"{path}: expected labelled digits, none could be read{reasons}")
    return found


def _pair(path: Path) -> tuple[Path, Path] | None:
    """Images and labels of an IDX pair; of a folder with several, the test set's. None where there is no IDX file."""
    if path.is_dir():
        images = sorted(path.glob("*idx3-ubyte*"))
        if len(images) > 1:
            images = [each for each in images if any(word in each.name for word in _TEST_SETS)]
            if len({each.name.removesuffix(".gz") for each in images}) != 1:
                raise BadImage(f"{path}: expected one test set among its IDX files; name the file with its images")
        if not images:
            return None
        path = images[0]
    if "idx1-ubyte" in path.name:
        return _sibling(path, path.name.replace("idx1-ubyte", "idx3-ubyte").replace("labels", "images")), path
    if "idx3-ubyte" in path.name:
        return path, _sibling(path, path.name.replace("idx3-ubyte", "idx1-ubyte").replace("images", "labels"))
    return None


def _sibling(path: Path, name: str) -> Path:
    """The file of that name beside ``path``; where only its gzipped or unpacked twin is there, that one."""
    twin = path.with_name(name.removesuffix(".gz") if name.endswith(".gz") else f"{name}.gz")
    named = path.with_name(name)
    return twin if twin.exists() and not named.exists() else named


def _from_pair(images_path: Path, labels_path: Path) -> Labelled:
    images, labels = _idx(images_path), _idx(labels_path)
    if images.ndim != 3 or labels.ndim != 1 or len(images) != len(labels):
        raise BadImage(
            f"{images_path} and {labels_path} do not belong together: expected as many images as labels, "
            f"came {images.shape} and {labels.shape}"
        )
    if len(labels) and labels.max() > 9:
        raise BadImage(f"{labels_path}: expected labels 0 to 9, came {labels.max()}")
    name = images_path.name.split("idx3")[0].rstrip("-._")
    if images.shape[1:] == (digits.SIDE, digits.SIDE):
        return Labelled(name, images, labels)
    return _gathered(name, ((f"image {i}", int(labels[i]), image) for i, image in enumerate(images)))


def _idx(path: Path) -> NDArray[np.uint8]:
    try:
        return idx.load(path)
    except OSError as error:
        raise BadImage(f"{path} cannot be read ({error.strerror}); IDX files come in pairs") from error
    except ValueError as error:
        raise BadImage(f"{path}: {error}") from error


def _from_people(path: Path) -> Labelled:
    [person] = handwriting.people([path])
    return _gathered(person.name, ((sample.name, sample.label, sample) for sample in person.samples()))


def _gathered(name: str, samples: Iterable[tuple[str, int, handwriting.Sample | NDArray[np.uint8]]]) -> Labelled:
    images, labels, refused = [], [], []
    for member, label, sample in samples:
        try:
            images.append(sample.digit().pixels if isinstance(sample, handwriting.Sample) else digits.normalise(sample))
            labels.append(label)
        except BadImage as error:
            refused.append((member, str(error)))
    stacked = np.array(images, np.uint8).reshape(-1, digits.SIDE, digits.SIDE)
    return Labelled(name, stacked, np.array(labels, np.uint8), tuple(refused))
