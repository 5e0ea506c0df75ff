"""What the map of the paper is worth: photos with shadows, and what was read well without it, both paired.

Each row is read by the shipped base, run by ``models.coreml``: once with the map (as the loop reads), once without it
(as before). Shadows fall on MNIST's *training* digits, drawn as photos of 280×280 with noise; the scans are the
development writers'. MNIST's test set is not looked at, nor are the report writers unless ``--report`` asks for them.

    python benchmarks/light.py [--photos 300] [--even 500] [--seed 20] [--report]
"""

import argparse
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # so that the script runs from a clone that is not installed

from benchmarks.unseen_writers import DEVELOPMENT  # noqa: E402
from loop.data import convention_check, digits, handwriting, idx, ink  # noqa: E402
from loop.errors import BadImage  # noqa: E402

SHARED = Path(os.environ.get("TEST_SHARED", ROOT.parent / "shared")) / "data"
SIDE, NOISE, DEPTH = 280, 4.0, 0.7  # pixels, grey levels, share of the light that ink takes

Array = np.ndarray[Any, Any]
Light = Callable[[Array, Array, np.random.Generator], Array]


def half(down: Array, across: Array, chance: np.random.Generator) -> Array:  # noqa: ARG001 - every light has these arguments
    """The picture of the issue: 200 on the left, 110 on the right."""
    return np.where(across < 0, 200.0, 110.0)


def anywhere(down: Array, across: Array, chance: np.random.Generator) -> Array:
    """A straight edge at any angle, off the middle, and a shadow of any depth."""
    angle, off, dark = chance.uniform(0, 2 * np.pi), chance.uniform(-0.25, 0.25), chance.uniform(60, 160)
    return np.where(across * np.cos(angle) + down * np.sin(angle) < off, 200.0, dark)


def soft(down: Array, across: Array, chance: np.random.Generator) -> Array:
    """The same with a soft edge of 2 to 10 pixels."""
    angle, off, width = chance.uniform(0, 2 * np.pi), chance.uniform(-0.25, 0.25), chance.uniform(2, 10) / SIDE
    return 110 + 90 / (1 + np.exp((across * np.cos(angle) + down * np.sin(angle) - off) / width))


def corner(down: Array, across: Array, chance: np.random.Generator) -> Array:
    """A shadow with a right angle."""
    return np.where((down > chance.uniform(-0.2, 0.2)) & (across > chance.uniform(-0.2, 0.2)), 110.0, 200.0)


def even(down: Array, across: Array, chance: np.random.Generator) -> Array:  # noqa: ARG001 - the same
    """No shadow."""
    return np.full_like(down, chance.uniform(120, 250))


def slope(down: Array, across: Array, chance: np.random.Generator) -> Array:
    """A slope of the light."""
    return 170 + chance.uniform(-90, 90) * across + chance.uniform(-60, 60) * down


def squared(down: Array, across: Array, chance: np.random.Generator) -> Array:  # noqa: ARG001 - the same
    """Squared paper, its lines faint."""
    lines = (np.floor((down + 0.5) * SIDE) % 28 < 1) | (np.floor((across + 0.5) * SIDE) % 28 < 1)
    return np.where(lines, 200.0, 230.0)


def board(down: Array, across: Array, chance: np.random.Generator) -> Array:  # noqa: ARG001 - the same
    """Black instead of white: see ``photo``."""
    return np.full_like(down, -chance.uniform(20, 60))


def cropped(down: Array, across: Array, chance: np.random.Generator) -> Array:
    """Even light on a digit that was cut out to the edge of its ink: see ``photos``."""
    return even(down, across, chance)


