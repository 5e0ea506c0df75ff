"""What a device believes: trusted state and new bytes → new trusted state, or one error that names the broken rule.

No IO; the clock is an argument. Every rule is a function with one ``if``, in ``ROOT_CHECKS``, ``SIGNATURE_CHECKS`` and
``FEED_CHECKS`` in the order in which they are asked. The rules are The Update Framework's for its root and timestamp
roles (https://theupdateframework.github.io/specification/latest/, 5.3 and 5.4), with an epoch in the root in place of
the deletion of state after a fast-forward attack.
"""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from loop.errors import FeedRefused
from loop.feed import document, envelope, refusals
from loop.feed.document import Feed, Release, Root, when
from loop.feed.envelope import Signed

ROLLOUT_DIGITS = 8  # hex digits of the hash that the percentage is taken of


@dataclass(frozen=True, slots=True)
class Trusted:
    """What must survive everything: the root, and which feed was seen last (sequence 0: none of this epoch)."""

    root: Root
    root_data: bytes
    sequence: int = 0
    feed_digest: str | None = None
    issued: datetime | None = None


@dataclass(frozen=True, slots=True)
class Device:
    """What a device says of itself; ``ios`` None takes every model. ``name`` is its own random id, never sent."""

    name: str
    channel: str
    ios: tuple[int, int] | None = None


class Action(StrEnum):
    """What a device does about a feed that it trusts."""

    INSTALL = "install"
    KEEP = "keep"


@dataclass(frozen=True, slots=True)
class Choice:
    """The action, its release, and why."""

    action: Action
    release: Release
    why: str


def begin(data: bytes) -> Trusted:
    """Trust the root document that came with the app. Raises ``FeedRefused`` for one that does not sign itself."""
    signed = envelope.unseal(data)
    root = document.parse_root(signed.body)
    signed_by_itself(None, root, signed)
    return Trusted(root, data)


def follow(trusted: Trusted, data: bytes) -> Trusted:
    """Trust the next root. A root of a new epoch forgets the feeds of the old one. Raises ``FeedRefused``."""
    signed = envelope.unseal(data)
    signed_by_the_one_before(trusted.root, signed)
    root = document.parse_root(signed.body)
    for check in ROOT_CHECKS:
        check(trusted.root, root, signed)
    if root.epoch > trusted.root.epoch:
        return Trusted(root, data)
    return replace(trusted, root=root, root_data=data)


def accept(trusted: Trusted, data: bytes, now: datetime) -> tuple[Trusted, Feed]:
    """Trust a feed. Raises ``FeedRefused``; then nothing of it may be used."""
    signed = envelope.unseal(data)
    for check_signature in SIGNATURE_CHECKS:
        check_signature(trusted, signed, now)
    feed = document.parse_feed(signed.body)
    digest = hashlib.sha256(signed.body).hexdigest()
    for check in FEED_CHECKS:
        check(trusted, feed, digest, now)
    return replace(trusted, sequence=feed.sequence, feed_digest=digest, issued=feed.issued), feed


def choose(feed: Feed, device: Device, holds: str | None) -> Choice:
    """What to do for a device that runs the model with digest ``holds``. Raises ``NoChannel``."""
    if device.channel not in feed.channels:
        offered = ", ".join(sorted(feed.channels)) or "none"
        raise refusals.NoChannel(f"expected a channel {device.channel}, the feed has {offered}")
    release = feed.channels[device.channel]
    if release.digest == holds:
        return Choice(Action.KEEP, release, "it runs already")
    if device.ios is not None and device.ios < version_of(release.minimum_ios):
        return Choice(Action.KEEP, release, f"it needs iOS {release.minimum_ios}")
    usable = holds is not None and holds not in feed.withdrawn
    if usable and bucket(device.name, release.digest) >= release.rollout_percent:
        return Choice(Action.KEEP, release, f"its rollout is at {release.rollout_percent} % and not here yet")
    return Choice(Action.INSTALL, release, "urgent" if release.urgent else "newer entry")


def bucket(device: str, digest: str) -> int:
    """0 to 99, the same for ever for one device and one model: it takes part while this is below the percentage."""
    hashed = hashlib.sha256(f"{device}:{digest}".encode()).hexdigest()
    return int(hashed[:ROLLOUT_DIGITS], 16) % 100


def version_of(ios: str) -> tuple[int, int]:
    """``"13.0"`` as numbers that compare."""
    major, minor = ios.split(".")
    return int(major), int(minor)


# Rules of roots


def signed_by_the_one_before(before: Root, signed: Signed) -> None:
    """Enough keys of the trusted root have signed."""
    count = len(envelope.signers(signed, before.root_keys))
    if count < before.root_threshold:
        raise refusals.TooFewSignatures(
            f"root: expected {before.root_threshold} valid signatures by keys of root {before.version}, got {count}"
        )


