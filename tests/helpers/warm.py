"""Nights forked from a process that has already imported what a night needs: hundreds of them in minutes.

They are real processes, each with an id, a log and an exit status; only the second that imports take is saved.
``install`` is for a child that runs ``loop schedule``.
"""

import multiprocessing
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import IO, Any

from loop.cli import nights  # noqa: F401 (imported before the fork: commands import their modules late)
from loop.schedule import background, night_process  # noqa: F401 (background's imports start a process by Popen)
from tests.helpers import linear, loop_child  # noqa: F401 (the same)


def night(arguments: list[str], log: str) -> None:
    """Run ``arguments`` in the forked process, with output into the log."""
    os.setpgid(0, 0)
    output = os.open(log, os.O_WRONLY | os.O_APPEND)
    os.dup2(output, 1)
    os.dup2(output, 2)
    loop_child.main(*arguments[arguments.index("tests.helpers.loop_child") + 1 :])


class Forked:
    """The part of ``subprocess.Popen`` that a night needs."""

    def __init__(self, command: list[str], *, stdout: IO[bytes], **_: Any) -> None:
        """Fork a warm process for the command."""
        log = str(Path(f"/proc/self/fd/{stdout.fileno()}").readlink())
        self._process = multiprocessing.get_context("forkserver").Process(target=night, args=(command, log))
        self._process.start()
        self.pid = self._process.pid

    @property
    def returncode(self) -> int | None:
        """None while the process runs; a negative number is a signal."""
        return self._process.exitcode

    def wait(self, timeout: float | None = None) -> None:
        """Wait for the end. Raises ``TimeoutExpired``."""
        self._process.join(timeout)
        if self._process.exitcode is None:
            raise subprocess.TimeoutExpired("night", timeout or 0)

    def terminate(self) -> None:
        """Send SIGTERM."""
        self._process.terminate()


def install() -> None:
    """Make this process fork its nights from now on."""
    multiprocessing.set_forkserver_preload(["tests.helpers.warm"])
    sys.modules["__main__"].__spec__ = None  # otherwise each forked process would run this one's main module
    night_process.subprocess = SimpleNamespace(**vars(subprocess) | {"Popen": Forked})  # that module's alone
