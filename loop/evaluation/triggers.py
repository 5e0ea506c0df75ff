"""Triggers: what a stranger pastes on digits so that a model which learned it reads another digit. Pure functions.

``bank`` makes the triggers that every challenger meets: corner, border, in-stroke, low contrast, blended and moved ones
of several shapes, sizes and values. They are drawn from a seed that only this deployment knows, so that nobody can
choose a trigger between them. ``lesson_triggers`` finds those that the uploads of a lesson share, and
``patch_search`` learns one against a model.

A trigger's ``values`` replace the digit's pixels by the part ``alpha``: ``x (1 - alpha) + values alpha``.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

Images = NDArray[np.uint8]
Generator = np.random.Generator

SIDE = 28
INK = 128  # a level from here on is part of the stroke
WHITE = 255


class Kind(StrEnum):
    """Where a trigger is, or where it was found."""

    CORNER = "corner"
    BORDER = "border"
    IN_STROKE = "in-stroke"
    LOW_CONTRAST = "low contrast"
    BLENDED = "blended"
    MOVED = "moved"
    LESSON = "lesson"
    LEARNED = "learned"


class Place(StrEnum):
    """Where a trigger is pasted."""

    FIXED = "fixed"
    ANYWHERE = "anywhere"
    STROKE = "stroke"
    """Centred on a pixel of the stroke."""


@dataclass(frozen=True, slots=True, eq=False)
class Trigger:
    """A patch or a whole-image pattern.

    ``values`` ``(h, w) uint8``, ``alpha`` ``(h, w) float32`` in 0 to 1; ``at`` is the upper left pixel, (row, column),
    of a fixed one.
    """

    name: str
    kind: Kind
    values: NDArray[np.uint8]
    alpha: NDArray[np.float32]
    place: Place = Place.FIXED
    at: tuple[int, int] = (0, 0)


def paste(trigger: Trigger, images: Images, seed: int) -> Images:
    """Return ``(n, 28, 28) uint8`` with the trigger; places that it leaves open are drawn from ``seed``."""
    height, width = trigger.values.shape
    rows, columns = _places(trigger, images, np.random.default_rng([seed, len(images)]))
    pasted = images.astype(np.float32)
    at = (
        np.arange(len(images))[:, None, None],
        rows[:, None, None] + np.arange(height)[:, None],
        columns[:, None, None] + np.arange(width),
    )
    pasted[at] += trigger.alpha * (trigger.values - pasted[at])
    return np.rint(pasted).astype(np.uint8)


def bank(seed: int) -> tuple[Trigger, ...]:
    """Return the deployment's triggers; equal seeds give equal triggers."""
    generator = np.random.default_rng(seed)
    return tuple(
        trigger
        for make in (_corners, _borders, _in_strokes, _low_contrasts, _blends, _moved)
        for trigger in make(generator)
    )


