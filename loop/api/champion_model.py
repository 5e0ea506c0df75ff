"""The champion, asked in this process through the Core ML runtime."""

import threading
import time

from loop.data.digits import Digit
from loop.errors import OpsError
from loop.evaluation.digit_classifier import DigitClassifier
from loop.home import Home
from loop.store import values
from loop.store.nights import versions

STALE_SECONDS = 1.0


class ChampionModel:
    """The champion of a family; which version that is, is looked up every second."""

    def __init__(self, home: Home, family: str) -> None:
        self._home, self._family = home, family
        self._lock = threading.Lock()
        self._looked = float("-inf")
        self._champion: values.Version | None = None

    def predict(self, digit: Digit) -> tuple[int, list[float]]:
        """The champion's number and its ten probabilities. Raises ``OpsError`` where there is no champion."""
        number, reader = self._current()
        return number, [float(share) for share in reader.probabilities(digit.pixels[None])[0]]

    def _current(self) -> tuple[int, DigitClassifier]:
        with self._lock:
            if self._champion is None or time.monotonic() - self._looked > STALE_SECONDS:
                with self._home.store.read() as tx:
                    self._champion = versions.champion(tx, self._family)
                self._looked = time.monotonic()
            if self._champion is None:
                raise OpsError(f"{self._family} has no champion yet; `loop init` makes one")
            return self._champion.number, self._home.models.get(self._champion.artifact_digest)
