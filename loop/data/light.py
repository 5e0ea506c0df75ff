"""Light that is not the same all over the paper, for ``ink``: slopes, and shadows with hard or soft edges.

Rules: what is evenly lit is left exactly as it is; a slope is taken away only where that at least halves the paper's
spread; a map of the paper is made only where ``ink`` found no digit, or one that lies along the picture's border as no
digit does.
"""

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from PIL import Image

Plane = NDArray[np.float32]

UNEVEN_GREY_LEVELS = 4.0  # grey levels of spread in the paper above which a slope of the light is looked for
BOLD = 0.25  # share of the picture
MAP_SIDE = 48  # cells along the longer side of the map of the paper, at most
WINDOW = 0.45  # of the map's shorter side: a stroke fills less than half of so large a window, wherever it lies
DARKEST = 64.0  # level from which on paper dims what is on it; below, it is a dark board, and light is added to it


def noise(rise: Plane) -> float:
    """The paper's standard deviation, from the lower quartile of distances; 0 where the ink is bold.

    0.3186 is that quartile of a standard normal's absolute value. It is right for up to half ink. Where over
    BOLD of the picture is further off than half the farthest, that is no noise (of 784 normal numbers at most
    21 % were, in 2,000 trials) but a digit that fills its picture: the quartile would measure its soft edges.
    """
    distance = np.abs(rise)
    if np.mean(distance > 0.5 * distance.max()) > BOLD:
        return 0.0
    return float(np.partition(distance.ravel(), distance.size // 4)[distance.size // 4]) / 0.3186


def without_slope(plane: Plane) -> Plane:
    """``plane`` less a slope of the light across the paper, where there evidently is one.

    The slope is a least-squares plane, fitted again to what lies within two deviations of it; it is taken
    away only if that at least halves the paper's spread, so that a clean scan is left exactly as it is.
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
    """``plane`` as if its paper were white all over (or black, for light ink on a dark board), by a map of the paper.

    The map is a running median, which keeps straight edges of shadows and loses strokes. Between two neighbouring
    cells every level from the one's paper to the other's is paper, so that a shadow's edge leaves no line.
    """
    cells = _cells(plane)
    papers = _running_median(cells)
    around = sliding_window_view(np.pad(papers, 1, mode="edge"), (3, 3))
    low, high = (_spread_out(each, plane.shape) for each in (around.min((2, 3)), around.max((2, 3))))
    rise = plane - np.clip(plane, low, high)
    if np.median(papers) < DARKEST:
        return rise
    paper = np.maximum(np.where(rise < 0, low, high), 1)
    return (rise * 255 / paper).astype(np.float32)


def _cells(plane: Plane) -> Plane:
    """The means of square cells, at most MAP_SIDE along each side."""
    factor = -(-max(plane.shape) // MAP_SIDE)
    return np.asarray(Image.fromarray(plane).reduce(factor)) if factor > 1 else plane


def _running_median(cells: Plane) -> Plane:
    """The median of a window round each cell, as large as WINDOW or as the edge allows to either side.

    Such a window keeps a straight edge where it is, also where that meets the edge of the picture.
    """
    height, width = cells.shape
    reach = max(1, round(WINDOW * min(height, width) / 2))
    medians = np.empty_like(cells)
    for row, column in np.ndindex(height, width):
        down, across = min(reach, row, height - 1 - row), min(reach, column, width - 1 - column)
        medians[row, column] = np.median(cells[row - down : row + down + 1, column - across : column + across + 1])
    return medians


def _spread_out(cells: Plane, shape: tuple[int, ...]) -> Plane:
    """A level for each pixel from its cell's."""
    height, width = shape
    factor = -(-max(shape) // MAP_SIDE)
    return cells.repeat(factor, 0).repeat(factor, 1)[:height, :width] if factor > 1 else cells
