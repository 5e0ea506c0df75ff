"""A clock that several processes share and a test sets ahead by whole days; the time of day is real."""

import mmap
import struct
from datetime import datetime, timedelta
from pathlib import Path

from loop.clock import utc_now

real_now = utc_now  # kept before a test replaces it
SECONDS = struct.Struct("d")


class FastClock:
    """The real time plus an offset, which every process reads from a memory-mapped file."""

    def __init__(self, path: Path) -> None:
        """The clock of this file; a new file has the offset 0."""
        self.path = path
        if not path.exists():
            path.write_bytes(SECONDS.pack(0.0))
        with path.open("r+b") as file:
            self._off = mmap.mmap(file.fileno(), SECONDS.size)

    def now(self) -> datetime:
        """The current time."""
        return real_now() + timedelta(seconds=SECONDS.unpack_from(self._off)[0])

    def set(self, moment: datetime) -> None:
        """Set the clock ahead to this moment."""
        assert moment >= self.now(), "this clock is only set ahead"
        SECONDS.pack_into(self._off, 0, (moment - real_now()).total_seconds())

    def begin(self, moment: datetime) -> None:
        """Set the initial time."""
        SECONDS.pack_into(self._off, 0, (moment - real_now()).total_seconds())
