"""Files that coremltools' scikit-learn converter wrote, and what scikit-learn answered, stored once.

The converter accepts scikit-learn up to 1.5.1, which has no wheels for Python 3.13, so the pair runs in an environment
of its own: ``make`` states the commands. The archive is a compressed ``.npz``; each name is ``<case>/<array>``:

=================  ==============================  ==============================================================
``file``           ``(bytes,) uint8``              the converter's file
``inputs``         ``(n, features) float64``       the pipelines' numbers; elsewhere scikit-learn's digits, in order
``answers``        ``(n,)``                        scikit-learn's ``predict``
``classes``        ``(k,)``                        scikit-learn's ``classes_``, where digits were relabelled
``probabilities``  ``(450, k) float64``            scikit-learn's ``predict_proba`` of every fourth digit
``fitted/…``       as scikit-learn has them        the tutorial's machine: the attributes that ``vectors.taken`` reads
=================  ==============================  ==============================================================
"""

import io
import lzma
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

PATH = Path(__file__).with_name("converted.npz.xz")
MADE_WITH = ("scikit-learn 1.5.1", "coremltools 9.0")
TUTORIAL_TAUGHT, TAUGHT = 898, 400  # the first digits of the bundled 1,797
PROBABILITIES_EVERY = 4  # float64 of all of them would double the archive

KERNELS: dict[str, dict[str, Any]] = {
    "rbf": {"gamma": 0.001},
    "rbf, probabilities": {"gamma": 0.001, "probability": True, "random_state": 0},
    "linear": {"kernel": "linear"},
    "polynomial": {"kernel": "poly", "degree": 2, "coef0": 1.0},
    "sigmoid": {"kernel": "sigmoid", "gamma": 1e-4, "coef0": 0.1},
}
LABELS: dict[str, Callable[[NDArray[Any]], NDArray[Any]]] = {
    "integers": lambda labels: labels,
    "strings": lambda labels: labels.astype(str),
    "two classes": lambda labels: (labels > 4).astype(int),
}
FITTED = ("support_vectors_", "n_support_", "dual_coef_", "intercept_", "gamma")


@cache
def _archive() -> dict[str, NDArray[Any]]:
    with lzma.open(PATH) as file, np.load(io.BytesIO(file.read()), allow_pickle=False) as arrays:
        return dict(arrays)


def case(name: str) -> Mapping[str, NDArray[Any]]:
    """The arrays of one case, by the names above; ``KeyError`` where the archive has no such case."""
    found = {key.removeprefix(f"{name}/"): array for key, array in _archive().items() if key.startswith(f"{name}/")}
    if not found:
        raise KeyError(f"{PATH.name} has no case {name!r}; run tests.models.converted.make again")
    return found


def made_with() -> tuple[str, ...]:
    """The two packages and their versions, as the script that wrote the archive found them."""
    return tuple(_archive()["made_with"].tolist())
