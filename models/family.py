"""What every model family offers the loop: two small protocols and the values that cross them.

The loop teaches (``Family.fine_tune``), then publishes (``Candidate.export``). It never asks a family for an
accuracy: reports come from the exported bytes, run by ``models.coreml``.

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
"""Called as ``progress(what, done, total)``; the caller draws the bar."""


def no_progress(what: str, done: int, total: int) -> None:
    """Draw nothing."""


@dataclass(frozen=True, slots=True, eq=False)
class Lesson:
    """What one night teaches.

    ``weights`` ``(n,) float64`` are the relative chances of a correction to be drawn; a family that does
    not draw uses them as sample weights.
    """

    replay_images: Images
    replay_labels: Labels
    images: Images
    labels: Labels
    weights: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Card:
    """What a published file says of itself; every text is shown by Xcode and ``loop inspect``."""

    description: str
    author: str
    licence: str
    version: str
    metadata: Mapping[str, str] = field(default_factory=dict)


class Candidate(Protocol):
    """A trained model in its family's own form."""

    def weights(self) -> Weights:
        """Named arrays, saved as ``.npz`` without pickle; ``Family.load`` takes them back exactly."""
        ...

    def probabilities(self, images: Images) -> NDArray[np.float32]:
        """The framework's own answer ``(n, 10)``: the reference that the exported file must agree with."""
        ...

    def rounded(self, precision: Precision) -> Candidate:
        """The nearest candidate that a file of ``precision`` holds exactly; rounding twice changes nothing.

        ``export`` writes that precision from then on. ``ValueError`` for one that the family's files do not know.
        """
        ...

    def export(self, card: Card) -> bytes:
        """The ``.mlmodel``; the same weights and card give the same bytes."""
        ...

    def package(self, card: Card) -> bytes | None:
        """The zipped ``.mlpackage`` (ML Program) of the same weights, as repeatable; None where there is no such form.

        It is made of what was judged but cannot be run here, so no judge has seen it run.
        """
        ...


class Family(Protocol):
    """One kind of model, from architecture to Core ML file."""

    @property
    def name(self) -> str:
        """What settings, versions and the command line call it."""
        ...

    @property
    def corpus(self) -> str:
        """Which base corpus it learns from and is first of all judged on: ``mnist`` or ``digits``."""
        ...

    @property
    def precisions(self) -> tuple[Precision, ...]:
        """What its files can hold; the first is what it learns in."""
        ...

    def shipped(self) -> Weights | None:
        """The base that comes with the code, trained on the whole of ``corpus``; None where there is none."""
        ...

    def recipe(self) -> Mapping[str, Any]:
        """Everything besides data and seed that decides the weights, as plain JSON values."""
        ...

    def train_base(self, images: Images, labels: Labels, seed: int, progress: Progress) -> Candidate:
        """Train the frozen base on the base corpus alone."""
        ...

    def load(self, weights: Weights) -> Candidate:
        """Rebuild a candidate from its arrays; ``ValueError`` names a missing, extra or misshapen one."""
        ...

    def fine_tune(self, base: Weights, lesson: Lesson, seed: int, progress: Progress) -> Candidate:
        """Teach ``lesson`` from the frozen base: a pure function of its arguments, bit for bit."""
        ...


def precision(family: Family, wanted: Precision) -> Precision:
    """What the family's files hold when ``wanted`` is asked for: that, or what it learns in where it knows no such."""
    return wanted if wanted in family.precisions else family.precisions[0]
