"""A publisher and its server in memory, honest by default; an attacker may change any part of them.

``Publisher`` signs; ``Shelf`` holds the server's files, a dictionary from path to bytes that a test may change.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

import numpy as np
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from loop.evaluation import export_check
from loop.feed import document, envelope, roots, trust
from loop.feed.client.source import (
    Missing,
)
from loop.feed.document import Feed, Release
from loop.feed.layout import (
    FEED_FILE,
    golden_path,
    model_path,
    root_path,
)
from loop.feed.roots import Change
from models.coreml.proto import model_pb2
from tests.helpers import stripes

NOW = datetime(2026, 5, 3, 3, 0, tzinfo=UTC)
HOUR, YEAR = timedelta(hours=1), timedelta(days=365)
CHANNEL = "cnn.mlmodel"
Key = Ed25519PrivateKey


def key(name: str) -> Key:
    """A key that depends only on the name."""
    return Key.from_private_bytes(hashlib.sha256(name.encode()).digest())


def id_of(private: Key) -> str:
    """A key's id."""
    return document.key_id(envelope.public_half(private))


@cache
def model(version: int, family: str = "cnn", wrong: bool = False) -> tuple[bytes, bytes]:
    """A stripes model with metadata, and its golden vectors; ``wrong``: vectors that it does not reproduce."""
    spec = model_pb2().Model.FromString(stripes.image_model(bias=version / 100))
    spec.description.metadata.userDefined["loop.family"] = family
    spec.description.metadata.userDefined["loop.version"] = str(version)
    data = spec.SerializeToString(deterministic=True)
    golden = export_check.golden(data, stripes.images(), np.arange(10, dtype=np.uint8))
    if wrong:
        plain = json.loads(golden)
        plain["vectors"][3]["probabilities"] = [0.1] * 10
        golden = json.dumps(plain, sort_keys=True, separators=(",", ":")).encode()
    return data, golden


def release(version: int, data: bytes, golden: bytes, **changes: Any) -> Release:
    """The release of a model."""
    made = Release(
        version=version,
        digest=hashlib.sha256(data).hexdigest(),
        length=len(data),
        golden_digest=hashlib.sha256(golden).hexdigest(),
        golden_length=len(golden),
        minimum_ios="11.0",
    )
    return replace(made, **changes)


@dataclass
class Shelf:
    """The files of a server; a ``Source``. ``opened`` lists the requested paths and offsets."""

    files: dict[str, bytes] = field(default_factory=dict)
    opened: list[tuple[str, int]] = field(default_factory=list)
    piece: int = 4096

    @contextmanager
    def open(self, path: str, offset: int = 0) -> Iterator[tuple[int, Iterator[bytes]]]:
        """See ``Source``."""
        self.opened.append((path, offset))
        if path not in self.files:
            raise Missing(f"{path}: no such file")
        data = self.files[path][offset:]
        yield offset, iter([data[i : i + self.piece] for i in range(0, len(data), self.piece)])


@dataclass
class Publisher:
    """A publisher with root keys a, b, c, a threshold of two and one feed key; it writes to its shelf."""

    now: datetime = NOW
    shelf: Shelf = field(default_factory=Shelf)
    root_keys: list[Key] = field(default_factory=lambda: [key("root-a"), key("root-b"), key("root-c")])
    feed_keys: list[Key] = field(default_factory=lambda: [key("feed-1")])
    sequence: int = 0
    before: bytes = b""  # an earlier feed

    def __post_init__(self) -> None:
        """Write root 1."""
        self.app_root = roots.first({id_of(k): k for k in self.root_keys}, 2, self.certified(), self.now)
        self.trusted = trust.begin(self.app_root)
        self.roots = {root_path(1): self.app_root}
        self.shelf.files |= self.roots

    def certified(self, expires: datetime | None = None) -> dict[str, document.FeedKey]:
        """The feed keys as entries of a root."""
        named: dict[str, document.FeedKey] = {}
        for private in self.feed_keys:
            named |= roots.feed_key(private, expires or self.now + YEAR)
        return named

    def change(self, **changes: Any) -> Change:
        """The next root's content: the current one with changes."""
        publics = {id_of(k): envelope.public_half(k) for k in self.root_keys}
        return replace(Change(self.certified(), publics), **changes)

    def rotate(self, *signers: Key, **changes: Any) -> bytes:
        """Sign the next root with the old and current root keys, or with ``signers``, and put it on the shelf."""
        chosen = signers or (*self.root_keys,)
        data = roots.next_root(self.trusted, self.change(**changes), {id_of(k): k for k in chosen}, self.now)
        self.trusted = trust.follow(self.trusted, data)
        if changes.get("new_epoch"):
            self.sequence = 0
        self.roots[root_path(self.trusted.root.version)] = data
        self.shelf.files |= self.roots
        return data

    def start_anew(self, version: int, epoch: int, names: str = "new", **changes: Any) -> bytes:
        """A root by new keys, of a new chain: what a new app has after the root keys were lost. Not shelved."""
        self.root_keys = [key(f"{names}-{i}") for i in range(3)]
        self.feed_keys = [key(f"{names}-feed")]
        publics = {id_of(k): envelope.public_half(k) for k in self.root_keys}
        root = document.Root(version, epoch, self.now, publics, 2, self.certified())
        data = envelope.seal(document.root_bytes(replace(root, **changes)), self.root_keys)
        self.trusted, self.app_root = trust.begin(data), data
        self.sequence = 0
        return data

    def feed(self, version: int = 1, family: str = "cnn", wrong: bool = False, **changes: Any) -> Feed:
        """The next feed, for a version whose files are put on the shelf; ``changes`` apply to feed or release."""
        data, golden = model(version, family, wrong)
        of_release = {name: changes.pop(name) for name in list(changes) if name in Release.__slots__}
        named = release(version, data, golden, **of_release)
        self.shelf.files |= {model_path(named.digest): data, golden_path(named.golden_digest): golden}
        self.sequence += 1
        made = Feed(
            epoch=self.trusted.root.epoch,
            sequence=self.sequence,
            root=self.trusted.root.version,
            issued=self.now,
            expires=self.now + 24 * HOUR,
            confirm_ppm=50_000,
            channels={CHANNEL: named},
        )
        return replace(made, **changes)

    def sign(self, feed: Feed | bytes, signers: Iterable[Key] | None = None) -> bytes:
        """Signed bytes, not put on the shelf."""
        body = feed if isinstance(feed, bytes) else document.feed_bytes(feed)
        return envelope.seal(body, self.feed_keys if signers is None else signers)

    def show(self, data: bytes) -> bytes:
        """Put feed bytes on the shelf."""
        self.shelf.files[FEED_FILE] = data
        return data

    def publish(self, version: int = 1, **changes: Any) -> bytes:
        """Sign the next feed and put it on the shelf."""
        return self.show(self.sign(self.feed(version, **changes)))
