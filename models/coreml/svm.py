"""Support-vector classifiers, as converted from scikit-learn's ``SVC``; decisions equal those of libsvm, as in Core ML.

Formulas: SVM.proto for the kernels, libsvm's ``svm_predict_values`` (one against one, each pair's decision a vote, the
first class with most votes wins) and ``svm_predict_probability`` (Platt's sigmoid for each pair, coupled by
``coupling``; the most probable class wins). All in float64.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import blas, coupling, labels
from .body import Arrays, Body, Wanted, arguments, classifier_outputs, features
from .budget import Budget
from .features import Feature

Matrix = NDArray[np.float64]
CHUNK = 1 << 19
"""Values of a chunk's kernel, decisions or coupling matrices, whichever are most: 4 MB."""


@dataclass(frozen=True, slots=True)
class Machine:
    """A checked machine for k classes, P = k(k-1)/2 pairs and S support vectors of d values."""

    kernel: Callable[[Matrix], Matrix]
    """From ``(n, d)`` to ``(n, S)``."""
    weights: Matrix
    """``(S, P)``: each pair's coefficients, zero outside its two classes."""
    rho: Matrix
    sigmoids: tuple[Matrix, Matrix] | None
    classes: int

    def decide(self, x: Matrix) -> tuple[NDArray[np.intp], Matrix | None]:
        """Return the index of the winning class ``(n,)`` and, if there are sigmoids, probabilities ``(n, k)``."""
        decisions = self.kernel(x) @ self.weights - self.rho
        if self.sigmoids is None:
            return coupling.votes(decisions > 0, self.classes).argmax(axis=1), None
        probabilities = coupling.couple(coupling.platt(decisions, *self.sigmoids), self.classes)
        return probabilities.argmax(axis=1), probabilities


