"""Write a heartbeat to the store, so that `loop status` shows this server and `loop restore` refuses to start."""

import logging
import threading

from loop.clock import Clock
from loop.errors import LoopError
from loop.home import Home
from loop.store.nights import runs
from loop.store.service import heartbeats

PROCESS_NAME = "api"
INTERVAL_SECONDS = 30.0

log = logging.getLogger(__name__)


class Heartbeat:
    """Writes a heartbeat every ``INTERVAL_SECONDS`` in a thread of its own, between ``start`` and ``close``."""

    def __init__(self, home: Home, clock: Clock) -> None:
        self._home, self._clock = home, clock
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="heartbeat", daemon=True)

    def start(self) -> None:
        """Start the thread, which writes the first heartbeat immediately."""
        self._thread.start()

    def close(self) -> None:
        """Stop the thread."""
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while True:
            try:
                with self._home.store.write() as tx:
                    heartbeats.beat(tx, runs.me(), PROCESS_NAME, self._clock())
            except LoopError as error:  # the next one may succeed; /readyz reports the cause
                log.warning("cannot write a heartbeat: %s", error)
            if self._stop.wait(INTERVAL_SECONDS):
                return
