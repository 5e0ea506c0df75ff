"""The interface of every model family: two small protocols and the values that they exchange with the loop.

The loop trains (``Family.fine_tune``), then publishes (``Candidate.export``). It never uses a family's own accuracy:
reports are computed from the exported bytes, run by ``models.coreml``.

Arrays: images ``(n, 28, 28) uint8``, white ink (255) on black (0); labels ``(n,) uint8`` in 0 to 9;
probabilities ``(n, 10)``, column k is digit k, rows sum to 1.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Images = NDArray[np.uint8]
    Labels = NDArray[np.uint8]
    Weights = dict[str, NDArray[Any]]
else:  # NumPy takes a tenth of a second to import, and many commands need only ``Progress``
    Images = Labels = Weights = Any

Precision = Literal["float64", "float32", "float16", "int8"]
"""Of the weights in a published file."""
Progress = Callable[[str, int, int], None]
"""Called as ``progress(step, done, total)``; the caller draws the bar."""


def no_progress(what: str, done: int, total: int) -> None:
    """Show no progress."""


@dataclass(frozen=True, slots=True, eq=False)
class Lesson:
    """The training data of one night.

    ``weights`` ``(n,) float64`` are the relative probabilities of drawing a correction; a family that does
    not draw uses them as sample weights.
    """

    replay_images: Images
    replay_labels: Labels
    images: Images
    labels: Labels
    weights: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Card:
    """The metadata of a published file; Xcode and ``loop inspect`` show every text."""

    description: str
    author: str
    licence: str
    version: str
    metadata: Mapping[str, str] = field(default_factory=dict)


class Candidate(Protocol):
    """A trained model in the form of its family."""

    def weights(self) -> Weights:
        """Return named arrays, saved as ``.npz`` without pickle; ``Family.load`` restores them exactly."""
        ...

    def probabilities(self, images: Images) -> NDArray[np.float32]:
        """Return the framework's own answer ``(n, 10)``: the reference for the exported file."""
        ...

    def rounded(self, precision: Precision) -> Candidate:
        """Return the nearest candidate that a file of ``precision`` stores exactly; rounding twice changes nothing.

        Its ``export`` writes that precision. Raises ``ValueError`` for one that the family's files do not support.
        """
        ...

    def export(self, card: Card) -> bytes:
        """Return the ``.mlmodel``; equal weights and cards give equal bytes."""
        ...

    def package(self, card: Card) -> bytes | None:
        """Return the zipped ``.mlpackage`` (ML Program) of the same weights, also repeatable; None if unsupported.

        It is made from the judged weights, but the gate runs only the ``.mlmodel``.
        """
        ...


class Family(Protocol):
    """One kind of model, from architecture to Core ML file."""

    @property
    def name(self) -> str:
        """Return the name in settings, versions and the command line."""
        ...

    @property
    def corpus(self) -> str:
        """Return the base corpus for training and for the first part of the judgement: ``mnist`` or ``digits``."""
        ...

    @property
    def precisions(self) -> tuple[Precision, ...]:
        """Return the precisions of its files; the first is the training precision."""
        ...

    def shipped(self) -> Weights | None:
        """Return the base that is included in the code, trained on the whole ``corpus``; None if there is none."""
        ...

    def recipe(self) -> Mapping[str, Any]:
        """Return everything except data and seed that determines the weights, as plain JSON values."""
        ...

    def train_base(self, images: Images, labels: Labels, seed: int, progress: Progress) -> Candidate:
        """Train the frozen base on the base corpus alone."""
        ...

    def load(self, weights: Weights) -> Candidate:
        """Rebuild a candidate from its arrays. ``ValueError`` names a missing, extra or misshapen array."""
        ...

    def fine_tune(self, base: Weights, lesson: Lesson, seed: int, progress: Progress) -> Candidate:
        """Train on ``lesson`` from the frozen base: a pure function of its arguments, bit for bit."""
        ...


def precision(family: Family, wanted: Precision) -> Precision:
    """Return ``wanted`` if the family's files support it, else the family's training precision."""
    return wanted if wanted in family.precisions else family.precisions[0]
