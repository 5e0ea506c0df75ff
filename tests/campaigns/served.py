"""A server in a child process with a fixed port, which can be killed and started again."""

import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

from loop import access
from loop.access import Role
from loop.clock import utc_now
from loop.home import at
from loop.home.settings import Settings, load
from tests.campaigns.people import CONFIRMED
from tests.helpers import stores
from tests.helpers.paths import ROOT

RAISED = ("KEY_PER_MINUTE", "SOURCE_PER_MINUTE", "SOURCE_PER_DAY", "SOURCES_PER_MINUTE")


def free_port() -> int:
    """A free port."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@dataclass(slots=True)
class Served:
    """A home and its server: call ``start`` and ``stop`` repeatedly, then ``close``. Quotas are counted, but high.

    ``careless``: the database is opened with ``synchronous=NORMAL``.
    """

    folder: Path
    log: Path
    url: str | None = None
    careless: bool = False
    port: int = field(default_factory=free_port)
    server: int = 0
    _warm: subprocess.Popen[str] | None = None

    @property
    def address(self) -> tuple[str, int]:
        """The server's address."""
        return "127.0.0.1", self.port

    @property
    def settings(self) -> Settings:
        """The server's settings."""
        return load(self._environ())

    def prepare(self) -> str:
        """Create the store; returns the secret of an app's key."""
        home = at(self.settings, migrated=False)
        stores.migrate(home.store)
        secret, _ = access.create(home, f"app {secrets.token_hex(4)}", Role.APP, actor="tests", now=utc_now())
        home.store.close()
        return secret

    def start(self) -> None:
        """Start a server, and wait until it listens. Raises ``RuntimeError`` if it ends instead."""
        if self._warm is None:
            command = [sys.executable, "-m", "tests.campaigns.warm", str(self.port), *["careless"] * self.careless]
            pipe = subprocess.PIPE
            with self.log.open("a") as log:
                self._warm = subprocess.Popen(
                    command, cwd=ROOT, env=self._environ(), stdin=pipe, stdout=pipe, stderr=log, text=True
                )
        assert self._warm.stdin is not None
        self._warm.stdin.write("serve\n")
        self._warm.stdin.flush()
        self.server = int(self._line())
        while "listening on" not in (line := self._line()):
            if line == "ended":
                raise RuntimeError(f"the server ended: {self.log.read_text()[-2000:]}")

    def freeze(self) -> None:
        """Stop every thread of the server with SIGSTOP; on return none runs, though one may be in the kernel."""
        os.kill(self.server, signal.SIGSTOP)
        tasks = Path(f"/proc/{self.server}/task")
        while any(_state(task) not in "TtD" for task in tasks.iterdir()):
            time.sleep(0.0005)

    def stop(self, how: signal.Signals) -> None:
        """End the server with a signal, and wait for its end."""
        os.kill(self.server, how)
        while self._line() != "ended":
            pass

    def close(self) -> None:
        """End the process that starts servers."""
        assert self._warm is not None
        self._warm.communicate(timeout=60)

    def _line(self) -> str:
        assert self._warm is not None
        assert self._warm.stdout is not None
        line = self._warm.stdout.readline()
        if not line:
            raise RuntimeError(f"no server can be started: {self.log.read_text()[-2000:]}")
        return line.strip()

    def _environ(self) -> dict[str, str]:
        limits = {f"LOOP_SERVE__{name}": str(10**7) for name in RAISED} | {"LOOP_CONFIRM_RATE": str(CONFIRMED)}
        where = {"LOOP_HOME": str(self.folder)} | ({"LOOP_DATABASE_URL": self.url} if self.url else {})
        return {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ} | limits | where


def _state(task: Path) -> str:
    """A thread's state as in proc(5): T is stopped, D is in an uninterruptible wait in the kernel."""
    return (task / "stat").read_text().rpartition(")")[2].split()[0]
