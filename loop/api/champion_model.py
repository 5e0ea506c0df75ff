"""The champion, loaded through the Core ML runtime and asked in this process."""

import threading
import time

from loop import registry
from loop.data.digits import Digit
from loop.errors import OpsError
from loop.evaluation import digit_classifier
from loop.evaluation.digit_classifier import DigitClassifier
from loop.home import Home

STALE_SECONDS = 1.0


class ChampionModel:
    """The champion of a family, loaded; asked anew every second who that is."""

    def __init__(self, home: Home, family: str) -> None:
        self._home, self._family = home, family
        self._lock = threading.Lock()
        self._looked = float("-inf")
        self._held: tuple[int, DigitClassifier] | None = None

    def predict(self, digit: Digit) -> tuple[int, list[float]]:
        """The champion's number and its ten probabilities. Raises ``OpsError`` where there is no champion."""
        number, reader = self._champion()
        return number, [float(share) for share in reader.probabilities(digit.pixels[None])[0]]

    def _champion(self) -> tuple[int, DigitClassifier]:
        with self._lock:
            if self._held is None or time.monotonic() - self._looked > STALE_SECONDS:
                version = registry.champion(self._home, self._family)
                if version is None:
                    raise OpsError(f"{self._family} has no champion yet; `loop init` makes one")
                if self._held is None or self._held[0] != version.number:
                    data = self._home.artifacts.get(version.artifact_digest, ".mlmodel")
                    self._held = version.number, digit_classifier.classifier(digit_classifier.load(data))
                self._looked = time.monotonic()
            return self._held
