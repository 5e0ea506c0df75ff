"""Models with one scalar input for each pixel, as scikit-learn's converter makes them from feature names.

Their inputs are treated as one array. The order of the pixels is that of the numbers in the inputs' names, row before
column (``pixel_0_1``, ``pixel17``), or the file's order if the names have no numbers; the note states which.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from math import isqrt
from typing import Any

from numpy.typing import NDArray

from models import coreml

MIN_SIDE_PIXELS = 2


@dataclass(frozen=True, slots=True)
class Pixels:
    """The inputs of a model that takes a picture pixel by pixel."""

    names: tuple[str, ...]
    """One input for each pixel, row by row."""
    together: coreml.Feature
    """All of them as one array input."""
    note: str

    def split(self, rows: NDArray[Any]) -> dict[str, NDArray[Any]]:
        """Return the input of each pixel ``(n,)`` from ``rows`` ``(n, pixels)``."""
        return dict(zip(self.names, rows.T, strict=True))


def find(inputs: Sequence[coreml.Feature]) -> Pixels | None:
    """Return the inputs as pixels; None unless they are scalars, one for each pixel of a square picture."""
    count = len(inputs)
    scalar = all(each.kind in ("double", "int64") for each in inputs)
    if not scalar or count < MIN_SIDE_PIXELS**2 or isqrt(count) ** 2 != count:
        return None
    names, order = _ordered([each.name for each in inputs])
    dtype = "int64" if all(each.kind == "int64" for each in inputs) else "float64"
    text = inputs[0].description
    together = coreml.Feature(name=names[0], kind="array", description=text, shape=(count,), dtype=dtype)
    return Pixels(tuple(names), together, f"{count} numbers {names[0]!r} to {names[-1]!r}, in the order of {order}")


def _ordered(names: list[str]) -> tuple[list[str], str]:
    """Return the names in the order of the pixels, and the source of the order."""
    numbers = {name: tuple(int(digits) for digits in re.findall(r"[0-9]{1,6}", name)) for name in names}
    if len(set(numbers.values())) == len(names) and len({len(each) for each in numbers.values()}) == 1:
        return sorted(names, key=numbers.__getitem__), "the numbers in their names (assumed: row by row)"
    return names, "the file (assumed: row by row)"
