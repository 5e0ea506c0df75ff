"""What a device trusts: trusted state and new bytes → new trusted state, or one error that names the broken rule.

No IO; the clock is an argument. Every rule is a function with one ``if``, listed in ``ROOT_CHECKS``,
``SIGNATURE_CHECKS`` and ``FEED_CHECKS`` in the order in which they run. The rules are those of The Update Framework for
its root and timestamp roles (https://theupdateframework.github.io/specification/latest/, 5.3 and 5.4), with an epoch in
the root instead of deleting state after a fast-forward attack.
"""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from loop.errors import FeedRefused
from loop.feed import document, envelope, refusals
from loop.feed.asking import Asking, parse_asking
from loop.feed.document import Feed, Release, Root
from loop.feed.envelope import Signed
from loop.feed.fields import when

ROLLOUT_DIGITS = 8  # hex digits of the hash from which the percentage is computed


@dataclass(frozen=True, slots=True)
class Trusted:
    """The state that a device must never lose: the root, and the last feed (sequence 0: none of this epoch yet)."""

    root: Root
    root_data: bytes
    sequence: int = 0
    feed_digest: str | None = None
    issued: datetime | None = None


@dataclass(frozen=True, slots=True)
class Device:
    """A device. ``ios`` None accepts every model. ``name`` is the device's own random id, which is never sent."""

    name: str
    channel: str
    ios: tuple[int, int] | None = None


class Sequenced(Protocol):
    """What feeds and asking policies have in common."""

    @property
    def epoch(self) -> int:
        """The epoch of the root."""

    @property
    def sequence(self) -> int:
        """Rises within an epoch."""

    @property
    def expires(self) -> datetime:
        """When it is no longer valid."""


@dataclass(frozen=True, slots=True)
class SeenAsking:
    """The last asking policy that a device accepted; like ``Trusted``, it must never be lost."""

    epoch: int
    sequence: int
    digest: str


class Action(StrEnum):
    """What a device does after it accepted a feed."""

    INSTALL = "install"
    KEEP = "keep"


@dataclass(frozen=True, slots=True)
class Choice:
    """The action, its release and the reason."""

    action: Action
    release: Release
    why: str


def begin(data: bytes) -> Trusted:
    """Trust the root document that is built into the app. Raises ``FeedRefused`` if it does not sign itself."""
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
    """Trust a feed. Raises ``FeedRefused``; then no part of the feed may be used."""
    signed = envelope.unseal(data)
    for check_signature in SIGNATURE_CHECKS:
        check_signature(trusted, signed, now)
    feed = document.parse_feed(signed.body)
    digest = hashlib.sha256(signed.body).hexdigest()
    for check in FEED_CHECKS:
        check(trusted, feed, digest, now)
    return replace(trusted, sequence=feed.sequence, feed_digest=digest, issued=feed.issued), feed


def accept_asking(trusted: Trusted, seen: SeenAsking | None, data: bytes, now: datetime) -> tuple[SeenAsking, Asking]:
    """Trust an asking policy, after the feed. Raises ``FeedRefused``; then the phone asks nothing.

    Sequences of another epoch are forgotten, as those of feeds are.
    """
    signed = envelope.unseal(data)
    for check_signature in SIGNATURE_CHECKS:
        check_signature(trusted, signed, now)
    asking = parse_asking(signed.body)
    digest = hashlib.sha256(signed.body).hexdigest()
    if seen is None or seen.epoch != trusted.root.epoch:
        last = replace(trusted, sequence=0, feed_digest=None)
    else:
        last = replace(trusted, sequence=seen.sequence, feed_digest=seen.digest)
    for check in ASKING_CHECKS:
        check(last, asking, digest, now)
    return SeenAsking(asking.epoch, asking.sequence, digest), asking


def choose(feed: Feed, device: Device, holds: str | None) -> Choice:
    """The action of a device that runs the model with digest ``holds``. Raises ``NoChannel``."""
    if device.channel not in feed.channels:
        offered = ", ".join(sorted(feed.channels)) or "none"
        raise refusals.NoChannel(f"expected a channel {device.channel}, got {offered}")
    release = feed.channels[device.channel]
    if release.digest == holds:
        return Choice(Action.KEEP, release, "this model is already installed")
    if device.ios is not None and device.ios < version_of(release.minimum_ios):
        return Choice(Action.KEEP, release, f"the model needs iOS {release.minimum_ios}")
    usable = holds is not None and holds not in feed.withdrawn
    if usable and bucket(device.name, release.digest) >= release.rollout_percent:
        why = f"the rollout is at {release.rollout_percent} % and does not include this device yet"
        return Choice(Action.KEEP, release, why)
    return Choice(Action.INSTALL, release, "urgent release" if release.urgent else "new release")


def bucket(device: str, digest: str) -> int:
    """0 to 99, fixed for one device and one model. The device takes part if this is below the percentage."""
    hashed = hashlib.sha256(f"{device}:{digest}".encode()).hexdigest()
    return int(hashed[:ROLLOUT_DIGITS], 16) % 100


def version_of(ios: str) -> tuple[int, int]:
    """``"13.0"`` as a pair of numbers."""
    major, minor = ios.split(".")
    return int(major), int(minor)


# Rules of roots


