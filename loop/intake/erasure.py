"""Erase a source: its uploads, their scores, its name.

Rules:
- One transaction deletes everything at once; erasing twice is no error. A tombstone, a salted hash of the name, stays:
  neither a restored backup (``feedback.erasures.reapply``) nor a late upload (``intake.deciding``) brings the source
  back. This holds for a source that never sent anything too: its first upload may still be on its way.
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
from loop.intake.upload import is_source_name
from loop.store.feedback import erasures

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Erased:
    """The number of uploads erased, the versions taught with them, and whether SQLite's files are free of their bytes.

    ``considered``: the versions that were made while the uploads counted, whether the source taught or judged.
    ``scrubbed`` False: a reader kept the log in use; schedulers and the next erasure call ``scrub`` again.
    """

    uploads: int
    taught: tuple[int, ...]
    considered: tuple[int, ...]
    scrubbed: bool


def erase(home: Home, source: str, actor: str, now: datetime) -> Erased:
    """Erase a source; an unknown one has no uploads. Raises ``StoreUnavailable``."""
    gone = erasures.Gone(0, ())
    if is_source_name(source):
        with home.store.exclusive() as tx:
            gone = erasures.erase(tx, source, actor, now)
    return Erased(gone.uploads, gone.taught, gone.considered, scrub(home))


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


def known(home: Home, source: str) -> bool:
    """Whether erasing this source adds no row, because the store contains it or its tombstone."""
    with home.store.write() as tx:  # it may have to create the salt
        return erasures.known(tx, source)
