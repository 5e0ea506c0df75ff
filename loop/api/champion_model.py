"""Predict with the champion, in this process, through the Core ML runtime."""

import threading
import time

from loop.data.digits import Digit
from loop.errors import NoChampion
from loop.evaluation.digit_classifier import DigitClassifier
from loop.home import Home
from loop.store import values
from loop.store.nights import versions

STALE_SECONDS = 1.0


class ChampionModel:
    """The champion of a family. Its version number is looked up again after ``STALE_SECONDS``."""

    def __init__(self, home: Home, family: str) -> None:
        self._home, self._family = home, family
        self._lock = threading.Lock()
        self._checked_at = float("-inf")
        self._champion: values.Version | None = None

    def predict(self, digit: Digit) -> tuple[int, list[float]]:
        """The champion's version number and its ten probabilities. Raises ``NoChampion`` if there is no champion."""
        number, classifier = self._current()
        return number, [float(each) for each in classifier.probabilities(digit.pixels[None])[0]]

    def _current(self) -> tuple[int, DigitClassifier]:
        with self._lock:
            if self._champion is None or time.monotonic() - self._checked_at > STALE_SECONDS:
                with self._home.store.read() as tx:
                    self._champion = versions.champion(tx, self._family)
                self._checked_at = time.monotonic()
            if self._champion is None:
                raise NoChampion(f"expected a champion of {self._family}, found none; run `loop init`")
            return self._champion.number, self._home.models.get(self._champion.artifact_digest)
