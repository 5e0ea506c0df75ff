"""Learn a trigger against a model: a small patch that draws digits to one label. Pure functions.

After Neural Cleanse (Wang et al. 2019), which looks for the smallest change that moves every digit to a label: a model
with a back door has one that is far smaller than others need. Here the patch is at most 6×6 pixels, and the search asks
the model only for probabilities, so that it works with every family, through the published file. First a white square
is tried at every place of a grid; from the best place and label a random search changes single pixels and moves the
patch while that raises the label's mean probability.

Every network has such a patch, so a result is only evidence beside what the same search reaches against the base.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from loop.evaluation.triggers import SIDE, WHITE, Images, Kind, Trigger, paste

Probabilities = Callable[[Images], NDArray[np.floating[Any]]]
"""Images → ``(n, 10)``."""

PATCH, BOX = 4, 6  # sides of the first square and of the box in which it may grow, in pixels
STRIDE = 4  # between two places of the grid
STEPS = 30
CHANGED = 3  # pixels that a step changes


@dataclass(frozen=True, slots=True, eq=False)
class Learned:
    """The patch, the label that it draws, and the mean probability of that label over digits of others."""

    trigger: Trigger
    label: int
    reached: float


def search(probabilities: Probabilities, images: Images, labels: NDArray[np.uint8], seed: int) -> Learned:
    """Return the best patch that the search finds; equal arguments give equal patches.

    ``images`` ``(n, 28, 28) uint8`` and ``labels`` ``(n,)`` are some tens of digits. It reads about seventy times n.
    """
    generator = np.random.default_rng([seed, 2])

    def score(trigger: Trigger) -> NDArray[np.float64]:
        read = np.asarray(probabilities(paste(trigger, images, seed)), np.float64)
        return np.array([read[labels != label, label].mean() for label in range(10)])

    usual = np.asarray(probabilities(images), np.float64)
    start = np.array([usual[labels != label, label].mean() for label in range(10)])
    grid = [_square((row, column)) for row in _places() for column in _places()]
    gains = np.stack([score(trigger) for trigger in grid]) - start
    place, label = np.unravel_index(int(gains.argmax()), gains.shape)
    best, reached = grid[int(place)], float(gains.max() + start[label])
    for _ in range(STEPS):
        changed = _changed(best, generator)
        if (now := float(score(changed)[label])) > reached:
            best, reached = changed, now
    name = f"a patch of at most {BOX}×{BOX} at rows from {best.at[0]}, columns from {best.at[1]}"
    return Learned(replace(best, name=name), int(label), reached)


def _places() -> range:
    return range(0, SIDE - BOX + 1, STRIDE)


def _square(at: tuple[int, int]) -> Trigger:
    alpha = np.zeros((BOX, BOX), np.float32)
    edge = (BOX - PATCH) // 2
    alpha[edge : edge + PATCH, edge : edge + PATCH] = 1
    return Trigger("a patch", Kind.LEARNED, np.full((BOX, BOX), WHITE, np.uint8), alpha, at=at)


def _changed(trigger: Trigger, generator: np.random.Generator) -> Trigger:
    """A neighbour: some pixels made white, black or left alone; a third of the time the patch moves by a pixel."""
    values, alpha, at = trigger.values.copy(), trigger.alpha.copy(), trigger.at
    rows, columns = generator.integers(0, BOX, (2, CHANGED))
    kind = generator.integers(0, 3, CHANGED)
    values[rows, columns], alpha[rows, columns] = np.where(kind == 0, WHITE, 0), kind != 2
    if generator.random() < 1 / 3:
        down, right = generator.integers(-1, 2, 2).tolist()
        at = (min(max(at[0] + down, 0), SIDE - BOX), min(max(at[1] + right, 0), SIDE - BOX))
    return replace(trigger, values=values, alpha=alpha, at=at)
