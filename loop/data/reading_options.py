"""The user's option for how digits are stored: ``--as transposed``, ``--as inverted+turned-90``, ``--as given``.

The option lists steps that are applied to each digit after it was read, in addition to what was found automatically.
``given`` applies none, and also skips ``convention_check``.
"""

import numpy as np

from loop.data import digits, orientations
from loop.data.digits import Digit
from loop.errors import BadSettings

GIVEN = "given"
STEPS = {"inverted": "inverted"} | {name.replace(" ", "-"): name for name in orientations.TRANSFORMS}
"""The preparation for each name in the option."""


def parse(option: str) -> tuple[str, ...]:
    """The preparations of an option, in order; none for ``given`` and for an empty option. Raises BadSettings."""
    if option in ("", GIVEN):
        return ()
    parts = option.split("+")
    unknown = next((part for part in parts if part not in STEPS), None)
    if unknown is not None:
        raise BadSettings(
            f"as: expected {GIVEN} or one or more of {', '.join(STEPS)} joined by +, got {unknown[:30]!r}"
        )
    return tuple(STEPS[part] for part in parts)


def apply(digit: Digit, steps: tuple[str, ...]) -> Digit:
    """Return ``digit`` after these preparations."""
    if not steps:
        return digit
    pixels = apply_to_images(digit.pixels[None], steps)[0]
    before = "" if digit.preparation == digits.KEPT else digit.preparation
    return digits.digit(pixels, digits.preparation(before, *steps))


def apply_to_images(images: orientations.Pixels, steps: tuple[str, ...]) -> orientations.Pixels:
    """Return ``(n, 28, 28) uint8`` after these preparations."""
    for step in steps:
        images = 255 - images if step == digits.INVERTED else orientations.transformed(images, step)
    return np.ascontiguousarray(images)
