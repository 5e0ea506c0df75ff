"""The 1,797 real digits in scikit-learn: the only handwriting in every installation."""

from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray


@cache
def load_bundled() -> tuple[NDArray[np.uint8], NDArray[Any]]:
    """Return images ``(1797, 8, 8) uint8`` (0 paper to 16 ink) and labels ``(1797,) uint8``, read-only, in their stored
    order.

    They are the test part of UCI's "Optical Recognition of Handwritten Digits", written by 13 people; the bundled
    copy does not name the writers.
    """
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    arrays = images.reshape(-1, 8, 8).astype(np.uint8), labels.astype(np.uint8)
    for array in arrays:
        array.flags.writeable = False  # all callers share them
    return arrays
