"""Test, then train: what today's champion says of each upload as it arrives, and how often versions are right.

Rules:
- An upload is scored by the version that was champion when it arrived, however late the scorer gets to it, by the
  published bytes through the Core ML runtime; where there was no champion, that is written down.
- The row says which version spoke. (A promotion whose transaction is still open is not seen yet: then the one before.)
- A version that cannot be read or run keeps its uploads waiting and is tried again after ``REST``; the others go on.
- Scoring yields to uploads: few at a time, and never more than ``BUSY`` of the time.
"""

import logging
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy.orm import Session

from loop.clock import Clock, utc_now
from loop.errors import ArtifactCorrupt, BadModel, LoopError
from loop.evaluation import intervals
from loop.home import Home
from loop.store.feedback import live_scores
from loop.store.feedback.live_scores import Said, Tally, Waiting

BATCH_UPLOADS = 128
"""Uploads that are scored between two looks at the clock: 15 to 40 ms."""
MAX_TIME_SHARE = 0.05
POLL_SECONDS = 5.0
"""How often to look without being told: other processes store uploads too."""
RETRY_DELAY = timedelta(minutes=1)

log = logging.getLogger(__name__)


@dataclass(slots=True)
class FailedVersions:
    """Versions whose file could not be loaded or run, and when to try them again."""

    _retry_at: dict[int, datetime] = field(default_factory=dict)

    def at(self, now: datetime) -> set[int]:
        """The versions that are not to be tried yet."""
        self._retry_at = {version: at for version, at in self._retry_at.items() if now < at}
        return set(self._retry_at)

    def add(self, version: int, now: datetime) -> None:
        """Do not try this version for a while."""
        self._retry_at[version] = now + RETRY_DELAY


def score_waiting(home: Home, now: datetime, limit: int = 512, failed: FailedVersions | None = None) -> int:
    """Score at most ``limit`` uploads that wait, oldest first; how many were. Raises ``StoreUnavailable``.

    What a version's file is wrong about is logged, once each ``RETRY_DELAY`` where ``failed`` is kept between calls.
    """
    failed = FailedVersions() if failed is None else failed
    with home.store.read() as tx:
        found = live_scores.waiting(tx, home.settings.schedule.family, limit, failed.at(now))
    scored = [Said(upload.correction_id, None, None, None) for upload in found if upload.version is None]
    for version, uploads in _by_version(found).items():
        try:
            scored += _ask(home, version, uploads)
        except (ArtifactCorrupt, BadModel) as error:
            failed.add(version, now)
            log.error("version %s cannot score what arrived while it was champion: %s", version, error)
    if scored:
        with home.store.write() as tx:
            live_scores.write(tx, scored, now)
    return len(scored)


class Scorer:
    """Scores in a thread of its own between ``start`` and ``close``; ``poke`` tells it that something was stored."""

    def __init__(self, home: Home, clock: Clock = utc_now) -> None:
        self._home, self._clock = home, clock
        self._failed = FailedVersions()
        self._wake, self._stop = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._work, name="scorer", daemon=True)

    def start(self) -> None:
        """Begin with whatever waits."""
        self._thread.start()

    def poke(self) -> None:
        """Something was stored; costs nothing."""
        self._wake.set()

    def close(self) -> None:
        """Stop after the batch at hand; what waits is scored after the next start."""
        self._stop.set()
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join()

    def _work(self) -> None:
        while not self._stop.is_set():
            self._wake.clear()
            begin = time.monotonic()
            scored = self._scored()
            self._stop.wait(max(0.05, (time.monotonic() - begin) * (1 / MAX_TIME_SHARE - 1)))
            if scored < BATCH_UPLOADS:
                self._wake.wait(POLL_SECONDS)

    def _scored(self) -> int:
        try:
            return score_waiting(self._home, self._clock(), BATCH_UPLOADS, self._failed)
        except LoopError as error:  # the database does not answer: nothing is lost, the rows wait
            log.warning("uploads are not being scored: %s", error)
            self._stop.wait(POLL_SECONDS)
            return 0


@dataclass(frozen=True, slots=True)
class Live:
    """How often a version is right where people draw: the share, its 95 % interval, and what they rest on.

    ``how``: ``told`` by phones that run it, or ``said`` by it of what arrived while it was champion, whatever the
    phones ran. ``n`` uploads of ``sources`` hands tell as much as ``effective_n`` of equal weight and unrelated.
    """

    version: int
    how: str
    n: int
    sources: int
    accuracy: float
    low: float
    high: float
    effective_n: float


def live(tx: Session) -> list[Live]:
    """Every version of which uploads tell something, newest first; ``told`` before ``said``."""
    return [_live(tally) for tally in live_scores.tallies(tx)]


def _live(tally: Tally) -> Live:
    """An upload weighs 1/rate, for that many drawings it stands: a phone sends every wrong answer and few right ones,
    so the plain share of right uploads says nothing.

    Wilson's interval at an effective size, the smaller of two: that of unequal weights (``intervals.effective_n``), and
    that of hands: one hand's digits resemble each other, so the variance between sources counts (linearised ratio).
    """
    weight = tally.right + tally.wrong
    accuracy = tally.right / weight
    sums, squares = (tally.right, tally.wrong), (tally.right_squares, tally.wrong_squares)
    size = intervals.effective_size(tally.n, tally.heaviest, sums, squares)
    between = max(0.0, tally.bb - 2 * accuracy * tally.ab + accuracy**2 * tally.aa)
    if tally.sources > 1 and between > 0:
        variance = between / weight**2 * tally.sources / (tally.sources - 1)
        size = min(size, accuracy * (1 - accuracy) / variance)
    low, high = intervals.wilson(accuracy, size)
    return Live(tally.version, tally.how, tally.n, tally.sources, accuracy, low, high, size)


def _by_version(found: Iterable[Waiting]) -> dict[int, list[Waiting]]:
    groups: dict[int, list[Waiting]] = {}
    for upload in found:
        if upload.version is not None:
            groups.setdefault(upload.version, []).append(upload)
    return groups


def _ask(home: Home, version: int, uploads: list[Waiting]) -> list[Said]:
    """What a version says of these uploads. Raises ``ArtifactCorrupt``, ``BadModel``."""
    pixels = np.frombuffer(b"".join(upload.pixels for upload in uploads), np.uint8).reshape(-1, 28, 28)
    rows = home.models.get(uploads[0].artifact_digest).probabilities(pixels)
    return [_said(upload.correction_id, version, row) for upload, row in zip(uploads, rows, strict=True)]


def _said(correction_id: int, version: int, row: NDArray[np.floating[Any]]) -> Said:
    if not np.isfinite(row).all():
        return Said(correction_id, version, None, None)
    return Said(correction_id, version, int(row.argmax()), float(row.max()))
