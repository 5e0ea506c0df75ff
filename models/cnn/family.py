"""The family's interface to the loop: ``Cnn`` trains the base, trains one night, and rebuilds a network from arrays.

Rules: a night is a pure function of (base, lesson, seed); a base is defined as its float16 values, so what is
trained, shipped, tuned and measured is the same network; nothing is unpickled, nor given to Keras's loader.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.cnn import backend, export, network, package, recipe, rounding, train
from models.family import Card, Images, Labels, Lesson, Precision, Progress, Weights

BASE_FILE = Path(__file__).with_name("base.npz")

CHUNK = 500  # images per prediction step: 500 × 13,824 float32 of the widest layer are 28 MB


@dataclass(frozen=True, slots=True, eq=False)
class Network:
    """A trained network: its folded arrays (float16 for a base, float32 after a night), and its file's precision."""

    arrays: Weights
    precision: Precision = "float32"

    def weights(self) -> Weights:
        """Return the named arrays; ``Cnn.load`` restores them exactly."""
        return dict(self.arrays)

    def probabilities(self, images: Images) -> NDArray[np.float32]:
        """Return Keras's float32 answer ``(n, 10)`` to ``(n, 28, 28) uint8`` images."""
        if images.ndim != 3 or images.shape[1:] != (network.SIDE, network.SIDE) or images.dtype != np.uint8:
            raise ValueError(f"expected images (n, 28, 28) uint8, got {images.shape} {images.dtype}")
        tf = backend.tensorflow()
        model = network.build(normalised=False)
        network.fill(model, self.arrays)

        def answer(digits: Any) -> Any:
            return tf.nn.softmax(model(tf.cast(digits, tf.float32)[..., None] / 255.0, training=False))

        signature = [tf.TensorSpec((None, network.SIDE, network.SIDE), tf.uint8)]
        compiled = tf.function(answer, input_signature=signature, autograph=False)
        parts = [compiled(images[i : i + CHUNK]).numpy() for i in range(0, len(images), CHUNK)]
        return np.concatenate(parts) if parts else np.zeros((0, network.CLASSES), np.float32)

    def rounded(self, precision: Precision) -> "Network":
        """Return the nearest network that a file of ``precision`` stores exactly.

        One that diverged to NaN or infinity stays as it is: it is for the judge to refuse it.
        """
        if not all(np.isfinite(array).all() for array in self.arrays.values()):
            return self
        return Network(rounding.rounded(self.arrays, precision), precision)

    def export(self, card: Card) -> bytes:
        """Return the ``.mlmodel``; the same arrays and card give the same bytes."""
        return export.mlmodel(self.arrays, card, precision=self.precision)

    def package(self, card: Card) -> bytes:
        """Return the zipped ``.mlpackage``; it stores int8 as float32, because 8-bit weights need iOS 16."""
        return package.mlpackage(self.arrays, card, half=self.precision == "float16")


@dataclass(frozen=True, slots=True)
class Cnn:
    """The family; the two recipes are fields so that tests can shrink them."""

    name: str = "cnn"
    corpus: str = "mnist"
    base_recipe: recipe.Training = recipe.BASE
    night_recipe: recipe.Training = recipe.NIGHT

    @property
    def precisions(self) -> tuple[Precision, ...]:
        """Return the precisions of a file's weights."""
        return rounding.PRECISIONS

    def recipe(self) -> Mapping[str, Any]:
        """Return both recipes, the layers and the training arithmetic as plain JSON values."""
        return {
            "base": recipe.plain(self.base_recipe),
            "night": recipe.plain(self.night_recipe),
            "layers": network.plain(),
            "arithmetic": backend.policy(),
        }

    def shipped(self) -> Weights | None:
        """Return the base that is included in the code (``base.npz``); ``loop base`` reproduces it."""
        with np.load(BASE_FILE, allow_pickle=False) as stored:
            return network.checked(dict(stored))

    def load(self, weights: Weights) -> Network:
        """Rebuild a network; ``ValueError`` names a missing, extra, misshapen or non-finite array."""
        return Network(network.checked(weights))

    def train_base(self, images: Images, labels: Labels, seed: int, progress: Progress) -> Network:
        """Train the frozen base on the base corpus alone, fold it and round it to float16."""
        backend.tensorflow()
        given = train.material((images, labels), (images[:0], labels[:0]), np.zeros(0))
        model = network.build(normalised=True, policy=backend.policy())
        network.start(model, seed)
        arrays = train.run(model, given, self.base_recipe, seed, progress, "train base")
        return Network(network.rounded(network.fold(arrays)))

    def fine_tune(self, base: Weights, lesson: Lesson, seed: int, progress: Progress) -> Network:
        """Train on one night's lesson from the frozen base; equal arguments give equal bits."""
        arrays = network.checked(base)
        given = train.material(
            (lesson.replay_images, lesson.replay_labels), (lesson.images, lesson.labels), lesson.weights
        )
        backend.tensorflow()
        model = network.build(normalised=False, policy=backend.policy())
        network.fill(model, arrays)
        trained = train.run(model, given, self.night_recipe, seed, progress, "fine-tune")
        return Network(network.fold(trained))
