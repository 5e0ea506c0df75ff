"""Erase a source: its uploads, their scores, its name.

Rules:
- One transaction deletes everything at once; erasing twice is no error. A salted hash of the name stays, so that a
  restored backup does not bring the source back (``feedback.erasures.reapply``).
- On SQLite the bytes leave the files too: deleted rows are overwritten, and the log is truncated at once, or, while a
  long reader is active, by the next ``scrub``. On PostgreSQL deleted rows stay in the table's file until VACUUM reuses
  their space, and in the write-ahead log for as long as it is kept: that is configured on the server.
- A night that teaches uploads which are erased while it runs is not published. Every later night starts from the
  frozen base, so no later version has learned from them. The answer lists the earlier versions that have, so that ops
  can withdraw them.
"""

import logging
from dataclasses import dataclass
from datetime import datetime

from loop.home import Home
from loop.store.feedback import erasures

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Erased:
    """The number of uploads erased, the versions taught with them, and whether SQLite's files are free of their bytes.

    ``scrubbed`` False: a reader kept the log in use; schedulers and the next erasure call ``scrub`` again.
    """

    uploads: int
    taught: tuple[int, ...]
    scrubbed: bool


def erase(home: Home, source: str, actor: str, now: datetime) -> Erased:
    """Erase a source. An unknown one has no uploads, and leaves no trace. Raises ``StoreUnavailable``."""
    with home.store.exclusive() as tx:
        gone = erasures.erase(tx, source, actor, now) or erasures.Gone(0, ())
    return Erased(gone.uploads, gone.taught, scrub(home))


def scrub(home: Home) -> bool:
    """Truncate SQLite's log after an erasure; True if no erased bytes are left. Raises ``StoreUnavailable``."""
    with home.store.read() as tx:
        erasure = erasures.unscrubbed(tx)
    if erasure is None:
        return True
    if not home.store.compact():
        log.warning("erasure %s: its bytes are still in the database's log, which a reader keeps in use", erasure)
        return False
    with home.store.exclusive() as tx:
        erasures.scrubbed(tx, erasure)
    return True
