"""The arrays of a trained support-vector machine, checked before libsvm or Core ML uses them.

libsvm is C: it reads as many support vectors as the counts state. So counts, shapes, finiteness and types are
checked here, after reading a file and after training.

==================  ===================  =========================================================
``support_vectors``  ``(m, 64) float64``  tiles in 0 to 16, those of digit 0 first, then 1, …
``counts``           ``(10,) int32``      number of them for each digit; their sum is m
``coefficients``     ``(9, m) float64``   libsvm's dual coefficients, one row per opponent
``intercepts``       ``(45,) float64``    one per pair of digits: 0 against 1, 0 against 2, …, 8 against 9
``gamma``            ``() float64``       of the kernel exp(-gamma · |x - y|²)
==================  ===================  =========================================================
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.family import Weights
from models.svm.tiles import SIDE

CLASSES = 10
PAIRS = CLASSES * (CLASSES - 1) // 2

_TYPES: dict[str, Any] = {
    "support_vectors": np.float64,
    "counts": np.int32,
    "coefficients": np.float64,
    "intercepts": np.float64,
    "gamma": np.float64,
}


def checked(weights: Weights) -> Weights:
    """Return the arrays in their types and C order. ``ValueError`` names a missing, extra or malformed one."""
    if set(weights) != set(_TYPES):
        missing, extra = sorted(set(_TYPES) - set(weights)), sorted(set(weights) - set(_TYPES))
        raise ValueError(f"expected the arrays {', '.join(_TYPES)}; missing {missing}, extra {extra}")
    for name, kind in _TYPES.items():
        if weights[name].dtype != kind or not np.isfinite(weights[name]).all():
            raise ValueError(f"{name}: expected finite {np.dtype(kind)}, got {weights[name].dtype}")
    counts = weights["counts"]
    if counts.shape != (CLASSES,) or (counts < 1).any():
        raise ValueError(f"counts: expected ({CLASSES},) of at least 1, got {counts.shape}: {counts.ravel()[:12]}")
    total = int(counts.sum(dtype=np.int64))
    shapes = {
        "support_vectors": (total, SIDE * SIDE),
        "coefficients": (CLASSES - 1, total),
        "intercepts": (PAIRS,),
        "gamma": (),
    }
    for name, shape in shapes.items():
        if weights[name].shape != shape:
            raise ValueError(f"{name}: expected {shape}, got {weights[name].shape}")
    if not weights["gamma"] > 0:
        raise ValueError(f"gamma: expected more than 0, got {weights['gamma']}")
    return {name: np.ascontiguousarray(weights[name]).reshape(weights[name].shape) for name in _TYPES}


def taken(machine: Any) -> Weights:
    """Return the arrays of a fitted ``sklearn.svm.SVC`` with ten classes."""
    arrays: dict[str, NDArray[Any]] = {
        "support_vectors": machine.support_vectors_,
        "counts": machine.n_support_,
        "coefficients": machine.dual_coef_,
        "intercepts": machine.intercept_,
        "gamma": np.array(machine.gamma, np.float64),
    }
    return checked({name: np.array(array, dtype=_TYPES[name]) for name, array in arrays.items()})


def rebuilt(weights: Weights) -> Any:
    """Return a fitted ``sklearn.svm.SVC`` from its arrays: the attributes that scikit-learn 1.9's ``fit`` sets."""
    from sklearn.svm import SVC

    arrays = checked(weights)
    machine = SVC(gamma=float(arrays["gamma"]))
    machine.support_vectors_ = arrays["support_vectors"]
    machine.support_ = np.arange(len(arrays["support_vectors"]), dtype=np.int32)
    machine._n_support = arrays["counts"]
    machine.dual_coef_ = machine._dual_coef_ = arrays["coefficients"]
    machine.intercept_ = machine._intercept_ = arrays["intercepts"]
    machine._probA = machine._probB = np.empty(0)
    machine._effective_probability = False
    machine._gamma = float(arrays["gamma"])
    machine._sparse = False
    machine.classes_ = np.arange(CLASSES)
    machine.class_weight_ = np.ones(CLASSES)
    machine.fit_status_ = 0
    machine.n_features_in_ = SIDE * SIDE
    machine.shape_fit_ = (len(arrays["support_vectors"]), SIDE * SIDE)
    return machine
