"""Remove uneven light from a picture, for ``ink``: gradients, and shadows with hard or soft edges.

Rules: an evenly lit picture is not changed; a gradient is removed only if that at least halves the paper's spread; a
map of the paper is made only if ``ink`` found no digit, or found one that covers too much of the picture's border.
"""

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from PIL import Image

Plane = NDArray[np.float32]

UNEVEN_GREY_LEVELS = 4.0  # spread of the paper above which a gradient of the light is fitted
BOLD_SHARE = 0.25  # of the picture
MAX_MAP_CELLS = 48  # along the longer side of the map of the paper
WINDOW_SHARE = 0.45  # of the map's shorter side: a stroke fills less than half of such a window, at any position
MIN_PAPER_LEVEL = 64.0  # of paper, on which a shadow divides the light; a darker board only gets light added


def noise(rise: Plane) -> float:
    """Return the paper's standard deviation, from the lower quartile of distances; 0 if the ink is bold.

    0.3186 is that quartile of a standard normal's absolute value. The estimate is valid for up to half ink. If more
    than BOLD_SHARE of the picture exceeds half the largest distance, that is not noise (of 784 normal numbers at most
    21 % did, in 2,000 trials) but a digit that fills its picture: the quartile would measure its soft edges.
    """
    distance = np.abs(rise)
    if np.mean(distance > 0.5 * distance.max()) > BOLD_SHARE:
        return 0.0
    return float(np.partition(distance.ravel(), distance.size // 4)[distance.size // 4]) / 0.3186


def without_gradient(plane: Plane) -> Plane:
    """Return ``plane`` without the gradient of the light across the paper, if it has a clear one.

    The gradient is a least-squares plane, fitted again to the pixels within two deviations of it. It is removed only
    if that at least halves the paper's spread, so that a clean scan is not changed.
    """
    spread = noise(plane - np.median(plane))
    if spread < UNEVEN_GREY_LEVELS:
        return plane
    height, width = plane.shape
    down, across = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j].reshape(2, -1)
    terms = np.stack([down, across, np.ones(plane.size)], axis=1)
    levels, near = plane.ravel(), np.ones(plane.size, np.bool_)
    for _ in range(4):
        rest = levels - terms @ np.linalg.lstsq(terms[near], levels[near], rcond=None)[0]
        near = np.abs(rest) <= 2 * max(1.0, 1.4826 * float(np.median(np.abs(rest))))
    rest = rest.reshape(plane.shape).astype(np.float32)
    return rest if noise(rest - np.median(rest)) < 0.5 * spread else plane


def without_shadows(plane: Plane) -> Plane:
    """Return ``plane`` with uniformly white paper (or black, for light ink on a dark board), by a map of the paper.

    The map is a running median, which keeps straight edges of shadows and drops strokes. Between two neighbouring
    cells, every level between their papers counts as paper, so that a shadow's edge leaves no line.
    """
    cells = _cells(plane)
    papers = _running_median(cells)
    around = sliding_window_view(np.pad(papers, 1, mode="edge"), (3, 3))
    low, high = (_expanded(each, plane.shape) for each in (around.min((2, 3)), around.max((2, 3))))
    rise = plane - np.clip(plane, low, high)
    if np.median(papers) < MIN_PAPER_LEVEL:
        return rise
    paper = np.maximum(np.where(rise < 0, low, high), 1)
    return (rise * 255 / paper).astype(np.float32)


def _cells(plane: Plane) -> Plane:
    """Return the means of square cells, at most MAX_MAP_CELLS along each side."""
    factor = -(-max(plane.shape) // MAX_MAP_CELLS)
    return np.asarray(Image.fromarray(plane).reduce(factor)) if factor > 1 else plane


def _running_median(cells: Plane) -> Plane:
    """Return the median of a window around each cell, of size WINDOW_SHARE, or smaller at the edge on both sides.

    A window that is symmetric around its cell does not move a straight edge, even at the edge of the picture.
    """
    height, width = cells.shape
    reach = max(1, round(WINDOW_SHARE * min(height, width) / 2))
    medians = np.empty_like(cells)
    for row, column in np.ndindex(height, width):
        down, across = min(reach, row, height - 1 - row), min(reach, column, width - 1 - column)
        medians[row, column] = np.median(cells[row - down : row + down + 1, column - across : column + across + 1])
    return medians


def _expanded(cells: Plane, shape: tuple[int, ...]) -> Plane:
    """Return the level of its cell for each pixel of ``shape``."""
    height, width = shape
    factor = -(-max(shape) // MAX_MAP_CELLS)
    return cells.repeat(factor, 0).repeat(factor, 1)[:height, :width] if factor > 1 else cells
