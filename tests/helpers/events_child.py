"""A promotion in a process that kills itself: ``python -m tests.helpers.events_child URL FOLDER NUMBER POINT``.

``before:event``, ``after:event``: inside the transaction; ``after:commit``: just after it.
"""

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy.orm import Session

from loop import home as homes
from loop import registry
from loop.home.settings import Settings
from loop.store import Store
from loop.store.service import outbox
from loop.store.values import Attribution
from tests.conftest import NOW


def die() -> None:
    """End the process without handlers, ``finally`` or flush."""
    os.kill(os.getpid(), signal.SIGKILL)


def arm(point: str) -> None:
    """Make the process die at the point."""
    record, exclusive = outbox.record, Store.exclusive

    def deadly_record(*args: Any) -> outbox.Event:
        if point == "before:event":
            die()
        event = record(*args)
        if point == "after:event":
            die()
        return event

    @contextmanager
    def deadly_exclusive(self: Store) -> Iterator[Session]:
        with exclusive(self) as tx:
            yield tx
        if point == "after:commit":
            die()

    outbox.record, Store.exclusive = deadly_record, deadly_exclusive


def main(url: str, folder: str, number: str, point: str) -> None:
    """Promote."""
    home = homes.at(Settings(home=Path(folder), database_url=url))
    arm(point)
    registry.promote(home, int(number), Attribution("ops", "why not"), NOW)


if __name__ == "__main__":
    main(*sys.argv[1:])
