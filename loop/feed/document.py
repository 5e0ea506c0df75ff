"""Roots and feeds as frozen values. Their JSON is parsed and written here; each field's type and range is checked.

Rules: a document has exactly the fields that are known here. A newer format gets a separate file beside this one, so
that a phone with an old app can still read its own. Of a document's content only SHA-256 digests become part of a path
or URL, after they matched the pattern of a digest.
"""

import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from loop.feed import canonical, fields
from loop.feed.canonical import Plain
from loop.feed.fields import when
from loop.feed.refusals import BadDocument, KeyMismatch

FORMAT = 1
MAX_BYTES = 64 << 10  # of a root or a feed
MAX_MODEL_BYTES, MAX_GOLDEN_BYTES = 256 << 20, 1 << 20
MAX_CHANNELS, MAX_WITHDRAWN, MAX_KEYS = 16, 256, 16
HEX64 = re.compile(r"[0-9a-f]{64}")
CHANNEL = re.compile(r"[a-z][a-z0-9]{0,19}\.mlmodel")
IOS_VERSION = re.compile(r"(0|[1-9][0-9]?)\.(0|[1-9][0-9]?)")
MILLION = 1_000_000


@dataclass(frozen=True, slots=True)
class Release:
    """One model for one channel; lengths in bytes, digests SHA-256. ``rollout_percent`` of devices install it."""

    version: int
    digest: str
    length: int
    golden_digest: str
    golden_length: int
    minimum_ios: str
    rollout_percent: int = 100
    urgent: bool = False


@dataclass(frozen=True, slots=True)
class Feed:
    """What devices run, from ``issued`` until ``expires``; ``root`` is the version of the root that certifies it.

    ``channels`` maps family and format (``cnn.mlmodel``) to a release. Devices confirm a right answer with probability
    ``confirm_ppm`` in a million. ``withdrawn`` are the digests that no device may run any longer.
    """

    epoch: int
    sequence: int
    root: int
    issued: datetime
    expires: datetime
    confirm_ppm: int
    channels: Mapping[str, Release]
    withdrawn: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class FeedKey:
    """A key that may sign feeds until it expires; ``public`` is the public key's 32 bytes in hex."""

    public: str
    expires: datetime


@dataclass(frozen=True, slots=True)
class Root:
    """Which keys may sign. ``root_keys`` maps key ids to public keys in hex, ``feed_keys`` ids to keys with expiry."""

    version: int
    epoch: int
    issued: datetime
    root_keys: Mapping[str, str]
    root_threshold: int
    feed_keys: Mapping[str, FeedKey]
    feed_threshold: int = 1


def key_id(public: str) -> str:
    """The id of a public key given in hex: the SHA-256 of its 32 bytes."""
    return hashlib.sha256(bytes.fromhex(public)).hexdigest()


def feed_bytes(feed: Feed) -> bytes:
    """The bytes to sign. Raises ``BadDocument`` for a feed that no device would accept."""
    channels = {
        name: {
            "digest": each.digest,
            "golden": {"digest": each.golden_digest, "length": each.golden_length},
            "length": each.length,
            "minimum_ios": each.minimum_ios,
            "rollout_percent": each.rollout_percent,
            "urgent": each.urgent,
            "version": each.version,
        }
        for name, each in feed.channels.items()
    }
    data = canonical.encode(
        {
            "channels": channels,
            "confirm_ppm": feed.confirm_ppm,
            "epoch": feed.epoch,
            "expires": when(feed.expires),
            "format": FORMAT,
            "issued": when(feed.issued),
            "root": feed.root,
            "sequence": feed.sequence,
            "type": "feed",
            "withdrawn": list(feed.withdrawn),
        }
    )
    parse_feed(data)
    return data


def parse_feed(data: bytes) -> Feed:
    """The feed in signed bytes. Raises ``NotCanonical``, ``UnknownFormat``, ``BadDocument``."""
    plain = fields.opened(data, "feed", FORMAT)
    fields.exactly(
        plain,
        "channels",
        "confirm_ppm",
        "epoch",
        "expires",
        "format",
        "issued",
        "root",
        "sequence",
        "type",
        "withdrawn",
    )
    channels = fields.mapping(plain, "channels", MAX_CHANNELS, _matching(CHANNEL))
    withdrawn = _digests(plain, "withdrawn", MAX_WITHDRAWN)
    feed = Feed(
        epoch=fields.number(plain, "epoch", 1),
        sequence=fields.number(plain, "sequence", 1),
        root=fields.number(plain, "root", 1),
        issued=fields.parse_time(plain, "issued"),
        expires=fields.parse_time(plain, "expires"),
        confirm_ppm=fields.number(plain, "confirm_ppm", 0, MILLION),
        channels={name: _release(each) for name, each in channels.items()},
        withdrawn=withdrawn,
    )
    if feed.expires <= feed.issued:
        raise BadDocument(f"expires: expected a time after {when(feed.issued)}, got {when(feed.expires)}")
    for name, release in feed.channels.items():
        if release.digest in withdrawn:
            raise BadDocument(
                f"{name}: expected a model that is not withdrawn, got the withdrawn {release.digest:.12}…"
            )
    return feed


