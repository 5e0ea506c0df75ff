"""How many connections an address may hold, and how many of them may wait for a request's head.

A connection costs memory and a file descriptor before any key was checked, so one address gets a bounded number. The
addresses of trusted proxies are exempt: all clients arrive through them, and a proxy has limits of its own.
"""

from collections import Counter

MAX_PER_ADDRESS = 256
MAX_WAITING_PER_ADDRESS = 64
MAX_WAITING = 2_000
"""Connections of all addresses without a complete head; each may hold 32 KiB of it."""


class Connections:
    """Counts the open and the waiting connections of each address. For one thread, the event loop's."""

    def __init__(self) -> None:
        self._open: Counter[str] = Counter()
        self._waiting: Counter[str] = Counter()

    def opened(self, address: str, *, trusted: bool) -> bool:
        """Count a new connection; False if its address holds too many."""
        self._open[address] += 1
        return trusted or self._open[address] <= MAX_PER_ADDRESS

    def closed(self, address: str) -> None:
        """A connection ended."""
        _decrement(self._open, address)

    def waits(self, address: str, *, trusted: bool) -> bool:
        """A connection begins to wait for a head; False if too many do."""
        self._waiting[address] += 1
        if self._waiting.total() > MAX_WAITING:
            return False
        return trusted or self._waiting[address] <= MAX_WAITING_PER_ADDRESS

    def waits_no_more(self, address: str) -> None:
        """The head is complete, or the connection ended."""
        _decrement(self._waiting, address)

    def counts(self, address: str) -> tuple[int, int]:
        """Open and waiting connections of an address."""
        return self._open[address], self._waiting[address]


def _decrement(counter: Counter[str], address: str) -> None:
    counter[address] -= 1
    if counter[address] <= 0:
        del counter[address]