def build(message: Any, budget: Budget) -> Body:
    """Return the body of a ``supportVectorClassifier``."""
    budget.layer()
    inputs = arguments(message.description, budget)
    outputs = features(message.description.output, "output", budget)
    svm = message.supportVectorClassifier
    names = labels.read(svm, budget)
    label, probabilities = classifier_outputs(message.description, names, budget)
    if len(inputs) != 1 or inputs[0].kind != "array" or len(inputs[0].shape) != 1:
        raise budget.unsupported("a support-vector machine with other inputs than one vector")
    machine = _machine(svm, inputs[0].shape[0], len(names), budget)
    if probabilities is not None and machine.sigmoids is None:
        raise budget.malformed("a support-vector machine promises probabilities but has no probA and probB")
    _only(outputs, {label, probabilities}, budget)
    widest = max(*machine.weights.shape, len(names) ** 2 if machine.sigmoids else 0)
    size = max(1, CHUNK // widest)

    def run(arrays: Arrays, _: Wanted) -> dict[str, NDArray[Any]]:
        x = arrays[inputs[0].name]
        winners = np.empty(x.shape[0], dtype=np.intp)
        chances = np.empty((x.shape[0], len(names) if machine.sigmoids else 0))

        def work(chunk: slice) -> None:
            with np.errstate(all="ignore"):  # threads do not inherit it
                winners[chunk], found = machine.decide(x[chunk].astype(np.float64))
            if found is not None:
                chances[chunk] = found

        blas.map_chunks(work, x.shape[0], size)
        result: dict[str, NDArray[Any]] = {label: labels.pick(winners, names)}
        return result if probabilities is None else {**result, probabilities: chances}

    kept = labels.width(names) + 2 + (2 * len(names) if machine.sigmoids else 0)  # chances are float64
    return Body(inputs, outputs, run, lambda _: kept, names, label, probabilities)


def _only(outputs: tuple[Feature, ...], known: set[str | None], budget: Budget) -> None:
    for output in outputs:
        if output.name not in known:
            raise budget.malformed(f"no part of a support-vector machine gives the output {output.name!r}")


def _machine(svm: Any, dimension: int, classes: int, budget: Budget) -> Machine:
    """Return the machine, refusing counts that do not fit each other."""
    counts = tuple(svm.numberOfSupportVectorsPerClass)
    pairs = classes * (classes - 1) // 2
    if classes < 2 or len(counts) != classes or min(counts) < 0:
        raise budget.malformed(f"{classes} classes, but support vectors counted for {len(counts)}")
    total = sum(counts)
    if len(svm.rho) != pairs or len(svm.coefficients) != classes - 1:
        found = f"{len(svm.rho)} and {len(svm.coefficients)}"
        raise budget.malformed(f"expected {pairs} rho and {classes - 1} lists of coefficients, got {found}")
    budget.spend_weights((total, dimension + pairs))
    coupling_steps = max(100, classes) * classes**2 if svm.probA else 0
    budget.spend(((total,), (pairs,), (classes, classes)), total * (dimension + pairs) + coupling_steps)
    vectors = _vectors(svm, total, dimension, budget)
    weights = _pair_weights(svm, counts, budget)
    return Machine(
        _kernel(svm.kernel, vectors, budget), weights, np.array(svm.rho), _sigmoids(svm, pairs, budget), classes
    )


def _vectors(svm: Any, total: int, dimension: int, budget: Budget) -> Matrix:
    """Return the support vectors ``(S, d)``; sparse ones count their indices from 1, as libsvm does."""
    kind = svm.WhichOneof("supportVectors")
    rows = getattr(svm, kind).vectors if kind else ()
    if len(rows) != total or total < 1:
        raise budget.malformed(f"expected {total} support vectors, got {len(rows)}")
    result = np.zeros((total, dimension))
    for row, values in zip(rows, result, strict=True):
        if kind == "denseSupportVectors":
            if len(row.values) != dimension:
                raise budget.malformed(f"expected support vectors of {dimension} values, got {len(row.values)}")
            values[:] = row.values
        else:
            for node in row.nodes:
                if not 1 <= node.index <= dimension:
                    raise budget.malformed(f"a support vector's index {node.index} is outside 1 to {dimension}")
                values[node.index - 1] = node.value
    return result


def _pair_weights(svm: Any, counts: tuple[int, ...], budget: Budget) -> Matrix:
    """Return ``(S, P)``: for the pair (i, j), list j-1 over the vectors of class i and list i over those of class j."""
    total, starts = sum(counts), np.concatenate(([0], np.cumsum(counts)))
    if any(len(each.alpha) != total for each in svm.coefficients):
        raise budget.malformed(f"expected {total} coefficients in each list, got another number")
    alpha = np.array([each.alpha for each in svm.coefficients], dtype=np.float64)
    result = np.zeros((total, len(counts) * (len(counts) - 1) // 2))
    one, other = np.triu_indices(len(counts), 1)
    for column in np.flatnonzero(np.add(*np.take(counts, (one, other)))):  # most of very many classes are empty
        i, j = one[column], other[column]
        first, second = slice(starts[i], starts[i + 1]), slice(starts[j], starts[j + 1])
        result[first, column] = alpha[j - 1, first]
        result[second, column] = alpha[i, second]
    return result


def _sigmoids(svm: Any, pairs: int, budget: Budget) -> tuple[Matrix, Matrix] | None:
    if not svm.probA and not svm.probB:
        return None
    if len(svm.probA) != pairs or len(svm.probB) != pairs:
        raise budget.malformed(f"expected {pairs} probA and probB, got {len(svm.probA)} and {len(svm.probB)}")
    return np.array(svm.probA), np.array(svm.probB)


def _kernel(message: Any, vectors: Matrix, budget: Budget) -> Callable[[Matrix], Matrix]:
    """Return the kernel between ``(n, d)`` inputs and the support vectors, ``(n, S)``."""
    kind = message.WhichOneof("kernel")
    if kind is None:
        raise budget.malformed("a support-vector machine without a kernel")
    params, turned = getattr(message, kind), np.ascontiguousarray(vectors.T)
    if kind == "linearKernel":
        return lambda x: x @ turned
    if kind == "polyKernel":
        return lambda x: np.power(params.gamma * (x @ turned) + params.c, params.degree)
    if kind == "sigmoidKernel":
        return lambda x: np.tanh(params.gamma * (x @ turned) + params.c)
    if kind != "rbfKernel":
        raise budget.unsupported(f"the kernel {kind}")
    squares = np.square(vectors).sum(axis=1)

    def rbf(x: Matrix) -> Matrix:
        distances = np.square(x).sum(axis=1, keepdims=True) + squares - 2 * (x @ turned)
        kernel: Matrix = np.exp(-params.gamma * np.maximum(distances, 0))
        return kernel

    return rbf
