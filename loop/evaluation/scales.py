"""Choose the scale of an array input that the file does not state: the one with the best accuracy on labelled digits.

A model that was trained on 0 to 255 and gets 0 to 1 has a low accuracy without any error. If the digits are labelled,
as for ``loop score``, each scale is tried on a part of them, and the assumptions list the accuracy of each. Without
labels the usual scale is assumed (``input_adapter``).
"""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from loop.evaluation import digit_classifier
from loop.evaluation.digit_classifier import DigitClassifier
from loop.evaluation.input_adapter import Images, Scale
from models import coreml

TRIAL_IMAGES = 500
"""The scale is chosen on at most this many images, evenly spread; they show a difference of 5 points."""


def classifier(model: coreml.Model, images: Images, labels: NDArray[np.uint8]) -> DigitClassifier:
    """Adapt ``model`` to digits, at the scale with the best accuracy on ``images`` ``(n, 28, 28) uint8``.

    Of equal scales it takes the assumed one, else the first in the list. Raises BadModel.
    """
    usual = digit_classifier.classifier(model)
    if not usual.scales or not len(labels):
        return usual
    part = np.unique(np.linspace(0, len(labels) - 1, TRIAL_IMAGES).astype(np.int64))
    tried = {scale: digit_classifier.classifier(model, scale) for scale in usual.scales}
    right = {scale: _right(each, images[part], labels[part]) for scale, each in tried.items()}
    best = max(usual.scales, key=right.__getitem__)
    note = _note(best, right, len(part), len(labels))
    return replace(tried[best], assumptions=(*tried[best].assumptions, note))


def _right(classifier: DigitClassifier, images: Images, labels: NDArray[np.uint8]) -> int:
    return int((classifier.probabilities(images).argmax(axis=1) == labels).sum())


def _note(best: Scale, right: dict[Scale, int], tried: int, of: int) -> str:
    each = ", ".join(f"{_named(scale)} {100 * count / tried:.1f} %" for scale, count in right.items())
    return f"scale: {_named(best)} chosen, because it reads best; accuracy on {tried:,} of the {of:,} images: {each}"


def _named(scale: Scale) -> str:
    return f"{scale[0]:g} to {scale[1]:g}"
