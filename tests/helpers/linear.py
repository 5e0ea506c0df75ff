"""A real model family that trains in milliseconds: softmax over a ridge regression on pixels.

With this family the night's tests run every step for real, on real digits and with a real ``.mlmodel``, in a second.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import models
from loop import home as homes
from loop.data.corpus import Corpus
from models.cnn import export, package, rounding, train
from models.cnn.network import Dense, checked
from models.family import Card, Images, Labels, Lesson, Precision, Progress, Weights

LAYERS = (Dense("digits", 10),)


@dataclass(frozen=True, slots=True, eq=False)
class Line:
    """A fitted regression."""

    arrays: Weights
    precision: Precision = "float32"

    def weights(self) -> Weights:
        return self.arrays

    def probabilities(self, images: Images) -> NDArray[np.float32]:
        if images.ndim != 3 or images.dtype != np.uint8:
            raise ValueError(f"expected (n, 28, 28) uint8, got {images.shape} {images.dtype}")
        pixels = images.reshape(len(images), 784).astype(np.float32) / np.float32(255)
        logits = pixels @ self.arrays["digits/kernel"] + self.arrays["digits/bias"]
        raised = np.exp(logits - logits.max(axis=1, keepdims=True))
        answer: NDArray[np.float32] = raised / raised.sum(axis=1, keepdims=True)
        return answer

    def export(self, card: Card) -> bytes:
        return export.mlmodel(self.arrays, card, LAYERS, self.precision)

    def rounded(self, precision: Precision) -> "Line":
        if not all(np.isfinite(array).all() for array in self.arrays.values()):
            return self  # diverged: the gate refuses it, as for the CNN
        return Line(rounding.rounded(self.arrays, precision), precision)

    def package(self, card: Card) -> bytes:
        """A zip like the real one, without coremltools, which takes seven seconds to import."""
        return package.zipped({"digits.mlpackage/Data/model": self.export(card)})


@dataclass(frozen=True, slots=True)
class Linear:
    """Ridge regression to one-hot labels, scaled; a correction counts as much as ten base images."""

    name: str = "cnn"
    corpus: str = "mnist"
    share: float = 10.0

    @property
    def precisions(self) -> tuple[Precision, ...]:
        return rounding.PRECISIONS

    def shipped(self) -> Weights | None:
        return None

    def recipe(self) -> Mapping[str, Any]:
        return {"ridge": 10.0, "share": self.share}

    def load(self, weights: Weights) -> Line:
        return Line(checked(weights, LAYERS))

    def train_base(self, images: Images, labels: Labels, seed: int, progress: Progress) -> Line:
        return self._fit(images, labels, np.ones(len(labels)), progress)

    def fine_tune(self, base: Weights, lesson: Lesson, seed: int, progress: Progress) -> Line:
        checked(base, LAYERS)
        train.material((lesson.replay_images, lesson.replay_labels), (lesson.images, lesson.labels), lesson.weights)
        images = np.concatenate([lesson.replay_images, lesson.images])
        labels = np.concatenate([lesson.replay_labels, lesson.labels])
        return self._fit(
            images, labels, np.r_[np.ones(len(lesson.replay_labels)), lesson.weights * self.share], progress
        )

    def _fit(self, images: Images, labels: Labels, weights: NDArray[np.float64], progress: Progress) -> Line:
        progress("fit", 0, 1)
        pixels = np.c_[images.reshape(len(images), -1) / 255.0, np.ones(len(images))]
        weighted = pixels * weights[:, None]
        gram = pixels.T @ weighted + 10.0 * np.eye(pixels.shape[1])
        solved = 8 * np.linalg.solve(gram, weighted.T @ np.eye(10)[labels])
        progress("fit", 1, 1)
        return Line({"digits/kernel": solved[:-1].astype(np.float32), "digits/bias": solved[-1].astype(np.float32)})


def install(path: Path) -> None:
    """Make this the CNN family of the process, with the corpus in a file, because a child process has no fixtures."""
    models.get = lambda name: Linear(name)
    with np.load(path) as stored:
        made = Corpus(**{name: stored[name] if stored[name].ndim else str(stored[name]) for name in stored.files})
    homes.corpus = lambda settings, wanted: made
