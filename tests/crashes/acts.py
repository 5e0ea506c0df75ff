"""What happens to a night at a point."""

import errno
import os
import signal
from collections.abc import Callable
from pathlib import Path

from loop.errors import DeploymentError


def kill() -> None:
    """No handler, no ``finally``, no flush."""
    os.kill(os.getpid(), signal.SIGKILL)


def stall() -> None:
    """Every thread stands still, the one that renews the lease too, until somebody sends SIGCONT."""
    os.kill(os.getpid(), signal.SIGSTOP)


def refuse() -> None:
    """As what the loop raises on purpose."""
    raise DeploymentError("injected refusal")


def fill() -> None:
    """As a disk without space."""
    raise OSError(errno.ENOSPC, "injected: no space left on device")


def surprise() -> None:
    """As a bug."""
    raise ValueError("injected surprise")


ACTS: dict[str, Callable[[], None]] = {
    "killed": kill,
    "refused": refuse,
    "disk-full": fill,
    "surprised": surprise,
    "stalled": stall,
}
SAID = {"refused": "injected refusal", "disk-full": "no space", "surprised": "injected surprise"}
"""What stands in the run's reason, of those that are raised."""
RAISED = tuple(SAID)


def once(act: str, reached: Path) -> Callable[[], None]:
    """The act, the first time only; leaves a file behind that says that it came to that."""

    def acting() -> None:
        if not reached.exists():
            reached.touch()
            ACTS[act]()

    return acting
