"""Write a heartbeat to the store, so that `loop status` shows this server and `loop restore` refuses to start."""

import logging
import threading
import time

from loop.clock import Clock
from loop.errors import LoopError, StoreUnavailable
from loop.home import Home
from loop.store.nights import runs
from loop.store.service import heartbeats

PROCESS_NAME = "api"
INTERVAL_SECONDS = 30.0
PROOF_SECONDS = 5.0
"""How long a heartbeat proves that the store accepts writes: ``/readyz`` needs no key, and must not cost an fsync."""
WAIT_SECONDS = 5.0
"""How long a request waits for a heartbeat that another thread writes: requests must not pile up behind a lock."""

log = logging.getLogger(__name__)


class Heartbeat:
    """Writes a heartbeat every ``INTERVAL_SECONDS`` in a thread of its own, between ``start`` and ``close``."""

    def __init__(self, home: Home, clock: Clock) -> None:
        self._home, self._clock = home, clock
        self._stop = threading.Event()
        self._writing = threading.Lock()
        self._written = float("-inf")  # by the monotonic clock
        self._thread = threading.Thread(target=self._run, name="heartbeat", daemon=True)

    def start(self) -> None:
        """Start the thread, which writes the first heartbeat immediately."""
        self._thread.start()

    def close(self) -> None:
        """Stop the thread."""
        self._stop.set()
        self._thread.join()

    def prove(self) -> None:
        """Write now, unless the last write is recent. Raises ``StoreUnavailable`` or ``DiskFull`` if that fails.

        A caller waits ``WAIT_SECONDS`` at most for another's write.
        """
        if not self._writing.acquire(timeout=WAIT_SECONDS):
            raise StoreUnavailable(
                f"a write to the store has taken more than {WAIT_SECONDS:g} s; look at its locks and disk"
            )
        try:
            if time.monotonic() - self._written > PROOF_SECONDS:
                self._write()
        finally:
            self._writing.release()

    def _write(self) -> None:
        with self._home.store.write() as tx:
            heartbeats.beat(tx, runs.me(), PROCESS_NAME, self._clock())
        self._written = time.monotonic()

    def _run(self) -> None:
        while True:
            try:
                with self._writing:
                    self._write()
            except LoopError as error:  # the next one may succeed; /readyz reports the cause
                log.warning("cannot write a heartbeat: %s", error)
            if self._stop.wait(INTERVAL_SECONDS):
                return
