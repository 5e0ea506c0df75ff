"""Round folded arrays to the nearest values that a smaller file stores exactly, between training and export.

Rules: rounding precedes judging, so that every report, parity check and golden vector uses the published values;
rounding twice changes nothing; multiplying step and scale in float32, fused or not, gives exactly these values.

8 bits: linear and symmetric, one scale per output channel, zero is exact. Scales keep 16 significant bits: with the 8
of a step (-127 to 127) their product fits float32's 24, so it is exact. Biases, 0.1 % of the values, stay float32.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.cnn import network
from models.family import Precision, Weights

PRECISIONS: tuple[Precision, ...] = ("float32", "float16", "int8")

STEPS = 127  # to either side of 0
SCALE_BITS = 16
MIN_LARGEST = 2.0**-100  # a channel with no larger value becomes 0: its scale would be a denormal number


def rounded(arrays: Weights, precision: Precision) -> Weights:
    """Return the nearest arrays in ``precision``. Raises ``ValueError`` if it is unknown or a value is too large."""
    if precision not in PRECISIONS:
        raise ValueError(f"expected one of the cnn's precisions {', '.join(PRECISIONS)}, got {precision}")
    if precision == "float32":
        return arrays
    with np.errstate(over="ignore"):  # infinity is refused below, with its name
        made = network.rounded(arrays) if precision == "float16" else {n: _eight(n, a) for n, a in arrays.items()}
    for name, array in made.items():
        if not np.isfinite(array).all():
            raise ValueError(f"{name} has values too large for {precision}")
    return made


def held(arrays: Weights, precision: Precision) -> bool:
    """Whether ``precision`` stores these arrays exactly."""
    nearest = rounded(arrays, precision)
    return all(np.array_equal(nearest[name], array, equal_nan=True) for name, array in arrays.items())


def steps(kernel: NDArray[Any], axis: int) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Return steps of -127 to 127 in the kernel's shape, and the scale of each output channel along ``axis``."""
    values = kernel.astype(np.float64)
    others = tuple(i for i in range(values.ndim) if i != axis % values.ndim)
    scales = _scales(np.abs(values).max(axis=others))
    along = np.expand_dims(scales, others)
    return np.rint(values / along).astype(np.int8), scales


def _scales(largest: NDArray[np.float64]) -> NDArray[np.float32]:
    mantissa, exponent = np.frexp(np.where(largest < MIN_LARGEST, STEPS, largest) / STEPS)
    scales: NDArray[np.float64] = np.ldexp(np.rint(np.ldexp(mantissa, SCALE_BITS)), exponent - SCALE_BITS)
    return scales.astype(np.float32)


def _eight(name: str, array: NDArray[Any]) -> NDArray[np.float32]:
    if not name.endswith("/kernel"):
        return array.astype(np.float32)
    taken, scales = steps(array, -1)
    product: NDArray[np.float32] = taken.astype(np.float32) * scales
    return product
