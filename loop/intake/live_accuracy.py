"""Test, then train: the champion's answer to each upload as it arrives, and how often each version is right.

Rules:
- An upload is scored by the version that was champion when it arrived, however late the scorer runs, with the published
  bytes in the Core ML runtime. If there was no champion, the row records that.
- The row names the version. (A promotion in a transaction that is still open is not visible: then the previous one.)
- If a version cannot be loaded or run, its uploads wait and are retried after ``RETRY_DELAY``; the others are scored.
- Scoring yields to uploads: small batches, and at most ``MAX_TIME_SHARE`` of the time.
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
from loop.store.feedback.live_scores import LiveScore, LiveSums, Waiting

BATCH_UPLOADS = 128
"""Uploads scored at once: 15 to 40 ms."""
MAX_TIME_SHARE = 0.05
POLL_SECONDS = 5.0
"""How often to look without a ``poke``: other processes store uploads too."""
RETRY_DELAY = timedelta(minutes=1)

log = logging.getLogger(__name__)


@dataclass(slots=True)
class FailedVersions:
    """Versions with a file that could not be loaded or run, and when to try them again."""

    _retry_at: dict[int, datetime] = field(default_factory=dict)

    def at(self, now: datetime) -> set[int]:
        """The versions that must not be tried yet."""
        self._retry_at = {version: at for version, at in self._retry_at.items() if now < at}
        return set(self._retry_at)

    def add(self, version: int, now: datetime) -> None:
        """Do not try this version for a while."""
        self._retry_at[version] = now + RETRY_DELAY


def score_waiting(home: Home, now: datetime, limit: int = 512, failed: FailedVersions | None = None) -> int:
    """Score at most ``limit`` waiting uploads, oldest first; the number scored. Raises ``StoreUnavailable``.

    A version that fails is logged, once per ``RETRY_DELAY`` if ``failed`` is kept between calls.
    """
    failed = FailedVersions() if failed is None else failed
    with home.store.read() as tx:
        found = live_scores.waiting(tx, home.settings.schedule.family, limit, failed.at(now))
    scored = [LiveScore(upload.correction_id, None, None, None) for upload in found if upload.version is None]
    for version, uploads in _by_version(found).items():
        try:
            scored += _score(home, version, uploads)
        except (ArtifactCorrupt, BadModel) as error:
            failed.add(version, now)
            log.error("version %s cannot score the uploads that arrived while it was champion: %s", version, error)
    if scored:
        with home.store.write() as tx:
            live_scores.write(tx, scored, now)
    return len(scored)


class Scorer:
    """Scores in a thread of its own between ``start`` and ``close``; call ``poke`` after uploads were stored."""

    def __init__(self, home: Home, clock: Clock = utc_now) -> None:
        self._home, self._clock = home, clock
        self._failed = FailedVersions()
        self._wake, self._stop = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._work, name="scorer", daemon=True)

    def start(self) -> None:
        """Start scoring, beginning with the uploads that already wait."""
        self._thread.start()

    def poke(self) -> None:
        """Look for new uploads now; costs nothing."""
        self._wake.set()

    def close(self) -> None:
        """Stop after the current batch; the rest is scored after the next start."""
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
    """A version's accuracy in the users' hands, its 95 % interval, and the evidence behind them.

    ``how``: ``told`` (predicted by phones that run it) or ``said`` (its own answers to the uploads that arrived while
    it was champion, whatever the phones ran). ``n`` uploads of ``sources`` sources carry as much information as
    ``effective_n`` independent ones of equal weight.
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
    """Every version with evidence, newest first; ``told`` before ``said``."""
    return [_live(sums) for sums in live_scores.sums(tx)]


def _live(sums: LiveSums) -> Live:
    """An upload has weight 1/rate, the number of drawings that it represents: a phone sends every wrong answer and few
    right ones, so the plain share of right uploads means nothing.

    Wilson's interval at an effective size, the smaller of two: that of the unequal weights
    (``intervals.effective_size``), and that of the sources: one person's digits resemble each other, so the variance
    between sources counts (linearised ratio).
    """
    weight = sums.right + sums.wrong
    accuracy = sums.right / weight
    parts, squares = (sums.right, sums.wrong), (sums.right_squares, sums.wrong_squares)
    size = intervals.effective_size(sums.n, sums.heaviest, parts, squares)
    between = max(0.0, sums.bb - 2 * accuracy * sums.ab + accuracy**2 * sums.aa)
    if sums.sources > 1 and between > 0:
        variance = between / weight**2 * sums.sources / (sums.sources - 1)
        size = min(size, accuracy * (1 - accuracy) / variance)
    low, high = intervals.wilson(accuracy, size)
    return Live(sums.version, sums.how, sums.n, sums.sources, accuracy, low, high, size)


def _by_version(found: Iterable[Waiting]) -> dict[int, list[Waiting]]:
    groups: dict[int, list[Waiting]] = {}
    for upload in found:
        if upload.version is not None:
            groups.setdefault(upload.version, []).append(upload)
    return groups


def _score(home: Home, version: int, uploads: list[Waiting]) -> list[LiveScore]:
    """A version's answers to these uploads. Raises ``ArtifactCorrupt``, ``BadModel``."""
    pixels = np.frombuffer(b"".join(upload.pixels for upload in uploads), np.uint8).reshape(-1, 28, 28)
    rows = home.models.get(uploads[0].artifact_digest).probabilities(pixels)
    return [_answer(upload.correction_id, version, row) for upload, row in zip(uploads, rows, strict=True)]


def _answer(correction_id: int, version: int, row: NDArray[np.floating[Any]]) -> LiveScore:
    if not np.isfinite(row).all():
        return LiveScore(correction_id, version, None, None)
    return LiveScore(correction_id, version, int(row.argmax()), float(row.max()))
