"""How the user says that digits are stored: ``--as transposed``, ``--as inverted+turned-90``, ``--as given``.

A way is what is done to each digit after it was read, besides what was found out from it. ``given`` does nothing, and
also stops ``doubts`` from looking whether another way would be better.
"""

import numpy as np

from loop.data import digits, turns
from loop.data.digits import Digit
from loop.errors import BadSettings

GIVEN = "given"
STEPS = {"inverted": "inverted"} | {name.replace(" ", "-"): name for name in turns.TURNS}


def steps(way: str) -> tuple[str, ...]:
    """The treatments of a way, in order; empty for ``given`` and for an empty way. Raises BadSettings."""
    if way in ("", GIVEN):
        return ()
    parts = way.split("+")
    unknown = next((part for part in parts if part not in STEPS), None)
    if unknown is not None:
        raise BadSettings(
            f"as: expected {GIVEN} or one or more of {', '.join(STEPS)} joined by +, got {unknown[:30]!r}"
        )
    return tuple(STEPS[part] for part in parts)


def applied(digit: Digit, chosen: tuple[str, ...]) -> Digit:
    """``digit`` after those treatments."""
    if not chosen:
        return digit
    pixels = shown(digit.pixels[None], chosen)[0]
    before = "" if digit.treatment == digits.KEPT else digit.treatment
    return digits.digit(pixels, digits.treatment(before, *chosen))


def shown(images: turns.Pixels, chosen: tuple[str, ...]) -> turns.Pixels:
    """``(n, 28, 28) uint8`` after those treatments."""
    for step in chosen:
        images = 255 - images if step == digits.INVERTED else turns.turned(images, step)
    return np.ascontiguousarray(images)
