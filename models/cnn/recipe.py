"""The recipes of the network's two trainings, as literals. Only they, the data and the seed determine the weights.

They were chosen on the last 10,000 images of MNIST's training set and on four development writers, never on reported
data (see the model card). Plain Python: reading a recipe never loads TensorFlow.
"""

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Augmentation:
    """Bounds of the random distortions; every draw is uniform between minus and plus the bound. Never a flip."""

    rotation_degrees: float = 10.0  # the tutorial's
    zoom: float = 0.10  # each axis separately: writers differ in width and in size; the tutorial's bound
    shift: float = 0.10  # part of the image's side; the tutorial's
    slant: float = 0.25  # shear, as a tangent: 14 degrees, the spread of slant between writers
    bend: float = 0.0  # part of the side by which the knots of a 5×5 grid are displaced
    stroke_share: float = 0.3  # part of the images whose stroke width is redrawn
    stroke: float = 1.0  # 0 keeps the width; 1 spans hairline to marker


@dataclass(frozen=True, slots=True)
class Training:
    """One run of stochastic gradient descent."""

    steps: int  # batches
    passes: int  # over the base corpus at most: more do not help with a small one
    batch: int  # images, all replicas together
    corrections: int  # of them drawn from the corrections, at most
    visits: int  # maximum uses of a correction in one run (on average): few corrections get a smaller share
    learning_rate: float  # at its peak
    warmup: float  # part of the steps over which the learning rate rises
    momentum: float  # Nesterov's
    weight_decay: float  # L2, on kernels, per unit of learning rate
    label_smoothing: float  # probability spread over all ten digits
    average_every: int  # steps between two samples of the weights' running average
    average_decay: float  # of that running average, per sample
    reach: float  # part of the way from the start to the trained weights (Wortsman et al. 2022)
    augmentation: Augmentation
    correction_augmentation: Augmentation


BASE = Training(
    steps=24 * 468,  # 24 epochs of 60,000
    passes=60,  # the 776 bundled digits, used without MNIST, take 364 steps
    batch=128,
    corrections=0,
    visits=0,
    learning_rate=0.05,
    warmup=0.05,
    momentum=0.9,
    weight_decay=5e-4,
    label_smoothing=0.05,
    average_every=16,
    average_decay=0.98,  # about 800 steps, 1.7 epochs
    reach=1.0,
    augmentation=Augmentation(),
    correction_augmentation=Augmentation(),
)

NIGHT = Training(
    steps=400,  # two thirds of an epoch of replay: what fits into a quarter of the tutorial's time
    passes=60,
    batch=128,
    corrections=32,  # of 8 to 48 of 128: each one more helps unseen writers a little and costs MNIST a little
    visits=14,  # so 180 corrections are 5 % of the batch, 500 are 14 %, 900 or more 25 %
    learning_rate=0.02,  # 0.003 to 0.03 hardly differ; 0.1 diverges without normalisation
    warmup=0.05,
    momentum=0.9,
    weight_decay=0.0,  # too few steps to matter
    label_smoothing=0.05,
    average_every=4,
    average_decay=0.95,  # about 80 steps
    reach=0.7,  # MNIST's validation loses 0.04 points instead of 0.13, unseen writers 0.2
    augmentation=Augmentation(stroke_share=0.0),
    correction_augmentation=Augmentation(rotation_degrees=12.0, zoom=0.15, slant=0.35, stroke_share=0.0),
)


def plain(training: Training) -> dict[str, Any]:
    """Return a recipe as plain JSON values."""
    return asdict(training)