def to_the_ink(image: Array) -> Array:
    """``image`` without the rows and columns that hold no ink; stretched, it fills its picture."""
    rows, columns = np.flatnonzero(image.max(1) > 60), np.flatnonzero(image.max(0) > 60)
    return image[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def photo(image: Array, light: Light, chance: np.random.Generator) -> Array:
    """Ink on paper under a light, with noise; where the light is below 0, chalk on a board of that level."""
    down, across = np.mgrid[:SIDE, :SIDE] / SIDE - 0.5
    share = np.asarray(Image.fromarray(image).resize((SIDE, SIDE), Image.Resampling.BICUBIC)) / 255
    lit = light(down, across, chance)
    levels = np.where(lit < 0, -lit + 180 * share, lit * (1 - DEPTH * share)) + chance.normal(0, NOISE, share.shape)
    return np.rint(levels.clip(0, 255)).astype(np.uint8)


def photos(light: Light, count: int, seed: int) -> Iterator[tuple[Array, int]]:
    """Seeded training digits under that light."""
    images = idx.load(SHARED / "mnist" / "train-images-idx3-ubyte.gz")
    labels = idx.load(SHARED / "mnist" / "train-labels-idx1-ubyte.gz")
    for at in np.random.default_rng(seed).choice(len(images), count, replace=False):
        image = to_the_ink(images[at]) if light is cropped else images[at]
        yield photo(image, light, np.random.default_rng([seed, at])), int(labels[at])


def answers(pictures: list[Array]) -> tuple[Array, int]:
    """What the base reads, -1 for a refusal; and how many were evened."""
    placed = [_placed(picture) for picture in pictures]
    read = np.full(len(pictures), -1)
    good = [at for at, each in enumerate(placed) if each is not None]
    if good:
        read[good] = convention_check.base()(np.stack([placed[at].pixels for at in good])).argmax(1)  # type: ignore[union-attr]
    return read, sum(each.evened for each in placed if each is not None)


def _placed(picture: Array) -> ink.Placed | None:
    try:
        return ink.place(picture)
    except BadImage:
        return None


def row(name: str, pictures: list[Array], labels: Array) -> None:
    """Print refused and right, without the map and with it, and how many changed from right to wrong and back."""
    with mock.patch.object(ink, "_in_shadow", return_value=None):
        before, _ = answers(pictures)
    after, evened = answers(pictures)
    broken, fixed = np.sum((before == labels) & (after != labels)), np.sum((before != labels) & (after == labels))
    print(
        f"| {name} | {len(labels):,} | {np.sum(before == -1)}, {100 * np.mean(before == labels):.2f} % "
        f"| {np.sum(after == -1)}, {100 * np.mean(after == labels):.2f} % | {fixed}/{broken} | {evened} |",
        flush=True,
    )


def scans(names: tuple[str, ...]) -> tuple[list[Array], Array]:
    """The scans of those writers as grey levels."""
    pictures, labels = [], []
    for name in names:
        [person] = handwriting.people(sorted((SHARED / "european-writers").glob(f"{name}*.zip")))
        for sample in person.samples():
            pictures.append(digits.pictures.decode(sample.data, digits.DEFAULT_LIMITS).grey)
            labels.append(sample.label)
    return pictures, np.array(labels)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--photos", type=int, default=300)
    parser.add_argument("--even", type=int, default=500)
    parser.add_argument("--seed", type=int, default=20)
    parser.add_argument("--report", action="store_true", help="the report writers too")
    given = parser.parse_args()
    print("| pictures | n | before: refused, right | after: refused, right | fixed/broken | evened |")
    print("|---|--:|--:|--:|--:|--:|")
    shadows, others = (half, anywhere, soft, corner), (even, slope, squared, board, cropped)
    for light, count in (*((each, given.photos) for each in shadows), *((each, given.even) for each in others)):
        made = list(photos(light, count, given.seed))
        row(light.__name__, [picture for picture, _ in made], np.array([label for _, label in made]))
    row("development writers", *scans(DEVELOPMENT))
    if given.report:
        names = {path.name[:4] for path in (SHARED / "european-writers").glob("*.zip")} - set(DEVELOPMENT)
        row("report writers", *scans(tuple(sorted(names))))


if __name__ == "__main__":
    main()
