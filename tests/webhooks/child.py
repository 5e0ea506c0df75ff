"""A process that empties the outbox. ``python -m tests.webhooks.child URL FOLDER POINT``

``all``: until nothing is left; ``sent``: killed after the first answer, before it is written down; ``taken``: killed
before the first message is sent.
"""

import os
import signal
import sys
from pathlib import Path
from typing import Any

from loop import home as homes
from loop import webhooks
from loop.home.settings import Settings
from loop.webhooks import sending


def die() -> None:
    """No handler, no ``finally``, no flush."""
    os.kill(os.getpid(), signal.SIGKILL)


def main(url: str, folder: str, point: str) -> None:
    """Deliver until nothing is due."""
    home = homes.at(Settings(home=Path(folder), database_url=url, webhooks_private=True))
    post = sending.post

    def deadly(*args: Any, **options: Any) -> sending.Answer:
        if point == "taken":
            die()
        answer = post(*args, **options)
        if point == "sent":
            die()
        return answer

    sending.post = deadly
    print("ready", flush=True)  # noqa: T201 (whoever started us waits for it)
    sys.stdin.readline()
    while webhooks.deliver_due(home):
        pass


if __name__ == "__main__":
    main(*sys.argv[1:])