def follows_without_a_gap(before: Root | None, root: Root, signed: Signed) -> None:  # noqa: ARG001 (all checks of a list are called alike)
    """Versions rise by one."""
    if before is not None and root.version != before.version + 1:
        raise refusals.RootSkipped(f"root: expected version {before.version + 1}, got {root.version}")


def signed_by_itself(before: Root | None, root: Root, signed: Signed) -> None:  # noqa: ARG001 (as above)
    """Enough of its own keys have signed, so that the next root can be signed, too."""
    count = len(envelope.signers(signed, root.root_keys))
    if count < root.root_threshold:
        raise refusals.TooFewSignatures(
            f"root {root.version}: expected {root.root_threshold} valid signatures by its own keys, got {count}"
        )


def epoch_does_not_fall(before: Root | None, root: Root, signed: Signed) -> None:  # noqa: ARG001 (as above)
    """A recovery is not taken back."""
    if before is not None and root.epoch < before.epoch:
        raise refusals.EpochFell(f"root {root.version}: expected epoch {before.epoch} or later, got {root.epoch}")


# Rules of feeds


def signed_by_certified_keys(trusted: Trusted, signed: Signed, now: datetime) -> None:  # noqa: ARG001 (as above)
    """Enough feed keys that the root certifies have signed."""
    certified = {id_: key.public for id_, key in trusted.root.feed_keys.items()}
    _enough(trusted.root, signed, certified, refusals.TooFewSignatures, "certified")


def signed_by_valid_keys(trusted: Trusted, signed: Signed, now: datetime) -> None:
    """Enough of them have not expired."""
    moment = not_before_issued(trusted, now)
    valid = {id_: key.public for id_, key in trusted.root.feed_keys.items() if moment < key.expires}
    _enough(trusted.root, signed, valid, refusals.KeyExpired, f"valid at {when(moment)}")


def of_the_epoch(trusted: Trusted, feed: Feed, digest: str, now: datetime) -> None:  # noqa: ARG001 (as above)
    """Sequences compare within one epoch only."""
    if feed.epoch != trusted.root.epoch:
        raise refusals.OtherEpoch(f"feed: expected epoch {trusted.root.epoch}, got {feed.epoch}")


def under_a_known_root(trusted: Trusted, feed: Feed, digest: str, now: datetime) -> None:  # noqa: ARG001 (as above)
    """The server shows every root that the feed builds on."""
    if feed.root > trusted.root.version:
        raise refusals.RootWithheld(f"feed: expected root {trusted.root.version} or earlier, got root {feed.root}")


def sequence_does_not_fall(trusted: Trusted, feed: Feed, digest: str, now: datetime) -> None:  # noqa: ARG001 (as above)
    """No way back to an older feed."""
    if feed.sequence < trusted.sequence:
        raise refusals.RolledBack(f"feed: expected sequence {trusted.sequence:,} or later, got {feed.sequence:,}")


def one_document_per_sequence(trusted: Trusted, feed: Feed, digest: str, now: datetime) -> None:  # noqa: ARG001 (as above)
    """Everybody who reads a sequence reads the same."""
    if feed.sequence == trusted.sequence and digest != trusted.feed_digest:
        raise refusals.Equivocated(
            f"feed {feed.sequence:,}: expected the document {trusted.feed_digest or 'none':.12}…, got {digest:.12}…"
        )


def not_expired(trusted: Trusted, feed: Feed, digest: str, now: datetime) -> None:  # noqa: ARG001 (as above)
    """What is not renewed ends, so that nobody can hold a device on an old feed for ever."""
    moment = not_before_issued(trusted, now)
    if moment >= feed.expires:
        raise refusals.Expired(
            f"feed {feed.sequence:,}: expected to be read before {when(feed.expires)}, it is {when(moment)}"
        )


def not_before_issued(trusted: Trusted, now: datetime) -> datetime:
    """The device's clock, unless it says a time before the last trusted feed was made."""
    return now if trusted.issued is None else max(now, trusted.issued)


def _enough(root: Root, signed: Signed, keys: Mapping[str, str], refusal: type[FeedRefused], which: str) -> None:
    count = len(envelope.signers(signed, keys))
    if count < root.feed_threshold:
        raise refusal(f"feed: expected {root.feed_threshold} valid signatures by keys {which}, got {count}")


RootCheck = Callable[[Root | None, Root, Signed], None]
SignatureCheck = Callable[[Trusted, Signed, datetime], None]
FeedCheck = Callable[[Trusted, Feed, str, datetime], None]
ROOT_CHECKS: tuple[RootCheck, ...] = (follows_without_a_gap, signed_by_itself, epoch_does_not_fall)
SIGNATURE_CHECKS: tuple[SignatureCheck, ...] = (signed_by_certified_keys, signed_by_valid_keys)
FEED_CHECKS: tuple[FeedCheck, ...] = (
    of_the_epoch,
    under_a_known_root,
    sequence_does_not_fall,
    one_document_per_sequence,
    not_expired,
)
