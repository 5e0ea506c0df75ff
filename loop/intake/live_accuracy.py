"""Test, then train: the champion's answer to each upload as it arrives.

Rules:
- An upload is scored by the version that was champion when it arrived, however late the scorer runs, with the published
  bytes in the Core ML runtime. If there was no champion, the row records that.
- The row names the version. (A promotion in a transaction that is still open is not visible: then the previous one.)
- If a version cannot be loaded or run, its uploads wait and are retried after ``RETRY_DELAY``; the others are scored.
- Scoring yields to uploads: small batches, and at most ``MAX_TIME_SHARE`` of the time.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from loop.clock import Clock, utc_now
from loop.errors import ArtifactCorrupt, BadModel, LoopError
from loop.home import Home
from loop.store.feedback import live_scores
from loop.store.feedback.live_scores import LiveScore, Waiting

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

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


def _by_version(found: Iterable[Waiting]) -> dict[int, list[Waiting]]:
    groups: dict[int, list[Waiting]] = {}
    for upload in found:
        if upload.version is not None:
            groups.setdefault(upload.version, []).append(upload)
    return groups


def _score(home: Home, version: int, uploads: list[Waiting]) -> list[LiveScore]:
    """A version's answers to these uploads. Raises ``ArtifactCorrupt``, ``BadModel``."""
    import numpy as np  # here, so that `loop versions` and `loop status` do not wait for it

    pixels = np.frombuffer(b"".join(upload.pixels for upload in uploads), np.uint8).reshape(-1, 28, 28)
    rows = home.models.get(uploads[0].artifact_digest).probabilities(pixels)
    finite = [bool(np.isfinite(row).all()) for row in rows]
    return [
        _answer(upload.correction_id, version, row if sound else None)
        for upload, row, sound in zip(uploads, rows, finite, strict=True)
    ]


def _answer(correction_id: int, version: int, row: NDArray[np.floating[Any]] | None) -> LiveScore:
    if row is None:
        return LiveScore(correction_id, version, None, None)
    return LiveScore(correction_id, version, int(row.argmax()), float(row.max()))
