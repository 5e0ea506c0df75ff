"""A digit in a terminal: half blocks, two rows of pixels a line, or a ramp of signs where there are no colours."""

import numpy as np
from numpy.typing import NDArray
from rich.color import Color
from rich.style import Style
from rich.text import Text

RAMP = " .:-=+*#%@"
HALF = "▀"  # the upper half in the foreground's colour, the lower in the background's


def drawn(pixels: NDArray[np.uint8], *, colours: bool) -> Text:
    """``(h, w) uint8``, white ink on black, as text of w columns and about h/2 lines."""
    return _in_colours(pixels) if colours else _in_signs(pixels)


def _in_colours(pixels: NDArray[np.uint8]) -> Text:
    even = np.vstack([pixels, np.zeros((len(pixels) % 2, pixels.shape[1]), np.uint8)])
    text = Text()
    for upper, lower in zip(even[::2].tolist(), even[1::2].tolist(), strict=True):
        for above, below in zip(upper, lower, strict=True):
            text.append(HALF, Style(color=_grey(above), bgcolor=_grey(below)))
        text.append("\n")
    return text


def _in_signs(pixels: NDArray[np.uint8]) -> Text:
    rows = pixels[: len(pixels) // 2 * 2].reshape(-1, 2, pixels.shape[1]).mean(axis=1)
    signs = (rows * (len(RAMP) - 1) / 255).round().astype(int).tolist()
    return Text("\n".join("".join(RAMP[sign] for sign in row) for row in signs) + "\n")


def _grey(level: int) -> Color:
    return Color.from_rgb(level, level, level)