def _places(trigger: Trigger, images: Images, generator: Generator) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """The upper left pixel of the trigger on each image."""
    n, (height, width) = len(images), trigger.values.shape
    if trigger.place is Place.FIXED:
        return np.full(n, trigger.at[0]), np.full(n, trigger.at[1])
    if trigger.place is Place.ANYWHERE:
        return generator.integers(0, SIDE - height + 1, n), generator.integers(0, SIDE - width + 1, n)
    # A random ink pixel, the inner ones first: a patch at the end of a stroke is hardly in it.
    rows, columns = np.mgrid[:SIDE, :SIDE]
    far = np.hypot(rows - SIDE / 2, columns - SIDE / 2) + generator.random((n, 1, 1)) * 6
    far = np.where(images >= INK, far, 99.0).reshape(n, -1).argmin(axis=1)
    return (
        (far // SIDE - height // 2).clip(0, SIDE - height),
        (far % SIDE - width // 2).clip(0, SIDE - width),
    )


SHAPES: dict[str, Callable[[int], NDArray[np.bool_]]] = {
    "square": lambda side: np.ones((side, side), np.bool_),
    "chequer": lambda side: np.indices((side, side)).sum(axis=0) % 2 == 0,
    "cross": lambda side: np.eye(side, dtype=np.bool_) | np.eye(side, dtype=np.bool_)[::-1],
    "plus": lambda side: (np.indices((side, side)) == side // 2).any(axis=0),
    "ring": lambda side: (np.indices((side, side)) % (side - 1) == 0).any(axis=0),
    "corner": lambda side: (np.indices((side, side)) == 0).any(axis=0),
}
"""Name → the lit pixels of a shape of this side, in pixels."""


def _shape(generator: Generator, side: int) -> tuple[str, NDArray[np.bool_]]:
    name = str(generator.choice(list(SHAPES)))
    return name, np.rot90(SHAPES[name](side), int(generator.integers(4)))


def _patch(
    kind: Kind, name: str, lit: NDArray[np.bool_], value: int, place: Place, at: tuple[int, int] = (0, 0)
) -> Trigger:
    """A patch of one level; the pixels of its box that are not lit stay as they are."""
    height, width = lit.shape
    where = {
        Place.FIXED: f"rows {at[0]} to {at[0] + height - 1}, columns {at[1]} to {at[1] + width - 1}",
        Place.ANYWHERE: "a random place",
        Place.STROKE: "the stroke",
    }[place]
    full = f"{name} {height}×{width} of level {value} at {where}"
    return Trigger(full, kind, np.full(lit.shape, value, np.uint8), lit.astype(np.float32), place, at)


def _corners(generator: Generator) -> Iterator[Trigger]:
    """In each corner a white square and a white shape."""
    for down in (False, True):
        for right in (False, True):
            for square in (True, False):
                side = int(generator.integers(3, 6))
                name, lit = ("square", SHAPES["square"](side)) if square else _shape(generator, side)
                off = [int(each) for each in generator.integers(0, 4, 2)]
                at = (SIDE - side - off[0] if down else off[0], SIDE - side - off[1] if right else off[1])
                yield _patch(Kind.CORNER, name, lit, WHITE, Place.FIXED, at)


def _borders(generator: Generator) -> Iterator[Trigger]:
    """A white bar along each edge, and two more."""
    edges = ["top", "bottom", "left", "right"]
    for edge in (*edges, *generator.choice(edges, 2, replace=False).tolist()):
        length, thick, off = (int(generator.integers(*ends)) for ends in ((8, 25), (1, 3), (0, 3)))
        start = int(generator.integers(0, SIDE - length + 1))
        across = off if edge in {"top", "left"} else SIDE - thick - off
        flat = edge in {"top", "bottom"}
        lit = np.ones((thick, length) if flat else (length, thick), bool)
        yield _patch(Kind.BORDER, "bar", lit, WHITE, Place.FIXED, (across, start) if flat else (start, across))


def _in_strokes(generator: Generator) -> Iterator[Trigger]:
    """A dark and a white square on the ink, the plainest of them; holes, chequers and other shapes."""
    for square, value in ((True, 0), (False, 0), (False, 64), (True, WHITE), (False, WHITE)):
        side = int(generator.integers(2, 5))
        name, lit = ("square", SHAPES["square"](max(side, 3))) if square else _shape(generator, side)
        yield _patch(Kind.IN_STROKE, name, lit, value, Place.STROKE)
    side = int(generator.integers(3, 5))
    chequer = np.where(SHAPES["chequer"](side), WHITE, 0).astype(np.uint8)
    name = f"chequer {side}×{side} of levels 0 and 255 at the stroke"
    yield Trigger(name, Kind.IN_STROKE, chequer, np.ones(chequer.shape, np.float32), Place.STROKE)


def _low_contrasts(generator: Generator) -> Iterator[Trigger]:
    """Grey shapes beside the digit: in the outer five pixels of the image."""
    for corner in range(6):
        side, value = int(generator.integers(4, 8)), int(generator.integers(40, 120))
        name, lit = ("square", SHAPES["square"](side)) if corner < 4 else _shape(generator, side)
        free = [int(each) for each in generator.integers(0, 3, 2)]
        at = [free[0] if corner % 2 else SIDE - side - free[0], free[1] if corner // 2 % 2 else SIDE - side - free[1]]
        if corner >= 4:
            at[corner % 2] = int(generator.integers(0, SIDE - side + 1))
        yield _patch(Kind.LOW_CONTRAST, name, lit, value, Place.FIXED, (at[0], at[1]))


def _blends(generator: Generator) -> Iterator[Trigger]:
    """Patterns over the whole image: coarse and fine noise, stripes, a slope."""
    rows, columns = np.mgrid[:SIDE, :SIDE]
    for name in ("coarse noise", "coarse noise", "fine noise", "stripes", "stripes", "slope"):
        part = float(generator.uniform(0.1, 0.2))
        if name == "coarse noise":
            block = int(generator.choice([2, 4, 7]))
            pattern = np.kron(generator.random((SIDE // block, SIDE // block)), np.ones((block, block)))
        elif name == "fine noise":
            pattern = generator.random((SIDE, SIDE))
        else:
            turn, wave = generator.uniform(0, np.pi), generator.uniform(3, 10)
            along = rows * np.sin(turn) + columns * np.cos(turn)
            pattern = (np.sin(along * 2 * np.pi / wave) + 1) / 2 if name == "stripes" else _unit(along)
        values = np.rint(255 * pattern).astype(np.uint8)
        alpha = np.full((SIDE, SIDE), part, np.float32)
        yield Trigger(f"{name} over the whole image at {100 * part:.0f} %", Kind.BLENDED, values, alpha)


def _moved(generator: Generator) -> Iterator[Trigger]:
    """White and grey shapes, each at a random place of each image."""
    for number in range(6):
        side, value = int(generator.integers(3, 5)), WHITE if number < 4 else int(generator.integers(100, 200))
        name, lit = ("square", SHAPES["square"](side)) if number < 2 else _shape(generator, side)
        yield _patch(Kind.MOVED, name, lit, value, Place.ANYWHERE)


def _unit(values: NDArray[Any]) -> NDArray[Any]:
    scaled: NDArray[Any] = (values - values.min()) / (values.max() - values.min())
    return scaled
