"""Convert the decisions of all pairs of classes to one class, or to probabilities.

Pairs are in the order (0,1), (0,2) … (k-2,k-1). Sources: libsvm's ``svm_predict_values``, ``sigmoid_predict`` and
``multiclass_probability`` (Wu, Lin and Weng, Probability Estimates for Multi-class Classification by Pairwise
Coupling, JMLR 5, 2004, second method), over many rows at once.
"""

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float64]
_LEAST = 1e-7


def votes(firsts: NDArray[np.bool_], classes: int) -> NDArray[np.int64]:
    """Return the pairs won by each class ``(n, k)``; ``firsts`` ``(n, P)`` marks the first class's wins."""
    result = np.zeros((firsts.shape[0], classes), dtype=np.int64)
    start = 0
    for first in range(classes - 1):
        won = firsts[:, start : start + classes - 1 - first]
        result[:, first] += won.sum(axis=1)
        result[:, first + 1 :] += ~won
        start += classes - 1 - first
    return result


def platt(decisions: Matrix, a: Matrix, b: Matrix) -> Matrix:
    """Return each pair's probability of its first class, ``1 / (1 + exp(a · decision + b))``, kept off 0 and 1."""
    slope = decisions * a + b
    shrunk = np.exp(-np.abs(slope))
    return np.clip(np.where(slope >= 0, shrunk, 1.0) / (1.0 + shrunk), _LEAST, 1 - _LEAST)


def couple(pairs: Matrix, classes: int) -> Matrix:
    """Return probabilities ``(n, k)`` that agree best with the pairs' ``(n, P)``; of two classes, the pair's own."""
    if classes == 2:
        return np.concatenate((pairs, 1 - pairs), axis=1)
    first, second = np.triu_indices(classes, 1)
    r = np.zeros((pairs.shape[0], classes, classes))
    r[:, first, second] = pairs
    r[:, second, first] = 1 - pairs
    q = -r.transpose(0, 2, 1) * r
    diagonal = np.arange(classes)
    q[:, diagonal, diagonal] = np.square(r).sum(axis=1)
    return _iterated(q, classes)


def _iterated(q: Matrix, classes: int) -> Matrix:
    """Return the fixed point of each row to libsvm's tolerance; a row that has converged is not changed further."""
    result = np.full(q.shape[:2], 1 / classes)
    pending = np.arange(q.shape[0])
    for _ in range(max(100, classes)):
        p, matrix = result[pending], q[pending]
        product = np.einsum("nij,nj->ni", matrix, p)
        whole = (p * product).sum(axis=1)
        moving = np.abs(product - whole[:, None]).max(axis=1, initial=0) >= 0.005 / classes
        pending, p, matrix, product, whole = (x[moving] for x in (pending, p, matrix, product, whole))
        if not pending.size:
            break
        for t in range(classes):
            corner = matrix[:, t, t]
            step = (whole - product[:, t]) / corner
            p[:, t] += step
            whole = (whole + step * (step * corner + 2 * product[:, t])) / np.square(1 + step)
            product = (product + step[:, None] * matrix[:, t]) / (1 + step)[:, None]
            p /= (1 + step)[:, None]
        result[pending] = p
    return result
