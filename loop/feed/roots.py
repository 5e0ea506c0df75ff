"""Write root documents, which certify the keys that may sign: the first one and each next one.

A root is signed by enough keys of the previous root and by enough of its own. ``next_root`` never writes a root that
no device would follow. With three root keys and a threshold of two, any one of them may be lost; the third is the
recovery key, stored elsewhere. A new epoch makes devices forget the sequences of a stolen feed key.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from loop.errors import FeedRefused, NotPublishable
from loop.feed import document, envelope, trust
from loop.feed.document import FeedKey, Root
from loop.feed.trust import Trusted

Keys = Mapping[str, Ed25519PrivateKey]


@dataclass(frozen=True, slots=True)
class Change:
    """The content of the next root: its feed keys, its root keys, and whether it starts a new epoch."""

    feed_keys: Mapping[str, FeedKey]
    root_keys: Mapping[str, str]
    new_epoch: bool = False


def feed_key(key: Ed25519PrivateKey, expires: datetime) -> dict[str, FeedKey]:
    """A feed key as an entry of a root document."""
    public = envelope.public_half(key)
    return {document.key_id(public): FeedKey(public, expires)}


def first(root_keys: Keys, threshold: int, feed_keys: Mapping[str, FeedKey], now: datetime) -> bytes:
    """Root 1, which is built into the app. Raises ``NotPublishable`` for a threshold that the keys cannot reach."""
    if not 1 <= threshold <= len(root_keys) <= document.MAX_KEYS:
        raise NotPublishable(
            f"expected a threshold from 1 to the number of root keys (at most {document.MAX_KEYS}), "
            f"got {threshold} of {len(root_keys)}"
        )
    publics = {id_: envelope.public_half(key) for id_, key in root_keys.items()}
    root = Root(1, 1, now, publics, threshold, feed_keys)
    return envelope.seal(document.root_bytes(root), root_keys.values())


def next_root(before: Trusted, change: Change, signers: Keys, now: datetime) -> bytes:
    """The root after ``before``, signed by those ``signers`` that either root names. Raises ``NotPublishable``."""
    old = before.root
    root = Root(
        version=old.version + 1,
        epoch=old.epoch + change.new_epoch,
        issued=now,
        root_keys=change.root_keys,
        root_threshold=old.root_threshold,
        feed_keys=change.feed_keys,
        feed_threshold=old.feed_threshold,
    )
    counting = [key for id_, key in signers.items() if id_ in old.root_keys or id_ in root.root_keys]
    data = envelope.seal(document.root_bytes(root), counting)
    try:
        trust.follow(before, data)
    except FeedRefused as error:
        raise NotPublishable(f"{error}; add more root keys with --keys") from None
    return data


def chain(documents: list[bytes]) -> Trusted:
    """What a device trusts after these roots, oldest first. Raises ``FeedRefused``, and ``NotPublishable`` for none."""
    if not documents:
        raise NotPublishable("the feed has no keys yet; run `loop feed keys --create`")
    trusted = trust.begin(documents[0])
    for data in documents[1:]:
        trusted = trust.follow(trusted, data)
    return trusted
