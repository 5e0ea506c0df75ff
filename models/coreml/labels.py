"""Class labels, and the predicted label from probabilities."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .budget import Budget
from .errors import LimitExceeded

Labels = tuple[str, ...] | tuple[int, ...]


def read(message: Any, budget: Budget) -> Labels:
    """Return the labels of a classifier message: all strings or all integers, in the order of its probabilities."""
    kind = message.WhichOneof("ClassLabels")
    if kind is None:
        raise budget.malformed("a classifier without class labels")
    return checked(tuple(getattr(message, kind).vector), budget)


def checked(found: Labels, budget: Budget) -> Labels:
    """Return the labels; refuse an empty list or too many."""
    if len(found) > budget.limits.labels:
        raise LimitExceeded(f"{budget.file}: {len(found)} class labels, at most {budget.limits.labels} are allowed")
    if not found:
        raise budget.malformed("an empty list of class labels")
    if len(found) * width(found) > budget.limits.tensor:  # numpy allocates the length of the longest for each label
        raise LimitExceeded(f"{budget.file}: {len(found)} class labels, the longest of {width(found)} characters")
    return found


def width(names: Labels) -> int:
    """Return how many values of 4 bytes one label takes in an array of them."""
    return max(len(name) if isinstance(name, str) else 2 for name in names)


def pick(choices: NDArray[np.intp], names: Labels) -> NDArray[Any]:
    """Return the labels at ``choices`` ``(n,)``: an int64 array, or one of strings."""
    return np.array(names, dtype=np.int64 if isinstance(names[0], int) else np.str_)[choices]