def root_bytes(root: Root) -> bytes:
    """The bytes to sign. Raises ``BadDocument`` for a root that no device would accept."""
    feed_keys = {id_: {"expires": when(key.expires), "public": key.public} for id_, key in root.feed_keys.items()}
    data = canonical.encode(
        {
            "epoch": root.epoch,
            "feed": {"keys": feed_keys, "threshold": root.feed_threshold},
            "format": FORMAT,
            "issued": when(root.issued),
            "root": {"keys": dict(root.root_keys), "threshold": root.root_threshold},
            "type": "root",
            "version": root.version,
        }
    )
    parse_root(data)
    return data


def parse_root(data: bytes) -> Root:
    """The root in signed bytes. Raises the errors of ``parse_feed``, and ``KeyMismatch``."""
    plain = fields.opened(data, "root", FORMAT)
    fields.exactly(plain, "epoch", "feed", "format", "issued", "root", "type", "version")
    roots, feeds = _role(plain, "root"), _role(plain, "feed")
    return Root(
        version=fields.number(plain, "version", 1),
        epoch=fields.number(plain, "epoch", 1),
        issued=fields.parse_time(plain, "issued"),
        root_keys={id_: _public(id_, roots["keys"], id_) for id_ in roots["keys"]},
        root_threshold=fields.number(roots, "threshold", 1, len(roots["keys"])),
        feed_keys={id_: _feed_key(id_, each) for id_, each in feeds["keys"].items()},
        feed_threshold=fields.number(feeds, "threshold", 1, len(feeds["keys"])),
    )


def _release(plain: object) -> Release:
    if not isinstance(plain, dict):
        raise BadDocument(f"channel: expected an object, got {type(plain).__name__}")
    fields.exactly(plain, "digest", "golden", "length", "minimum_ios", "rollout_percent", "urgent", "version")
    golden = fields.mapping(plain, "golden", 2, str)
    fields.exactly(golden, "digest", "length")
    release = Release(
        version=fields.number(plain, "version", 1),
        digest=fields.text(plain, "digest", HEX64),
        length=fields.number(plain, "length", 1, MAX_MODEL_BYTES),
        golden_digest=fields.text(golden, "digest", HEX64),
        golden_length=fields.number(golden, "length", 1, MAX_GOLDEN_BYTES),
        minimum_ios=fields.text(plain, "minimum_ios", IOS_VERSION),
        rollout_percent=fields.number(plain, "rollout_percent", 0, 100),
        urgent=plain["urgent"] is True,
    )
    if not isinstance(plain["urgent"], bool):
        raise BadDocument(f"urgent: expected true or false, got {plain['urgent']!r:.40}")
    if release.urgent and release.rollout_percent < 100:
        raise BadDocument(f"rollout_percent: expected 100 for an urgent release, got {release.rollout_percent}")
    return release


def _role(plain: Plain, name: str) -> Plain:
    role = fields.mapping(plain, name, 2, str)
    fields.exactly(role, "keys", "threshold")
    fields.mapping(role, "keys", MAX_KEYS, _matching(HEX64))
    return role


def _feed_key(id_: str, plain: object) -> FeedKey:
    if not isinstance(plain, dict):
        raise BadDocument(f"key {id_:.12}…: expected an object, got {type(plain).__name__}")
    fields.exactly(plain, "expires", "public")
    return FeedKey(_public(id_, plain, "public"), fields.parse_time(plain, "expires"))


def _public(id_: str, plain: Plain, field: str) -> str:
    public = fields.text(plain, field, HEX64)
    if key_id(public) != id_:
        raise KeyMismatch(f"key {id_:.12}…: expected the id {key_id(public):.12}… of its public key")
    return public


def _digests(plain: Plain, field: str, most: int) -> tuple[str, ...]:
    value = plain[field]
    if not isinstance(value, list) or len(value) > most or not all(isinstance(each, str) for each in value):
        raise BadDocument(f"{field}: expected at most {most} digests, got {value!r:.80}")
    if value != sorted(set(value)) or not all(HEX64.fullmatch(each) for each in value):
        raise BadDocument(f"{field}: expected SHA-256 digests, sorted, each once, got {value!r:.80}")
    return tuple(value)


def _matching(pattern: re.Pattern[str]) -> Callable[[str], Any]:
    return pattern.fullmatch
