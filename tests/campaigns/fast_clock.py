"""A clock that several processes share and a test sets ahead: the time of day is real, the days in between are not."""

import mmap
import struct
from datetime import datetime, timedelta
from pathlib import Path

from loop.clock import utc_now

real_now = utc_now  # whatever stands in for it later
SECONDS = struct.Struct("d")


class FastClock:
    """So many seconds off the real time, as a file says that every process maps into its memory."""

    def __init__(self, path: Path) -> None:
        """The clock of this file; a new file's tells the real time."""
        self.path = path
        if not path.exists():
            path.write_bytes(SECONDS.pack(0.0))
        with path.open("r+b") as file:
            self._off = mmap.mmap(file.fileno(), SECONDS.size)

    def now(self) -> datetime:
        """What time it is."""
        return real_now() + timedelta(seconds=SECONDS.unpack_from(self._off)[0])

    def set(self, moment: datetime) -> None:
        """From now on it is this late; later than before, for the tests' sake."""
        assert moment >= self.now(), "this clock is only set ahead"
        SECONDS.pack_into(self._off, 0, (moment - real_now()).total_seconds())

    def begin(self, moment: datetime) -> None:
        """The time at which it all begins."""
        SECONDS.pack_into(self._off, 0, (moment - real_now()).total_seconds())
