"""The demonstration's phone: it follows the signed feed from a folder of its own, as an app would."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from loop.clock import utc_now
from loop.evaluation import digit_classifier
from loop.feed import authority, client, upkeep
from loop.feed.client import Synced
from loop.feed.client import state as states
from loop.home import Home
from loop.store.values import Attribution

ROOT_KEYS, ROOT_THRESHOLD, FEED_KEY_DAYS = 3, 2, 365  # the defaults of `loop feed keys --create`


@dataclass(frozen=True, slots=True)
class Phone:
    """A device: its folder, the published folder that it follows, and the root document built into its app."""

    folder: Path
    published: Path
    root: bytes
    channel: str

    def sync(self) -> Synced:
        """Follow the feed once. Raises ``FeedRefused``."""
        with client.at(str(self.published)) as source:
            return client.sync(source, self.folder, self.channel, utc_now(), root=self.root)

    def read(self, installed: Synced, images: NDArray[np.uint8]) -> NDArray[np.intp]:
        """What the installed model reads: a digit for each of ``images`` ``(n, 28, 28) uint8``."""
        assert installed.current is not None  # noqa: S101 (a home with a champion publishes a model)
        data = states.model_file(self.folder, installed.current.digest).read_bytes()
        shares = digit_classifier.classifier(digit_classifier.load(data)).probabilities(images)
        answers: NDArray[np.intp] = shares.argmax(axis=1)
        return answers


def begin(home: Home, family: str) -> Phone:
    """Create the feed's keys, publish the champion, and start a phone. Raises ``NotPublishable``."""
    attribution = Attribution(home.actor, "demo")
    authority.create(home, ROOT_KEYS, ROOT_THRESHOLD, FEED_KEY_DAYS, None, attribution, utc_now())
    upkeep.follow(home, attribution, utc_now())
    folder = home.settings.home / "phone"
    return Phone(folder, home.settings.published, authority.first(home), f"{family}.mlmodel")
