"""What happens to a night at a crash point."""

import errno
import os
import signal
from collections.abc import Callable
from pathlib import Path

from loop.errors import DeploymentError


def kill() -> None:
    """End the process without handlers, ``finally`` or flush."""
    os.kill(os.getpid(), signal.SIGKILL)


def stall() -> None:
    """Stop every thread, including the one that renews the lease, until SIGCONT."""
    os.kill(os.getpid(), signal.SIGSTOP)


def refuse() -> None:
    """Raise an error of the loop."""
    raise DeploymentError("injected refusal")


def fill() -> None:
    """Raise the error of a full disk."""
    raise OSError(errno.ENOSPC, "injected: no space left on device")


def surprise() -> None:
    """Raise an unexpected error."""
    raise ValueError("injected surprise")


ACTS: dict[str, Callable[[], None]] = {
    "killed": kill,
    "refused": refuse,
    "disk-full": fill,
    "surprised": surprise,
    "stalled": stall,
}
REASONS = {"refused": "injected refusal", "disk-full": "no space", "surprised": "injected surprise"}
"""The text in the run's reason after each raised error."""
RAISED = tuple(REASONS)


def once(act: str, reached: Path) -> Callable[[], None]:
    """The act, only the first time; creates the file ``reached``."""

    def acting() -> None:
        if not reached.exists():
            reached.touch()
            ACTS[act]()

    return acting
