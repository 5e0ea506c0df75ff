"""The file with the golden vectors of a model, parsed as strictly as the phones' clients do; see docs/feed.md."""

import base64
import json
import math
import re
from dataclasses import dataclass
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from loop.evaluation.input_adapter import SIDE, Images

FORMAT = 1
DIGITS = 10
PIXELS = re.compile(r"[A-Za-z0-9+/]{1046}==")  # 784 bytes with padding


@dataclass(frozen=True, slots=True)
class Golden:
    """Golden vectors: n ``images`` ``(n, 28, 28) uint8``, ``probabilities`` ``(n, 10)`` and ``labels``, at least one.

    ``model`` is the SHA-256 of the model that they belong to.
    """

    model: str
    tolerance: float
    images: Images
    probabilities: NDArray[np.float64]
    labels: tuple[int, ...]


def parse(data: bytes) -> Golden:
    """The file's content; members that are not known are ignored. Raises ``ValueError``."""
    plain = json.loads(data.decode("utf-8"), parse_constant=_refuse)
    if not isinstance(plain, dict) or not _is(plain.get("format"), FORMAT):
        raise ValueError(f"expected an object of format {FORMAT}")
    model, tolerance, vectors = _members(plain, "model", "tolerance", "vectors")
    if not isinstance(model, str):
        raise ValueError("model: expected a digest")
    if not _is_number(tolerance) or tolerance < 0:
        raise ValueError("tolerance: expected a number from 0 on")
    if not isinstance(vectors, list) or not vectors:
        raise ValueError("vectors: expected at least one")
    found = [_vector(each) for each in vectors]
    images: Images = np.array([pixels for pixels, _, _ in found], np.uint8)
    rows = np.array([probabilities for _, probabilities, _ in found], np.float64)
    return Golden(model, float(tolerance), images, rows, tuple(label for _, _, label in found))


def _vector(plain: Any) -> tuple[NDArray[np.uint8], list[float], int]:
    if not isinstance(plain, dict):
        raise ValueError("vectors: expected objects")
    text, probabilities, label = _members(plain, "pixels", "probabilities", "label")
    if not isinstance(text, str) or not PIXELS.fullmatch(text):
        raise ValueError(f"pixels: expected {SIDE * SIDE} bytes in base64")
    pixels = np.frombuffer(base64.b64decode(text), np.uint8)
    if not isinstance(probabilities, list) or len(probabilities) != DIGITS or not all(map(_is_number, probabilities)):
        raise ValueError(f"probabilities: expected {DIGITS} numbers")
    if not any(_is(label, digit) for digit in range(DIGITS)):
        raise ValueError(f"label: expected a digit, got {label!r:.20}")
    return pixels.reshape(SIDE, SIDE), [float(each) for each in probabilities], int(label)


def _members(plain: dict[str, Any], *names: str) -> list[Any]:
    return [plain.get(name) for name in names]


def _is_number(value: object) -> bool:
    """JSON has one kind of number: 1 and 1.0 are the same, true is none. A number too large for a double is none."""
    try:
        return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    except OverflowError:
        return False


def _is(value: object, expected: int) -> bool:
    return _is_number(value) and value == expected


def _refuse(text: str) -> NoReturn:
    raise ValueError(f"expected a number, got {text}")
