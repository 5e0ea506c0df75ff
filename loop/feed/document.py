"""Roots and feeds as frozen values. Their JSON is parsed and written here; each field's type and range is checked.

Rules: a document has exactly the fields that are known here. A newer format gets a separate file beside this one, so
that a phone with an old app can still read its own. Of a document's content only SHA-256 digests become part of a path
or URL, after they matched the pattern of a digest.
"""

import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from loop.feed import canonical
from loop.feed.canonical import Plain
from loop.feed.refusals import BadDocument, KeyMismatch, UnknownFormat

FORMAT = 1
MAX_BYTES = 64 << 10  # of a root or a feed
MAX_MODEL_BYTES, MAX_GOLDEN_BYTES = 256 << 20, 1 << 20
MAX_CHANNELS, MAX_WITHDRAWN, MAX_KEYS = 16, 256, 16
HEX64 = re.compile(r"[0-9a-f]{64}")
CHANNEL = re.compile(r"[a-z][a-z0-9]{0,19}\.mlmodel")
IOS_VERSION = re.compile(r"(0|[1-9][0-9]?)\.(0|[1-9][0-9]?)")
TIME_FORMAT = "%Y-%m-%dT%H:%M:%SZ"
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


def when(moment: datetime) -> str:
    """A time in the format of documents: UTC, whole seconds."""
    return moment.astimezone(UTC).strftime(TIME_FORMAT)


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
    plain = _open(data, "feed")
    _exactly(
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
    channels = _object(plain, "channels", MAX_CHANNELS, _matching(CHANNEL))
    withdrawn = _digests(plain, "withdrawn", MAX_WITHDRAWN)
    feed = Feed(
        epoch=_number(plain, "epoch", 1),
        sequence=_number(plain, "sequence", 1),
        root=_number(plain, "root", 1),
        issued=parse_time(plain, "issued"),
        expires=parse_time(plain, "expires"),
        confirm_ppm=_number(plain, "confirm_ppm", 0, MILLION),
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
    plain = _open(data, "root")
    _exactly(plain, "epoch", "feed", "format", "issued", "root", "type", "version")
    roots, feeds = _role(plain, "root"), _role(plain, "feed")
    return Root(
        version=_number(plain, "version", 1),
        epoch=_number(plain, "epoch", 1),
        issued=parse_time(plain, "issued"),
        root_keys={id_: _public(id_, roots["keys"], id_) for id_ in roots["keys"]},
        root_threshold=_number(roots, "threshold", 1, len(roots["keys"])),
        feed_keys={id_: _feed_key(id_, each) for id_, each in feeds["keys"].items()},
        feed_threshold=_number(feeds, "threshold", 1, len(feeds["keys"])),
    )


def _open(data: bytes, kind: str) -> Plain:
    plain = canonical.parse(data)
    got = plain.get("type"), plain.get("format")
    if got != (kind, FORMAT) or plain["format"] is True:
        raise UnknownFormat(f"expected a {kind} of format {FORMAT}, got {got[0]!r:.40} of format {got[1]!r:.40}")
    return plain


def _release(plain: object) -> Release:
    if not isinstance(plain, dict):
        raise BadDocument(f"channel: expected an object, got {type(plain).__name__}")
    _exactly(plain, "digest", "golden", "length", "minimum_ios", "rollout_percent", "urgent", "version")
    golden = _object(plain, "golden", 2, str)
    _exactly(golden, "digest", "length")
    release = Release(
        version=_number(plain, "version", 1),
        digest=_text(plain, "digest", HEX64),
        length=_number(plain, "length", 1, MAX_MODEL_BYTES),
        golden_digest=_text(golden, "digest", HEX64),
        golden_length=_number(golden, "length", 1, MAX_GOLDEN_BYTES),
        minimum_ios=_text(plain, "minimum_ios", IOS_VERSION),
        rollout_percent=_number(plain, "rollout_percent", 0, 100),
        urgent=plain["urgent"] is True,
    )
    if not isinstance(plain["urgent"], bool):
        raise BadDocument(f"urgent: expected true or false, got {plain['urgent']!r:.40}")
    if release.urgent and release.rollout_percent < 100:
        raise BadDocument(f"rollout_percent: expected 100 for an urgent release, got {release.rollout_percent}")
    return release


def _role(plain: Plain, name: str) -> Plain:
    role = _object(plain, name, 2, str)
    _exactly(role, "keys", "threshold")
    _object(role, "keys", MAX_KEYS, _matching(HEX64))
    return role


def _feed_key(id_: str, plain: object) -> FeedKey:
    if not isinstance(plain, dict):
        raise BadDocument(f"key {id_:.12}…: expected an object, got {type(plain).__name__}")
    _exactly(plain, "expires", "public")
    return FeedKey(_public(id_, plain, "public"), parse_time(plain, "expires"))


def _public(id_: str, plain: Plain, field: str) -> str:
    public = _text(plain, field, HEX64)
    if key_id(public) != id_:
        raise KeyMismatch(f"key {id_:.12}…: expected the id {key_id(public):.12}… of its public key")
    return public


def _exactly(plain: Plain, *names: str) -> None:
    if set(plain) != set(names):
        raise BadDocument(f"expected the fields {', '.join(names)}; got {', '.join(sorted(plain)) or 'none'}"[:300])


def _number(plain: Plain, field: str, low: int, high: int = canonical.MAX_INTEGER) -> int:
    value = plain[field]
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise BadDocument(f"{field}: expected a number from {low:,} to {high:,}, got {value!r:.40}")
    return value


def _text(plain: Plain, field: str, pattern: re.Pattern[str]) -> str:
    value = plain[field]
    if not isinstance(value, str) or not pattern.fullmatch(value):
        raise BadDocument(f"{field:.40}: expected {pattern.pattern}, got {value!r:.80}")
    return value


def parse_time(plain: Plain, field: str) -> datetime:
    """A time field. Raises ``BadDocument``."""
    value = plain[field]
    try:
        moment = datetime.strptime(value, TIME_FORMAT).replace(tzinfo=UTC)
    except (TypeError, ValueError):
        raise BadDocument(f"{field}: expected a time like 2026-05-03T03:00:00Z, got {value!r:.40}") from None
    if when(moment) != value:
        raise BadDocument(f"{field}: expected a time like 2026-05-03T03:00:00Z, got {value!r:.40}")
    return moment


def _object(plain: Plain, field: str, most: int, key: Callable[[str], Any]) -> Plain:
    value = plain[field]
    if not isinstance(value, dict) or len(value) > most or not all(key(each) for each in value):
        raise BadDocument(f"{field}: expected an object of at most {most} known keys, got {value!r:.80}")
    return value


def _digests(plain: Plain, field: str, most: int) -> tuple[str, ...]:
    value = plain[field]
    if not isinstance(value, list) or len(value) > most or not all(isinstance(each, str) for each in value):
        raise BadDocument(f"{field}: expected at most {most} digests, got {value!r:.80}")
    if value != sorted(set(value)) or not all(HEX64.fullmatch(each) for each in value):
        raise BadDocument(f"{field}: expected SHA-256 digests, sorted, each once, got {value!r:.80}")
    return tuple(value)


def _matching(pattern: re.Pattern[str]) -> Callable[[str], Any]:
    return pattern.fullmatch
