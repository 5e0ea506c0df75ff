"""People with phones: each phone classifies digits with its installed model, and uploads corrections."""

import base64
import threading
import time
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

import httpx
import numpy as np

from loop import access
from loop.data import corpus, digits
from loop.errors import FeedRefused
from loop.evaluation import digit_classifier
from loop.evaluation.digit_classifier import DigitClassifier
from loop.feed import client as device
from loop.feed.client import state
from loop.feed.refusals import Unavailable
from tests.campaigns.fast_clock import FastClock

CHANNEL = "cnn.mlmodel"
CONFIRMED = 0.5  # probability with which a right answer is confirmed
SYNC_INTERVAL_SECONDS = 0.5  # interval between checks for a newer model
DIGITS_PER_DAY = 16  # drawn by one person
TIMEOUT_SECONDS = 60.0  # in which an upload must be acknowledged, despite any kill
DRAWN = corpus.digits()


@dataclass(eq=False)
class Person:
    """One phone and its owner, who draws every other digit further to the side than any in the base corpus."""

    folder: Path
    url: str
    key: str
    root: bytes
    clock: FastClock
    chance: np.random.Generator
    acknowledged: dict[str, str] = field(default_factory=dict)
    """Idempotency key → the digest in the server's answer."""
    resent: int = 0
    syncs: int = 0
    refused: list[str] = field(default_factory=list)
    """Uploads that the server refused, and feeds that the phone refused."""
    stop: threading.Event = field(default_factory=threading.Event)
    model: str | None = None

    def __post_init__(self) -> None:
        """Create a secret, and an order of digits in which none is drawn twice."""
        self.secret = base64.urlsafe_b64encode(self.chance.bytes(32)).decode().rstrip("=")
        self.source = access.source_name(self.secret)
        self._order = iter(self.chance.permutation(len(DRAWN.train_images)))
        self._reader: DigitClassifier | None = None
        self._version = 0
        self._left, self._day = 0, date.min
        self._thread = threading.Thread(target=self._live, name=self.source, daemon=True)

    def start(self) -> None:
        """Start drawing; ``end`` waits until every upload is acknowledged."""
        self._thread.start()

    def end(self) -> None:
        """Stop drawing."""
        self.stop.set()
        self._thread.join(TIMEOUT_SECONDS)
        assert not self._thread.is_alive(), f"{self.source} still waits for an answer"

    def erase(self) -> int:
        """Request the erasure of this phone's uploads; returns the answer's status."""
        headers = {"Authorization": f"Bearer {self.key}", "Loop-Source": self.secret}
        return httpx.delete(f"{self.url}/v1/sources/{self.source}", headers=headers).status_code

    def client(self) -> httpx.Client:
        """A new connection; the caller closes it."""
        return httpx.Client(base_url=f"{self.url}/v1/", timeout=10)

    def sync(self, client: httpx.Client) -> bool:
        """Sync; returns False if the server does not answer. A refusal by the phone is recorded."""
        try:
            found = device.sync(device.Server(client), self.folder, CHANNEL, self.clock.now(), root=self.root)
        except FeedRefused as error:
            if not isinstance(error, Unavailable):  # the server was killed in this moment
                self.refused.append(f"{type(error).__name__}: {error}")
            return False
        self.syncs += 1
        if found.current is not None and found.current.digest != self.model:
            self.model, self._version = found.current.digest, found.current.version
            data = state.model_file(self.folder, self.model).read_bytes()
            self._reader = digit_classifier.classifier(digit_classifier.load(data))
        return True

    def _live(self) -> None:
        with self.client() as client:
            while not self.stop.wait(SYNC_INTERVAL_SECONDS):
                self.sync(client)
                if (today := self.clock.now().date()) != self._day:
                    self._day, self._left = today, DIGITS_PER_DAY
                while self._left and self._reader is not None and not self.stop.is_set():
                    self._left -= 1
                    self._draw(client, self._reader)

    def _draw(self, client: httpx.Client, reader: DigitClassifier) -> None:
        row = next(self._order)
        aside = 6 if row % 2 else 0
        pixels, label = np.roll(DRAWN.train_images[row], aside, axis=1), int(DRAWN.train_labels[row])
        answer = reader.probabilities(pixels[None])[0]
        predicted = int(answer.argmax())
        if predicted == label and self.chance.random() > CONFIRMED:
            return
        correction = {
            "image": base64.b64encode(digits.to_png(pixels)).decode(),
            "label": label,
            "kind": "confirmation" if predicted == label else "correction",
            "predicted": predicted,
            "confidence": float(answer.max()),
            "version": self._version,
            "rate": CONFIRMED if predicted == label else 1.0,
        }
        self._send(client, f"{self.source}-{row}", correction)

    def _send(self, client: httpx.Client, key: str, correction: dict[str, object]) -> None:
        """Repeat a request until it is answered."""
        headers = {"Authorization": f"Bearer {self.key}", "Loop-Source": self.secret, "Idempotency-Key": key}
        end = time.monotonic() + TIMEOUT_SECONDS
        while time.monotonic() < end:
            try:
                answer = client.post("corrections", json=correction, headers=headers)
            except httpx.HTTPError:
                answer = None
            if answer is not None and answer.is_success:
                self.acknowledged[key] = answer.json()["digest"]
                return
            if answer is not None and 400 <= answer.status_code < 500:
                self.refused.append(answer.text)
                return
            self.resent += 1
            time.sleep(0.1)
        self.refused.append(f"{key}: no answer within {TIMEOUT_SECONDS:g} s")
