"""A publisher's files on a web server, and the phone that follows them."""

import http.server
import threading
from pathlib import Path
from typing import Any, Self

from loop.feed.client import state as states
from tests.clients.swift.phone import ANSWER, Program, base64_of
from tests.feed.client.test_server import Handler
from tests.feed.simulator import CHANNEL, Publisher


class Site:
    """A web server; ``handler.behave`` maps a path to a fault."""

    def __init__(self) -> None:
        self.handler = type("Bound", (Handler,), {"files": {}, "behave": {}, "asked": []})
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), self.handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/cdn"

    def __enter__(self) -> Self:
        """Serve."""
        return self

    def __exit__(self, *error: object) -> None:
        """Stop."""
        self.server.shutdown()
        self.server.server_close()

    def show(self, files: dict[str, bytes]) -> None:
        """Serve these files, without a fault."""
        self.handler.files, self.handler.asked = files, []
        self.handler.behave = {}


class Device:
    """A device's folder, and the publisher that it follows over a socket."""

    def __init__(self, program: Program, site: Site, helper: str, folder: Path, publisher: Publisher | None = None):
        self.program, self.site, self.helper, self.folder = program, site, helper, folder
        self.publisher = publisher or Publisher()
        site.show(self.publisher.shelf.files)

    def open(self, **more: Any) -> ANSWER:
        """Open the device in the phone, as at the start of an app."""
        return self.program.do(
            "phone",
            folder=str(self.folder),
            site=self.site.url,
            root=base64_of(self.publisher.app_root),
            channel=CHANNEL,
            helper=self.helper,
            **more,
        )

    def sync(self, now: float | None = None, **more: Any) -> ANSWER:
        """Start the app at the publisher's time, or at ``now`` (seconds since 1970), and sync once."""
        self.site.handler.files = self.publisher.shelf.files
        self.program.do("time", now=self.publisher.now.timestamp() if now is None else now)
        opened = self.open(**more)
        return opened if "refused" in opened else self.program.do("sync")

    def bytes(self) -> dict[str, bytes]:
        """The bytes of every file in the folder."""
        paths = sorted(path for path in self.folder.rglob("*") if path.is_file())
        return {path.relative_to(self.folder).as_posix(): path.read_bytes() for path in paths}

    def state(self) -> states.State:
        """The state, read by the Python client: both write the same file."""
        found = states.load(self.folder)
        assert found is not None
        return found

    def version(self) -> int | None:
        """The version that the device runs; its file must be complete."""
        current = self.state().current
        if current is None:
            return None
        assert states.is_intact(self.folder, current)
        return current.version
