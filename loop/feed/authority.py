"""Root documents, keys and withdrawals: create, rotate and look up.

The store keeps the chain of roots and the withdrawals; private keys are files on this machine. Creating and rotating
write the private keys first and then the row that certifies them: a killed command leaves at most an unused key file.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from sqlalchemy.exc import IntegrityError

from loop.errors import NotPublishable
from loop.feed import document, envelope, keys, roots, trust
from loop.feed.document import FeedKey
from loop.feed.keys import Passphrase
from loop.feed.roots import Change
from loop.feed.trust import Trusted
from loop.home import Home
from loop.store import values
from loop.store.nights import versions
from loop.store.phones import feeds
from loop.store.service import messages, outbox
from loop.store.values import Attribution

ROOT, RECOVERY, FEED = "root", "recovery", "feed"


@dataclass(frozen=True, slots=True)
class RotationOptions:
    """What a rotation changes. ``replace`` lists the first digits of the ids of root keys to replace."""

    days: int = 365
    replace: tuple[str, ...] = ()
    recover: bool = False


def folder(home: Home) -> Path:
    """The default folder of private keys."""
    return home.settings.keys or home.settings.home / "keys"


def trusted(home: Home) -> Trusted:
    """The newest root. Raises ``NotPublishable`` if there is none."""
    return roots.chain([row.document for row in chain(home)])


def first(home: Home) -> bytes:
    """Root 1, which is built into the app. Raises ``NotPublishable`` if there is none."""
    rows = chain(home)
    roots.chain([row.document for row in rows])
    return rows[0].document


def chain(home: Home) -> list[values.FeedRoot]:
    """Every root, oldest first."""
    with home.store.read() as tx:
        return feeds.roots(tx)


def create(
    home: Home, count: int, threshold: int, days: int, passphrase: str | None, attribution: Attribution, now: datetime
) -> tuple[Trusted, list[Path]]:
    """Create root keys, the last of them for recovery, and a feed key; write root 1. Raises ``NotPublishable``."""
    if chain(home):
        raise NotPublishable("the feed already has keys; `loop feed rotate` replaces them")
    root_keys = dict(keys.generate() for _ in range(count))
    _, feed_key = keys.generate()
    data = roots.first(root_keys, threshold, roots.feed_key(feed_key, now + timedelta(days=days)), now)
    names = [RECOVERY if count > 1 and i == count - 1 else ROOT for i in range(count)]
    paths = [
        keys.save(folder(home), name, key, passphrase) for name, key in zip(names, root_keys.values(), strict=True)
    ]
    paths.append(keys.save(folder(home), FEED, feed_key, passphrase))
    add(home, data, attribution, now)
    return trust.begin(data), paths


def rotate(
    home: Home,
    options: RotationOptions,
    folders: Iterable[Path],
    passphrase: Passphrase,
    new_passphrase: str | None,
    attribution: Attribution,
    now: datetime,
) -> tuple[Trusted, list[Path]]:
    """Replace the feed key and the given root keys; write the next root. Raises ``NotPublishable``, ``BadKey``.

    ``passphrase`` opens the existing root keys; ``new_passphrase`` encrypts the new keys, None leaves them unencrypted.
    The old feed key is revoked: devices refuse it once they have seen the new root.
    """
    before = trusted(home)
    replaced = {_root_key(before, prefix) for prefix in options.replace}
    signers = keys.load_many(keys.find(folders, before.root.root_keys), passphrase)
    new_roots = dict(keys.generate() for _ in replaced)
    _, feed_key = keys.generate()
    kept = {id_: public for id_, public in before.root.root_keys.items() if id_ not in replaced}
    change = Change(
        feed_keys=roots.feed_key(feed_key, now + timedelta(days=options.days)),
        root_keys=kept | {id_: envelope.public_half(key) for id_, key in new_roots.items()},
        new_epoch=options.recover,
    )
    data = roots.next_root(before, change, signers | new_roots, now)
    paths = [keys.save(folder(home), ROOT, key, new_passphrase) for key in new_roots.values()]
    paths.append(keys.save(folder(home), FEED, feed_key, new_passphrase))
    add(home, data, attribution, now)
    return trust.follow(before, data), paths


def add(home: Home, data: bytes, attribution: Attribution, now: datetime) -> None:
    """Append a root. Raises ``NotPublishable`` if another command has appended one in the meantime."""
    version = document.parse_root(envelope.unseal(data).body).version
    try:
        with home.store.exclusive() as tx:
            feeds.add_root(tx, values.FeedRoot(version, data, attribution.actor, attribution.reason, now))
    except IntegrityError:
        raise NotPublishable(
            f"root {version} already exists: another command added it; check `loop feed keys` and try again"
        ) from None


def withdraw(home: Home, number: int, attribution: Attribution, now: datetime) -> values.Version:
    """Withdraw a version, so that no device may run it. Raises ``UnknownVersion``, ``NotPublishable``."""
    with home.store.exclusive() as tx:
        version = versions.get(tx, number)
        if versions.holder(tx, version.family) == number:
            raise NotPublishable(f"version {number} is champion of {version.family}; run `loop rollback` first")
        if number in {each.version for each in feeds.withdrawn(tx)}:
            raise NotPublishable(f"version {number} is already withdrawn; run `loop feed publish` to inform devices")
        withdrawal = values.Withdrawal(number, version.artifact_digest, attribution.actor, attribution.reason, now)
        feeds.withdraw(tx, withdrawal)
        outbox.record(tx, messages.Kind.WITHDRAWN, messages.withdrawn(version.family, withdrawal), now)
    return version


def signing_keys(home: Home, root: Trusted, now: datetime) -> dict[str, Path]:
    """The feed keys on this machine that may sign now, ids to files. Raises ``NotPublishable`` if there are too few."""
    valid: dict[str, FeedKey] = {id_: key for id_, key in root.root.feed_keys.items() if now < key.expires}
    files = keys.find([folder(home)], valid)
    if len(files) < root.root.feed_threshold:
        raise NotPublishable(
            f"expected {root.root.feed_threshold} feed keys that are valid and in {folder(home)}, found {len(files)} "
            f"of {len(valid)}; copy the key there, or run `loop feed rotate`"
        )
    return files


def _root_key(root: Trusted, prefix: str) -> str:
    matches = [id_ for id_ in root.root.root_keys if len(prefix) >= 6 and id_.startswith(prefix)]
    if len(matches) != 1:
        raise NotPublishable(f"expected the first six or more digits of one root key's id, got {prefix[:64]!r}")
    return matches[0]