def signed_by_the_one_before(before: Root, signed: Signed) -> None:
    """Enough keys of the trusted root have signed the next root."""
    count = len(envelope.signers(signed, before.root_keys))
    if count < before.root_threshold:
        raise refusals.TooFewSignatures(
            f"root: expected {before.root_threshold} valid signatures by keys of root {before.version}, got {count}"
        )


def follows_without_a_gap(before: Root | None, root: Root, signed: Signed) -> None:  # noqa: ARG001 (all checks of a list have one signature)
    """Root versions increase by one."""
    if before is not None and root.version != before.version + 1:
        raise refusals.RootSkipped(f"root: expected version {before.version + 1}, got {root.version}")


def signed_by_itself(before: Root | None, root: Root, signed: Signed) -> None:  # noqa: ARG001 (as above)
    """Enough of the root's own keys have signed it, so that they can also sign the next root."""
    count = len(envelope.signers(signed, root.root_keys))
    if count < root.root_threshold:
        raise refusals.TooFewSignatures(
            f"root {root.version}: expected {root.root_threshold} valid signatures by its own keys, got {count}"
        )


def epoch_does_not_fall(before: Root | None, root: Root, signed: Signed) -> None:  # noqa: ARG001 (as above)
    """A root cannot undo a recovery."""
    if before is not None and root.epoch < before.epoch:
        raise refusals.EpochFell(f"root {root.version}: expected epoch {before.epoch} or later, got {root.epoch}")


# Rules of feeds


def signed_by_certified_keys(trusted: Trusted, signed: Signed, now: datetime) -> None:  # noqa: ARG001 (as above)
    """Enough feed keys that the root certifies have signed."""
    certified = {id_: key.public for id_, key in trusted.root.feed_keys.items()}
    _enough(trusted.root, signed, certified, refusals.TooFewSignatures, "certified keys")


def signed_by_valid_keys(trusted: Trusted, signed: Signed, now: datetime) -> None:
    """Enough of the signing keys have not expired."""
    moment = not_before_issued(trusted, now)
    valid = {id_: key.public for id_, key in trusted.root.feed_keys.items() if moment < key.expires}
    _enough(trusted.root, signed, valid, refusals.KeyExpired, f"keys valid at {when(moment)}")


def of_the_epoch(trusted: Trusted, feed: Sequenced, digest: str, now: datetime) -> None:  # noqa: ARG001 (as above)
    """The feed is of the root's epoch, because sequences are comparable only within an epoch."""
    if feed.epoch != trusted.root.epoch:
        raise refusals.OtherEpoch(f"{_kind(feed)}: expected epoch {trusted.root.epoch}, got {feed.epoch}")


def under_a_known_root(trusted: Trusted, feed: Feed, digest: str, now: datetime) -> None:  # noqa: ARG001 (as above)
    """The device has seen the root that the feed names."""
    if feed.root > trusted.root.version:
        raise refusals.RootWithheld(f"feed: expected root {trusted.root.version} or earlier, got root {feed.root}")


def sequence_does_not_fall(trusted: Trusted, feed: Sequenced, digest: str, now: datetime) -> None:  # noqa: ARG001 (as above)
    """An older feed is refused."""
    if feed.sequence < trusted.sequence:
        raise refusals.RolledBack(
            f"{_kind(feed)}: expected sequence {trusted.sequence:,} or later, got {feed.sequence:,}"
        )


def one_document_per_sequence(trusted: Trusted, feed: Sequenced, digest: str, now: datetime) -> None:  # noqa: ARG001 (as above)
    """All devices get the same document for a sequence."""
    if feed.sequence == trusted.sequence and digest != trusted.feed_digest:
        raise refusals.Equivocated(
            f"{_kind(feed)} {feed.sequence:,}: expected the document {trusted.feed_digest or 'none':.12}…, "
            f"got {digest:.12}…"
        )


def not_expired(trusted: Trusted, feed: Sequenced, digest: str, now: datetime) -> None:  # noqa: ARG001 (as above)
    """A feed that is not renewed expires, so that an attacker cannot keep a device on an old feed."""
    moment = not_before_issued(trusted, now)
    if moment >= feed.expires:
        raise refusals.Expired(
            f"{_kind(feed)} {feed.sequence:,}: expected a time before its expiry at {when(feed.expires)}, "
            f"got {when(moment)}"
        )


def not_before_issued(trusted: Trusted, now: datetime) -> datetime:
    """The device's time, or the issue time of the last trusted feed if that is later."""
    return now if trusted.issued is None else max(now, trusted.issued)


def _kind(document: Sequenced) -> str:
    return "feed" if isinstance(document, Feed) else "asking policy"


def _enough(root: Root, signed: Signed, keys: Mapping[str, str], refusal: type[FeedRefused], which: str) -> None:
    count = len(envelope.signers(signed, keys))
    if count < root.feed_threshold:
        raise refusal(f"feed: expected {root.feed_threshold} valid signatures by {which}, got {count}")


RootCheck = Callable[[Root | None, Root, Signed], None]
AskingCheck = Callable[[Trusted, Sequenced, str, datetime], None]
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
ASKING_CHECKS: tuple[AskingCheck, ...] = (of_the_epoch, sequence_does_not_fall, one_document_per_sequence, not_expired)
