"""Loaded models of this process, by digest: one cache for every caller that reads digits with a published file."""

import threading
from collections import OrderedDict
from typing import TYPE_CHECKING

from loop.home.artifacts import Artifacts

if TYPE_CHECKING:
    from loop.evaluation.digit_classifier import DigitClassifier

CACHED_MODELS = 4
"""About a megabyte each; requests rarely need more versions at the same time."""


class ModelCache:
    """Loads a model on first use and keeps the most recently used ones. Threads may share it."""

    def __init__(self, artifacts: Artifacts) -> None:
        self._artifacts = artifacts
        self._lock = threading.Lock()
        self._loaded: OrderedDict[str, DigitClassifier] = OrderedDict()

    def get(self, artifact_digest: str) -> "DigitClassifier":
        """The classifier in a ``.mlmodel`` file. Raises ``ArtifactCorrupt``, ``BadModel``."""
        from loop.evaluation import digit_classifier  # here, so that a home can be opened without NumPy

        with self._lock:
            if artifact_digest not in self._loaded:
                data = self._artifacts.get(artifact_digest, ".mlmodel")
                self._loaded[artifact_digest] = digit_classifier.classifier(digit_classifier.load(data))
                if len(self._loaded) > CACHED_MODELS:
                    self._loaded.popitem(last=False)
            self._loaded.move_to_end(artifact_digest)
            return self._loaded[artifact_digest]
