"""Keep the feed up to date: publish again after a champion moved, a model was withdrawn, or the feed is half expired.

Code that moves a champion calls ``tell``, which calls ``follow``; the scheduler calls ``follow`` regularly, so that a
failed publication (a missing key, a full disk) is repeated. Without roots there is no feed to keep up to date.
"""

import logging
from dataclasses import asdict, dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

import models
from loop.errors import FeedRefused, LoopError, NotPublishable
from loop.feed import authority, document, envelope
from loop.feed.asking import parse_asking
from loop.feed.document import Feed
from loop.feed.keys import Passphrase
from loop.feed.layout import ASKING_FILE, FEED_FILE
from loop.home import Home
from loop.store.asking import policies
from loop.store.nights import versions
from loop.store.phones import feeds
from loop.store.values import Attribution

log = logging.getLogger(__name__)

RENEWAL_AGE = 1 / 2
"""The share of a feed's life after which it is renewed. The other half is time to repair a fault."""


class Action(StrEnum):
    """What ``follow`` did."""

    PUBLISHED = "published"
    UNCHANGED = "unchanged"
    NO_KEYS = "no keys"
    NOTHING = "nothing to publish"


@dataclass(frozen=True, slots=True)
class Upkeep:
    """What was done, why, and the feed that devices see now (None if there is none)."""

    action: Action
    why: str
    feed: Feed | None


@dataclass(frozen=True, slots=True)
class Outcome:
    """The state of the feed after a move, in a sentence, and the sequence that devices see (None: as before)."""

    said: str
    sequence: int | None


def follow(home: Home, attribution: Attribution, now: datetime) -> Upkeep:
    """Publish if there is a reason to. Raises ``NotPublishable``, ``BadKey``, ``ArtifactCorrupt``, ``DiskFull``."""
    if not authority.chain(home):
        return Upkeep(Action.NO_KEYS, "the feed has no keys; run `loop feed keys --create`", None)
    if not _champions(home):
        return Upkeep(Action.NOTHING, "no family has a champion", None)
    before = published(home)
    why = reason(home, before, now)
    if why is None:
        return Upkeep(Action.UNCHANGED, "the feed names the champions", before)
    from loop.feed import publish  # here, because it loads the Core ML runtime

    options = publish.Options(home.settings.rollout_percent, before=before)
    feed = publish.publish(home, home.settings.published, options, _silent(home), attribution, now)
    return Upkeep(Action.PUBLISHED, why, feed)


def tell(home: Home, attribution: Attribution, now: datetime) -> Outcome:
    """``follow`` after a champion moved. An error is logged, because a failed publication does not undo the move."""
    try:
        done = follow(home, attribution, now)
    except LoopError as error:
        log.error("the feed was not published: %s", error)
        return Outcome(f"not published: {error}", None)
    return Outcome(f"{done.action}: {done.why}", None if done.feed is None else done.feed.sequence)


def reason(home: Home, feed: Feed | None, now: datetime) -> str | None:
    """Why the published feed should be replaced, or None."""
    if feed is None:
        return "no feed was published yet"
    if now >= feed.issued + (feed.expires - feed.issued) * RENEWAL_AGE:
        return f"it expires at {feed.expires:%Y-%m-%d %H:%M} UTC"
    root = authority.trusted(home).root
    if (feed.epoch, feed.root) != (root.epoch, root.version):
        return f"root {root.version} is newer than the feed"
    named = {name: release.digest for name, release in feed.channels.items()}
    if named != _champions(home):
        return "a champion moved"
    with home.store.read() as tx:
        withdrawn = {each.digest for each in feeds.withdrawn(tx)}
        policy = policies.latest(tx)
    if withdrawn != set(feed.withdrawn):
        return "a model was withdrawn"
    return "the asking policy changed" if policy is not None and _asks(home) != policy.document else None


def published(home: Home) -> Feed | None:
    """The feed in the published folder, signed by any key, or None. Raises ``NotPublishable``."""
    path: Path = home.settings.published / FEED_FILE
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise NotPublishable(f"{path}: cannot read ({error.strerror}); repair the folder") from None
    try:
        return document.parse_feed(envelope.unseal(data).body)
    except FeedRefused as error:
        raise NotPublishable(f"{path}: not a feed ({error}); move it away, then run `loop feed publish`") from None


def _asks(home: Home) -> dict[str, Any] | None:
    """The policy in the published folder; None if it has none that can be read: then it is published again."""
    try:
        data = (home.settings.published / ASKING_FILE).read_bytes()
        return asdict(parse_asking(envelope.unseal(data).body).policy)
    except (OSError, FeedRefused):
        return None


def _champions(home: Home) -> dict[str, str]:
    """Channel → digest of the model that devices should run."""
    with home.store.read() as tx:
        champions = {name: versions.champion(tx, name) for name in models.NAMES}
    return {f"{name}.mlmodel": version.artifact_digest for name, version in champions.items() if version is not None}


def _silent(home: Home) -> Passphrase:
    """The passphrase from the settings, because upkeep runs without a terminal."""
    secret = home.settings.key_passphrase
    return lambda _: None if secret is None else secret.get_secret_value()
