"""The family's interface to the loop: ``Svm`` fits the base, trains one night, and rebuilds a machine from arrays.

Rules: all training images, also scikit-learn's digits, are reduced by ``tiles``, because the phone sends tiles; a night
is a pure function of its lesson (libsvm draws no random numbers); nothing is unpickled.

A support-vector machine cannot be tuned further: each night fits the replayed base corpus and the corrections
together, which takes a second. The base's arrays are checked and not otherwise used.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.family import Card, Images, Labels, Lesson, Precision, Progress, Weights
from models.svm import export, vectors
from models.svm.tiles import FULL, INK, SIDE, tiles

CHUNK = 1_000  # images per prediction step: their tiles' shares are 28×28 float64 images, 6 MB


@dataclass(frozen=True, slots=True)
class Recipe:
    """Everything except the data that determines the machine."""

    gamma: float = 0.001  # the tutorial's
    penalty: float = 1.0  # scikit-learn's C, its default, as in the tutorial


@dataclass(frozen=True, slots=True, eq=False)
class Machine:
    """A fitted machine: the arrays that ``vectors`` describes."""

    arrays: Weights

    def weights(self) -> Weights:
        """Return the named arrays; ``Svm.load`` restores them exactly."""
        return dict(self.arrays)

    def probabilities(self, images: Images) -> NDArray[np.float32]:
        """Return scikit-learn's own answer ``(n, 10)``: 1 for the predicted digit, 0 for the others.

        The tutorial's machine and its file give only labels. libsvm can fit probabilities by cross-validation, but
        their maximum sometimes differs from the label.
        """
        machine = vectors.rebuilt(self.arrays)
        starts = range(0, len(images), CHUNK)
        parts = [np.asarray(machine.predict(tiles(images[i : i + CHUNK])), np.intp) for i in starts]
        named = np.concatenate([np.zeros(0, np.intp), *parts])
        rows: NDArray[np.float32] = np.eye(vectors.CLASSES, dtype=np.float32)[named]
        return rows

    def rounded(self, precision: Precision) -> "Machine":
        """Return itself for float64. Raises ``ValueError`` for others: Core ML stores these machines as doubles."""
        if precision != "float64":
            raise ValueError(f"a support-vector machine's file supports only float64, got {precision}")
        return self

    def export(self, card: Card) -> bytes:
        """Return the ``.mlmodel``; the same arrays and card give the same bytes."""
        return export.mlmodel(self.arrays, card)

    def package(self, card: Card) -> None:  # noqa: ARG002 - the protocol's
        """Return None: an ML Program cannot contain support vectors."""
        return


@dataclass(frozen=True, slots=True)
class Svm:
    """The family: ``SVC(gamma=0.001)`` on scikit-learn's digits plus the store's corrections."""

    name: str = "svm"
    corpus: str = "digits"
    parameters: Recipe = Recipe()

    @property
    def precisions(self) -> tuple[Precision, ...]:
        """Return the precisions of a file's numbers."""
        return ("float64",)

    def shipped(self) -> Weights | None:
        """Return None: fitting the base takes less time than reading it."""
        return None

    def recipe(self) -> Mapping[str, Any]:
        """Return kernel, parameters and preprocessing as plain JSON values."""
        return {"kernel": "rbf", **asdict(self.parameters), "tiles": {"side": SIDE, "full": FULL, "ink": INK}}

    def load(self, weights: Weights) -> Machine:
        """Rebuild a machine; ``ValueError`` names a missing, extra, misshapen or non-finite array."""
        return Machine(vectors.checked(weights))

    def train_base(self, images: Images, labels: Labels, seed: int, progress: Progress) -> Machine:  # noqa: ARG002
        """Fit the base corpus alone. ``seed`` belongs to the protocol and has no effect."""
        return self._fit(tiles(images), labels, np.ones(len(labels)), "train base", progress)

    def fine_tune(self, base: Weights, lesson: Lesson, seed: int, progress: Progress) -> Machine:  # noqa: ARG002
        """Fit the replayed base corpus and the corrections; an average correction weighs as much as a base image.

        Raises ``ValueError`` if the arrays are inconsistent, or the weights are not finite with a positive sum.
        """
        vectors.checked(base)
        inputs = np.concatenate([tiles(lesson.replay_images), tiles(lesson.images)])
        labels = np.concatenate([lesson.replay_labels, lesson.labels])
        weights = np.concatenate([np.ones(len(lesson.replay_labels)), _relative(lesson.weights)])
        return self._fit(inputs, labels, weights, "fine-tune", progress)

    def _fit(
        self, inputs: NDArray[np.float64], labels: Labels, weights: NDArray[np.float64], what: str, progress: Progress
    ) -> Machine:
        if not len(inputs) == len(labels) == len(weights):
            raise ValueError(
                f"expected one label and one weight for each image, "
                f"got {len(inputs)} images, {len(labels)} labels and {len(weights)} weights"
            )
        found = np.unique(labels[weights > 0]).tolist()
        if found != list(range(vectors.CLASSES)):
            raise ValueError(f"expected images of all ten digits, got only {found}")
        from sklearn.svm import SVC

        progress(what, 0, 1)
        machine = SVC(C=self.parameters.penalty, gamma=self.parameters.gamma)
        machine.fit(inputs, labels.astype(np.intp), sample_weight=weights)
        progress(what, 1, 1)
        return Machine(vectors.taken(machine))


def _relative(weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the weights, scaled to a mean of 1."""
    if not len(weights):
        return weights
    if not np.isfinite(weights).all() or (weights < 0).any() or not weights.sum() > 0:
        raise ValueError("weights: expected finite numbers of at least 0, not all 0")
    scaled: NDArray[np.float64] = weights / weights.mean()
    return scaled
