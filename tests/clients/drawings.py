"""The drawings and pictures of ``vectors``: every case of the recipe, made from seeds.

``canvas`` renders strokes as the Swift client does: docs/vectors.md, "Strokes".
"""

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

Grey = NDArray[np.uint8]
Strokes = list[list[tuple[float, float]]]

SEED = 20260503
CANVAS, MARGIN = 256, 28
SIZES = ((28, 29), (29, 28), (30, 30), (31, 47), (40, 23), (64, 64), (97, 61), (100, 100), (120, 75), (133, 90))
DIGITS: tuple[Strokes, ...] = (  # in a square of side 1
    [[(0.5 + 0.3 * math.sin(a / 3), 0.5 - 0.45 * math.cos(a / 3)) for a in range(20)]],
    [[(0.4, 0.2), (0.55, 0.05), (0.55, 0.95)]],
    [[(0.2, 0.25), (0.5, 0.05), (0.8, 0.3), (0.2, 0.95), (0.85, 0.9)]],
    [[(0.2, 0.1), (0.75, 0.1), (0.45, 0.45), (0.8, 0.7), (0.5, 0.95), (0.2, 0.85)]],
    [[(0.6, 0.05), (0.15, 0.65), (0.85, 0.65)], [(0.65, 0.4), (0.6, 0.95)]],
    [[(0.25, 0.1), (0.2, 0.45), (0.6, 0.4), (0.8, 0.7), (0.5, 0.95), (0.2, 0.85)], [(0.27, 0.08), (0.8, 0.05)]],
    [[(0.7, 0.05), (0.3, 0.4), (0.25, 0.8), (0.5, 0.95), (0.75, 0.75), (0.5, 0.55), (0.28, 0.7)]],
    [[(0.15, 0.1), (0.85, 0.1), (0.4, 0.95)], [(0.35, 0.5), (0.75, 0.5)]],
    [
        [
            (0.5, 0.5),
            (0.25, 0.25),
            (0.5, 0.05),
            (0.75, 0.25),
            (0.5, 0.5),
            (0.2, 0.75),
            (0.5, 0.95),
            (0.8, 0.75),
            (0.5, 0.5),
        ]
    ],
    [[(0.75, 0.3), (0.5, 0.5), (0.25, 0.3), (0.5, 0.05), (0.75, 0.2), (0.65, 0.95)]],
)


def strokes() -> Iterator[tuple[Strokes, float]]:
    """Strokes in points of a screen, to two decimals, and the pen's width: each digit four times, a dot and a dash."""
    rng = np.random.default_rng(SEED)
    for _ in range(4):
        for digit in DIGITS:
            width, height = rng.uniform(60, 320, 2)
            moved = [[_place(rng, point, width, height) for point in line] for line in digit]
            yield moved, round(float(rng.uniform(4, 28)), 2)
    yield [[(10.0, 10.0)]], 12.0
    yield [[(0.0, 5.0), (40.0, 5.0)]], 3.0


def canvas(drawn: Strokes, pen: float) -> Grey:
    """White strokes on a black canvas of 256 pixels a side, placed in its middle."""
    xs, ys = ([point[axis] for line in drawn for point in line] for axis in (0, 1))
    left, right, top, bottom = min(xs), max(xs), min(ys), max(ys)
    scale = (CANVAS - 2 * MARGIN) / max(max(right - left, bottom - top), pen)
    radius = min(pen * scale / 2, MARGIN - 1.0)
    grey = np.zeros((CANVAS, CANVAS), np.uint8)
    for line in drawn:
        placed = [
            (CANVAS / 2 + (x - (left + right) / 2) * scale, CANVAS / 2 + (y - (top + bottom) / 2) * scale)
            for x, y in line
        ]
        for start, end in zip(placed, [*placed[1:], placed[-1]], strict=True):
            covered = np.clip(0.5 + radius - _distance(start, end), 0, 1)
            grey = np.maximum(grey, np.rint(covered * 255).astype(np.uint8))
    return grey


def pictures() -> Iterator[Grey]:
    """Pictures ``(h, w) uint8``: drawings, scans, noise, slopes of light, borders, dust, large ones."""
    rng = np.random.default_rng(SEED)
    for i in range(120):
        yield _drawn(rng, SIZES[i % len(SIZES)], int(rng.integers(10)))
    for i in range(40):
        paper = int(rng.integers(150, 256))
        yield _drawn(rng, SIZES[i % len(SIZES)], int(rng.integers(10)), paper, paper - int(rng.integers(30, 140)))
    for make in (_noisy, _uneven, _with_border, _dusty, _at_the_edge):
        for i in range(8):
            yield make(rng, SIZES[i % 6])
    for height, width in ((513, 300), (700, 1030), (1537, 800)):
        yield _drawn(rng, (height, width), int(rng.integers(10)))
    yield from _shapes()
    yield from _refused()


