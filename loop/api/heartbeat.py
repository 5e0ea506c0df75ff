"""A sign of life in the store: others see that a server works on this home, and a restore refuses to begin."""

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
    """Beats in a thread of its own between ``start`` and ``close``."""

    def __init__(self, home: Home, clock: Clock) -> None:
        self._home, self._clock = home, clock
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="pulse", daemon=True)

    def start(self) -> None:
        """The first beat at once."""
        self._thread.start()

    def close(self) -> None:
        """No more beats."""
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while True:
            try:
                with self._home.store.write() as tx:
                    heartbeats.beat(tx, runs.me(), PROCESS_NAME, self._clock())
            except LoopError as error:  # the next one may get through; /readyz says what is wrong
                log.warning("no sign of life could be written: %s", error)
            if self._stop.wait(INTERVAL_SECONDS):
                return
