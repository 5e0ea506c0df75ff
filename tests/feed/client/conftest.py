"""A device that has followed an honest publisher up to version 1, sequence 2."""

from datetime import datetime
from pathlib import Path

import pytest

from loop.feed import client
from loop.feed.client import Synced, Timeouts
from loop.feed.client import state as states
from tests.feed.simulator import CHANNEL, NOW, Publisher


class Phone:
    """A device's folder, and the publisher that it follows."""

    def __init__(self, folder: Path, publisher: Publisher) -> None:
        self.folder, self.publisher = folder, publisher

    def sync(self, now: datetime | None = None, timeouts: Timeouts | None = None) -> Synced:
        """Sync once, at the publisher's time."""
        return client.sync(
            self.publisher.shelf,
            self.folder,
            CHANNEL,
            now or self.publisher.now,
            root=self.publisher.app_root,
            timeouts=timeouts,
        )

    def bytes(self) -> dict[str, bytes]:
        """The bytes of every file in the folder."""
        paths = sorted(path for path in self.folder.rglob("*") if path.is_file())
        return {path.relative_to(self.folder).as_posix(): path.read_bytes() for path in paths}

    def version(self) -> int | None:
        """The version that the device runs; its file must be complete."""
        state = states.load(self.folder)
        if state is None or state.current is None:
            return None
        assert states.is_intact(self.folder, state.current)
        return state.current.version


@pytest.fixture
def publisher() -> Publisher:
    """An honest publisher that has published nothing yet."""
    return Publisher(now=NOW)


@pytest.fixture
def phone(tmp_path: Path, publisher: Publisher) -> Phone:
    """A device that runs version 1 and has seen two feeds."""
    publisher.before = publisher.publish(2, rollout_percent=0)
    publisher.publish(1)
    made = Phone(tmp_path / "phone", publisher)
    made.sync()
    return made
