"""Erase a source: its uploads, what was said of them, its name.

Rules:
- One transaction takes out everything at once; asking again is no error. What stays is a salted hash of the name, so
  that a restored backup does not bring the source back (``store.erasures.reapply``).
- On SQLite the bytes are gone from the files too: deleted rows are overwritten, and the log is emptied at once, or,
  where a long reader is in the way, by the next ``scrub``. On PostgreSQL deleted rows stay in the table's file until
  VACUUM gives their space to others, and in its write-ahead log as long as that is kept: the server's to configure.
- A night that is teaching something that is erased meanwhile is not published. Each later night starts from the frozen
  base, so no version after this has learned from what is gone; which earlier ones have is said, for ops to withdraw.
"""

import logging
from dataclasses import dataclass
from datetime import datetime

from loop.home import Home
from loop.store.feedback import erasures

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Erased:
    """How many uploads went, which versions had learned from them, and whether SQLite's files hold none of the bytes.

    ``scrubbed`` False: a reader was in the way; ``scrub`` is tried again by schedulers and by the next erasure.
    """

    uploads: int
    taught: tuple[int, ...]
    scrubbed: bool


def erase(home: Home, source: str, actor: str, now: datetime) -> Erased:
    """Erase a source; one that is not there has no uploads, and leaves no trace. Raises ``StoreUnavailable``."""
    with home.store.exclusive() as tx:
        gone = erasures.erase(tx, source, actor, now) or erasures.Gone(0, ())
    return Erased(gone.uploads, gone.taught, scrub(home))


def scrub(home: Home) -> bool:
    """Empty SQLite's log of what was erased; True where nothing is left of it. Raises ``StoreUnavailable``."""
    with home.store.read() as tx:
        erasure = erasures.unscrubbed(tx)
    if erasure is None:
        return True
    if not home.store.compact():
        log.warning("erasure %s: its bytes are still in the database's log, which somebody is reading", erasure)
        return False
    with home.store.exclusive() as tx:
        erasures.scrubbed(tx, erasure)
    return True
