"""What the page computes, computed again in Python: strokes to 28×28, PNG, the source's name."""

import base64
from typing import Any

import numpy as np
from numpy.typing import NDArray

from loop import access
from loop.data import digits, ink
from tests.api.pages.conftest import Visitor

MOVED = """
const { normalise, picture, png } = await import("/web/client/index.js");
const text = (bytes) => btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(""));
return given[0].map((strokes) => {
  const canvas = picture(strokes, 0.09), frame = normalise(canvas);
  return [text(canvas.grey), text(frame), text(png(frame, 28))];
});
"""
DRAWINGS = 60


def drawings(rng: np.random.Generator) -> list[list[list[list[float]]]]:
    """Wandering pens of one to three strokes through a common point: no dust, which only the server removes."""
    found = []
    for _ in range(DRAWINGS):
        middle = rng.uniform(0.3, 0.7, 2)
        spread = rng.uniform(0.02, 0.3)
        strokes = [
            np.clip(middle + np.vstack([[0, 0], rng.normal(0, spread, (rng.integers(1, 8), 2))]), 0, 1).tolist()
            for _ in range(rng.integers(1, 4))
        ]
        found.append(strokes)
    return found


def pixels(text: str, side: int) -> NDArray[np.uint8]:
    """Bytes in base64 as a square picture."""
    return np.frombuffer(base64.b64decode(text), np.uint8).reshape(side, side)


def test_a_drawing_comes_out_as_in_python(visitor: Visitor) -> None:
    """The page's 28×28 is that of ink.normalise, byte for byte; its PNG keeps each bit."""
    visitor.visit()
    found: list[Any] = visitor.ask(MOVED, drawings(np.random.default_rng(4)))
    assert len(found) == DRAWINGS, found
    for grey, frame, file in found:
        ours, theirs = ink.normalise(pixels(grey, 256)), pixels(frame, 28)
        assert np.array_equal(ours, theirs)
        read = digits.read(base64.b64decode(file))
        assert not read.normalised
        assert np.array_equal(read.pixels, theirs)


def test_a_pen_is_as_wide_as_it_says(visitor: Visitor) -> None:
    """A straight stroke across the middle has the pen's area, and a soft edge."""
    visitor.visit()
    [[grey, _, _]] = visitor.ask(MOVED, [[[[0.25, 0.5], [0.75, 0.5]]]])
    area = pixels(grey, 256).sum() / 255
    length, radius = 200, 200 * 0.045 / 0.5
    assert abs(area - (length * 2 * radius + np.pi * radius**2)) < 0.01 * area
    assert len(np.unique(pixels(grey, 256))) >= 5


def test_nothing_drawn_is_nothing(visitor: Visitor) -> None:
    """No ink: refused, as Python refuses it."""
    visitor.visit()
    blank = "return (await import('/web/client/index.js')).normalise({ width: 9, height: 9, grey: new Uint8Array(81) })"
    assert "BadImage" in visitor.ask(blank)


def test_a_source_has_the_same_name_here_and_there(visitor: Visitor) -> None:
    """The page erases under the name that the server makes of its secret."""
    visitor.visit()
    secret = "Az09_-" + "x" * 37
    named = "return (await import('/web/client/index.js')).sourceName(given[0])"
    assert visitor.ask(named, secret) == access.source_name(secret)