def _place(rng: np.random.Generator, point: tuple[float, float], width: float, height: float) -> tuple[float, float]:
    x, y = np.asarray(point) + rng.normal(0, 0.02, 2)
    return round(float(x * width), 2), round(float(y * height), 2)


def _distance(start: tuple[float, float], end: tuple[float, float]) -> NDArray[np.float64]:
    """From each pixel's centre to the segment; the order of operations is that of the Swift client."""
    (dx, dy), centres = (end[0] - start[0], end[1] - start[1]), np.arange(CANVAS) + 0.5
    px, py = (centres - start[0])[None], (centres - start[1])[:, None]
    length = dx * dx + dy * dy
    along = np.clip((px * dx + py * dy) / length, 0, 1) if length > 0 else np.zeros((CANVAS, CANVAS))
    ex, ey = px - along * dx, py - along * dy
    return np.sqrt(ex * ex + ey * ey)


def _drawn(rng: np.random.Generator, size: tuple[int, int], digit: int, paper: int = 0, ink: int = 255) -> Grey:
    """A digit, drawn four times as large and averaged, so that its edges are soft."""
    height, width = size
    big = Image.new("L", (4 * width, 4 * height), paper)
    pen = ImageDraw.Draw(big)
    across, down = rng.uniform(0.5, 0.9, 2)
    for line in DIGITS[digit]:
        points = [
            (4 * width * (0.05 + across * x), 4 * height * (0.05 + down * y) + float(rng.normal(0, height / 40)))
            for x, y in line
        ]
        pen.line(points, fill=ink, width=max(4, int(rng.uniform(0.06, 0.14) * 4 * min(size))), joint="curve")
    return np.asarray(big.resize((width, height), Image.Resampling.BOX))


def _noisy(rng: np.random.Generator, size: tuple[int, int]) -> Grey:
    clean = _drawn(rng, size, int(rng.integers(10)), 200, 40).astype(float)
    return np.clip(clean + rng.normal(0, 4, size), 0, 255).astype(np.uint8)


def _uneven(rng: np.random.Generator, size: tuple[int, int]) -> Grey:
    clean = _drawn(rng, size, int(rng.integers(10)), 170, 40).astype(float)
    slope = np.linspace(-50, 50, size[0])[:, None] + np.linspace(-25, 25, size[1])[None]
    return np.clip(clean + slope, 0, 255).astype(np.uint8)


def _with_border(rng: np.random.Generator, size: tuple[int, int]) -> Grey:
    drawn = _drawn(rng, size, int(rng.integers(10)), 230, 30).copy()
    drawn[:, :2] = 20
    return drawn


def _dusty(rng: np.random.Generator, size: tuple[int, int]) -> Grey:
    drawn = _drawn(rng, size, int(rng.integers(10))).copy()
    for y, x in zip(rng.integers(0, size[0], 4), rng.integers(0, size[1], 4), strict=True):
        drawn[y, x] = 200
    return drawn


def _at_the_edge(rng: np.random.Generator, size: tuple[int, int]) -> Grey:
    return np.roll(_drawn(rng, size, int(rng.integers(10))), -size[1] // 12, axis=1)


def _shapes() -> Iterator[Grey]:
    """Bars, rings and crosses, whose centre of mass lies exactly between two pixels."""
    for side in (28, 35, 60):
        plain = np.zeros((side, side), np.uint8)
        for rows, columns in (((4, -4), (12, 16)), ((side // 2 - 2, side // 2 + 2), (3, -3)), ((6, -6), (6, -6))):
            bar = plain.copy()
            bar[rows[0] : rows[1], columns[0] : columns[1]] = 255
            yield bar
        ring = plain.copy()
        ring[5:-5, 5:-5] = 255
        ring[9:-9, 9:-9] = 0
        yield ring
    for width, height in (
        (117, 312),
        (265, 424),
        (183, 488),
    ):  # a · (20 / longer) and a · 20 / longer round differently
        bar = np.zeros((height + 8, 2 * width), np.uint8)
        bar[4:-4, 10 : 10 + width] = 255
        yield bar


def _refused() -> Iterator[Grey]:
    """Pictures without a digit: blank ones, too little contrast, dust."""
    for level in (0, 200):
        yield np.full((40, 28), level, np.uint8)
    faint = np.full((60, 60), 100, np.uint8)
    faint[20:40, 25:30] = 103
    yield faint
    dust = np.full((100, 90), 250, np.uint8)
    dust[10:12, 10:12] = dust[50, 60:63] = dust[80:83, 30:33] = 20
    yield dust
