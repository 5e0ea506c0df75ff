"""Keep what devices are told true: publish again when a champion moved, a model was withdrawn, or the feed grows old.

Whoever moves a champion calls ``follow`` at once; the clock calls it all the time, so that a publication that failed
(a key that was not there, a full disk) is made up for. Without roots there is no feed, and nothing to keep up.
"""

import logging
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path

import models
from loop.errors import FeedRefused, LoopError, NotPublishable
from loop.feed import authority, document, envelope, publish
from loop.feed.document import Feed
from loop.feed.keys import Passphrase
from loop.feed.layout import FEED_FILE
from loop.home import Home
from loop.store.nights import versions
from loop.store.phones import feeds
from loop.store.values import Attribution

log = logging.getLogger(__name__)

RENEWAL_AGE = 1 / 2
"""Share of a feed's life after which it is renewed: a fault has the other half to be mended in."""


class Action(StrEnum):
    """What a look at the feed came to."""

    PUBLISHED = "published"
    UNCHANGED = "unchanged"
    NO_KEYS = "no keys"
    NOTHING = "nothing to publish"


@dataclass(frozen=True, slots=True)
class Upkeep:
    """What was done, why, and the feed that devices see now (None where there is none)."""

    action: Action
    why: str
    feed: Feed | None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of the feed after a move, in a sentence, and the sequence that devices see (None: as before)."""

    said: str
    sequence: int | None


def follow(home: Home, order: Attribution, now: datetime) -> Upkeep:
    """Publish if there is a reason to. Raises ``NotPublishable``, ``BadKey``, ``ArtifactCorrupt``, ``DiskFull``."""
    if not authority.chain(home):
        return Upkeep(Action.NO_KEYS, "the feed has no keys; `loop feed keys --create` makes them", None)
    if not _champions(home):
        return Upkeep(Action.NOTHING, "no family has a champion", None)
    before = published(home)
    why = reason(home, before, now)
    if why is None:
        return Upkeep(Action.UNCHANGED, "the feed names the champions", before)
    wish = publish.Options(home.settings.rollout_percent, before=before)
    feed = publish.publish(home, home.settings.published, wish, _silent(home), order, now)
    return Upkeep(Action.PUBLISHED, why, feed)


def tell(home: Home, order: Attribution, now: datetime) -> Outcome:
    """``follow`` for whoever moved a champion: a feed that cannot be published now does not undo the move."""
    try:
        done = follow(home, order, now)
    except LoopError as error:
        log.error("the feed was not published: %s", error)
        return Outcome(f"not published: {error}", None)
    return Outcome(f"{done.action}: {done.why}", None if done.feed is None else done.feed.sequence)


def reason(home: Home, feed: Feed | None, now: datetime) -> str | None:
    """Why the published feed should be replaced, if it should."""
    if feed is None:
        return "nothing was published yet"
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
    return "a model was withdrawn" if withdrawn != set(feed.withdrawn) else None


def published(home: Home) -> Feed | None:
    """The feed in the published folder, whoever signed it; None where there is none. Raises ``NotPublishable``."""
    path: Path = home.settings.published / FEED_FILE
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise NotPublishable(f"{path}: cannot be read ({error.strerror}); mend the folder") from None
    try:
        return document.parse_feed(envelope.unseal(data).body)
    except FeedRefused as error:
        raise NotPublishable(f"{path}: not a feed ({error}); move it away, then `loop feed publish`") from None


def _champions(home: Home) -> dict[str, str]:
    """Channel → digest of what devices shall run."""
    with home.store.read() as tx:
        held = {name: versions.champion(tx, name) for name in models.NAMES}
    return {f"{name}.mlmodel": version.artifact_digest for name, version in held.items() if version is not None}


def _silent(home: Home) -> Passphrase:
    """The setting's passphrase; nobody is there to be asked."""
    secret = home.settings.key_passphrase
    return lambda _: None if secret is None else secret.get_secret_value()
