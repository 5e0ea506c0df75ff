"""The API in a process of its own, so that its memory can be measured and every file that it opens be listed.

``python -m tests.api.process URL FOLDER LISTING SETTINGS``: serves the home in FOLDER until its input ends, and prints
one line of JSON with its port and keys. Into LISTING goes what Python's audit hooks report; a hook cannot be removed
again, hence the process.
"""

import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import uvicorn

from loop import api
from loop.api import protocol
from loop.home.sections import Serving
from tests.api.conftest import Server, keyed, opened

EVENTS = ("open", "os.", "shutil.", "glob.", "subprocess.", "socket.connect", "socket.getaddrinfo")
BOUNDLESS = Serving(key_per_minute=10**9, source_per_minute=10**9, source_per_day=10**6, sources_per_minute=10**9)


@dataclass(slots=True)
class Process(Server):
    """A server in another process."""

    pid: int
    listing: Path

    def megabytes(self) -> float:
        """Resident memory now, in MiB."""
        return self._status("VmRSS:")

    def reset_peak(self) -> None:
        """Measure the peak from now on."""
        Path(f"/proc/{self.pid}/clear_refs").write_text("5")

    def peak(self) -> float:
        """The most resident memory since ``reset_peak``."""
        return self._status("VmHWM:")

    def _status(self, name: str) -> float:
        status = Path(f"/proc/{self.pid}/status").read_text()
        return int(status.partition(name)[2].split()[0]) / 1024

    def opened(self) -> set[tuple[str, str]]:
        """The audit events since the process began to serve: (event, first argument)."""
        lines = self.listing.read_bytes().decode("utf-8", "surrogateescape").splitlines()
        return {(each[0], each[1]) for each in map(json.loads, lines)}


@contextmanager
def apart(url: str, folder: Path, serving: Serving = BOUNDLESS) -> Iterator[Process]:
    """A server in a process of its own, on a new home in ``folder``."""
    listing = folder / "listing"
    limits = json.dumps({name: getattr(serving, name) for name in Serving.__slots__})
    command = [sys.executable, "-m", "tests.api.process", url, str(folder), str(listing), limits]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        said = json.loads(child.stdout.readline())
        home = opened(url, folder, serve=serving)
        yield Process(f"http://127.0.0.1:{said['port']}", home, said["keys"], child.pid, listing)
        home.store.close()
        child.stdin.close()
        assert child.wait(30) == 0


def main(url: str, folder: str, listing: str, limits: str) -> None:
    """Serve until the input ends."""
    home = opened(url, Path(folder), serve=Serving(**json.loads(limits)))
    keys = keyed(home)
    listening = socket.create_server(("127.0.0.1", 0), backlog=2048)
    server = uvicorn.Server(uvicorn.Config(api.create(home), **protocol.options()))

    def end() -> None:
        sys.stdin.read()
        server.should_exit = True

    threading.Thread(target=end, daemon=True).start()
    _listen_in(listing)
    sys.stdout.write(json.dumps({"port": listening.getsockname()[1], "keys": keys}) + "\n")
    sys.stdout.flush()
    server.run(sockets=[listening])


def _listen_in(listing: str) -> None:
    to = os.open(listing, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def hear(event: str, args: tuple[Any, ...]) -> None:
        if event.startswith(EVENTS) or event == "sqlite3.connect":
            first = args[0] if args else ""
            said = os.fsdecode(first) if isinstance(first, str | bytes | os.PathLike) else repr(first)[:100]
            os.write(to, json.dumps([event, said]).encode() + b"\n")

    sys.addaudithook(hear)


if __name__ == "__main__":
    main(*sys.argv[1:])
