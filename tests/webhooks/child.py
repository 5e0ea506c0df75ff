"""A process that empties the outbox: ``python -m tests.webhooks.child URL FOLDER POINT``.

``all``: it runs until nothing is left. ``sent``: it dies after the first answer, before that is recorded. ``taken``: it
dies before it sends the first message.
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
    """End the process without handlers, ``finally`` or flush."""
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
    print("ready", flush=True)  # noqa: T201 (the parent process waits for it)
    sys.stdin.readline()
    while webhooks.deliver_due(home):
        pass


if __name__ == "__main__":
    main(*sys.argv[1:])
