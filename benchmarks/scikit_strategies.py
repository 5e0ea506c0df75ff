"""scikit-activeml's own query strategies on our frozen probabilities and embeddings, as ``scikit:TypiClust``.

Theirs that need no more than a classifier which is not trained again, and that answer in batch. The classifier is the
network's own last layer on the embeddings, so its probabilities are the network's, and a strategy that disturbs
embeddings (DropQuery) gets an answer for them too. A batch of one size is no prefix of a larger one where clusters are
counted, so each budget is a question of its own. Nothing is labelled at the start, as in our benchmark.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.family import Weights

PREFIX = "scikit:"
NAMES = tuple(
    PREFIX + name
    for name in (
        "Badge",
        "Clue",
        "ContrastiveAL",
        "CoreSet",
        "DropQuery",
        "Falcun",
        "MaxHerding",
        "ProbCover",
        "TypiClust",
        "Uncertainty",
    )
)
NEIGHBOURS = 5


def choose(
    name: str,
    probabilities: NDArray[np.float64],
    embeddings: NDArray[np.float32],
    weights: Weights,
    count: int,
    seed: int,
) -> NDArray[np.intp]:
    """The rows that their strategy asks for, the most wanted first; ``probabilities (n, 10)``, ``embeddings (n, d)``.

    Raises ``ValueError`` if the last layer of ``weights`` does not give these probabilities.
    """
    from skactiveml import pool

    points = embeddings.astype(np.float64)
    directions = points / np.maximum(np.linalg.norm(points, axis=1, keepdims=True), 1e-12)
    model = _classifier(*last_layer(weights))
    if np.abs(model.predict_proba(points) - probabilities).max() > 0.02:
        raise ValueError(f"{name}: the last layer does not give the network's probabilities")
    nothing, batch = np.full(len(points), np.nan), {"batch_size": count}
    kind = name.removeprefix(PREFIX)
    if kind == "Uncertainty":
        rows = pool.UncertaintySampling("margin_sampling", random_state=seed).query(
            points, nothing, model, fit_clf=False, **batch
        )
    elif kind == "Clue":
        rows = pool.Clue(random_state=seed).query(points, nothing, model, fit_estimator=False, **batch)
    elif kind == "ContrastiveAL":
        neighbours = {"n_neighbors": NEIGHBOURS}
        asked = pool.ContrastiveAL(nearest_neighbors_dict=neighbours, random_state=seed)
        rows = asked.query(points, nothing, model, fit_clf=False, **batch)
    elif kind in ("Badge", "DropQuery", "Falcun"):
        rows = getattr(pool, kind)(random_state=seed).query(points, nothing, model, fit_clf=False, **batch)
    elif kind == "ProbCover":  # its radii are those of directions
        rows = pool.ProbCover(n_classes=10, random_state=seed).query(directions, nothing, **batch)
    elif kind == "TypiClust":  # on directions, as its authors do
        rows = pool.TypiClust(random_state=seed).query(directions, nothing, **batch)
    elif kind in ("CoreSet", "MaxHerding"):
        rows = getattr(pool, kind)(random_state=seed).query(points, nothing, **batch)
    else:
        raise ValueError(f"strategy: expected one of {', '.join(NAMES)}, got {name}")
    return np.asarray(rows, np.intp)


def last_layer(weights: Weights) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Kernel ``(d, 10)`` and bias ``(10,)`` of the network's last layer, rows in the order of the embeddings.

    A Core ML file flattens channel by channel, Keras point by point.
    """
    kernel, channels = weights["digits/kernel"].astype(np.float64), weights["conv5/kernel"].shape[-1]
    by_channel = kernel.reshape(-1, channels, 10).swapaxes(0, 1).reshape(kernel.shape)
    return by_channel, weights["digits/bias"].astype(np.float64)


def _classifier(kernel: NDArray[np.float64], bias: NDArray[np.float64]) -> Any:
    from skactiveml.base import SkactivemlClassifier

    class LastLayer(SkactivemlClassifier):  # type: ignore[misc]
        """Softmax of the network's last layer; never trained."""

        def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Any:  # noqa: ARG002, N803  # scikit-learn's name
            """Stay as it is."""
            return self

        def predict_proba(self, X: Any) -> Any:  # noqa: N803  # scikit-learn's name
            """``(n, 10)`` for ``(n, d)``."""
            values = X @ kernel + bias
            powers = np.exp(values - values.max(axis=1, keepdims=True))
            return powers / powers.sum(axis=1, keepdims=True)

        def predict(self, X: Any) -> Any:  # noqa: N803  # scikit-learn's name
            """``(n,)``, the best digits."""
            return self.predict_proba(X).argmax(axis=1)

    made = LastLayer(classes=list(range(10)))
    made.classes_ = np.arange(10)
    return made
