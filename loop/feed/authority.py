"""The feed's memory in the store: its chain of roots, its keys on this machine, what was withdrawn.

Creating and rotating keys write the private halves first, whole, and then the row that makes them count: a killed
command leaves at most a key that nothing names.
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
    """What a rotation shall change. ``replace`` are beginnings of ids of root keys that get a successor."""

    days: int = 365
    replace: tuple[str, ...] = ()
    recover: bool = False


def folder(home: Home) -> Path:
    """Where private keys lie unless the command line says otherwise."""
    return home.settings.keys or home.settings.home / "keys"


def trusted(home: Home) -> Trusted:
    """The newest root. Raises ``NotPublishable`` where there is none."""
    return roots.chain([row.document for row in chain(home)])


def first(home: Home) -> bytes:
    """Root 1, as it is built into the app. Raises ``NotPublishable`` where there is none."""
    rows = chain(home)
    roots.chain([row.document for row in rows])
    return rows[0].document


def chain(home: Home) -> list[values.FeedRoot]:
    """Every root, oldest first."""
    with home.store.read() as tx:
        return feeds.roots(tx)


def create(
    home: Home, count: int, threshold: int, days: int, passphrase: str | None, order: Attribution, now: datetime
) -> tuple[Trusted, list[Path]]:
    """Make root keys, the last of them for recovery, and a feed key; write root 1. Raises ``NotPublishable``."""
    if chain(home):
        raise NotPublishable("the feed has keys already; `loop feed rotate` replaces them")
    root_keys = dict(keys.generate() for _ in range(count))
    _, feed_key = keys.generate()
    data = roots.first(root_keys, threshold, roots.feed_key(feed_key, now + timedelta(days=days)), now)
    names = [RECOVERY if count > 1 and i == count - 1 else ROOT for i in range(count)]
    paths = [
        keys.save(folder(home), name, key, passphrase) for name, key in zip(names, root_keys.values(), strict=True)
    ]
    paths.append(keys.save(folder(home), FEED, feed_key, passphrase))
    add(home, data, order, now)
    return trust.begin(data), paths


def rotate(
    home: Home,
    wish: RotationOptions,
    folders: Iterable[Path],
    ask: Passphrase,
    passphrase: str | None,
    order: Attribution,
    now: datetime,
) -> tuple[Trusted, list[Path]]:
    """Replace the feed key, and root keys where wished; write the next root. Raises ``NotPublishable``, ``BadKey``.

    The old feed key is revoked: devices refuse it as soon as they have seen the new root.
    """
    before = trusted(home)
    replaced = {_named(before, beginning) for beginning in wish.replace}
    signers = keys.load_many(keys.find(folders, before.root.root_keys), ask)
    new_roots = dict(keys.generate() for _ in replaced)
    _, feed_key = keys.generate()
    kept = {id_: public for id_, public in before.root.root_keys.items() if id_ not in replaced}
    change = Change(
        feed_keys=roots.feed_key(feed_key, now + timedelta(days=wish.days)),
        root_keys=kept | {id_: envelope.public_half(key) for id_, key in new_roots.items()},
        new_epoch=wish.recover,
    )
    data = roots.next_root(before, change, signers | new_roots, now)
    paths = [keys.save(folder(home), ROOT, key, passphrase) for key in new_roots.values()]
    paths.append(keys.save(folder(home), FEED, feed_key, passphrase))
    add(home, data, order, now)
    return trust.follow(before, data), paths


def add(home: Home, data: bytes, order: Attribution, now: datetime) -> None:
    """Append a root. Raises ``NotPublishable`` where another command was quicker."""
    version = document.parse_root(envelope.unseal(data).body).version
    try:
        with home.store.exclusive() as tx:
            feeds.add_root(tx, values.FeedRoot(version, data, order.actor, order.reason, now))
    except IntegrityError:
        raise NotPublishable(
            f"root {version} is there already: another command was quicker; look, then again"
        ) from None


def withdraw(home: Home, number: int, order: Attribution, now: datetime) -> values.Version:
    """No device may run this version any longer. Raises ``UnknownVersion``, ``NotPublishable``."""
    with home.store.exclusive() as tx:
        version = versions.get(tx, number)
        if versions.holder(tx, version.family) == number:
            raise NotPublishable(f"version {number} is champion of {version.family}; `loop rollback` first")
        if number in {each.version for each in feeds.withdrawn(tx)}:
            raise NotPublishable(f"version {number} is withdrawn already; `loop feed publish` tells the devices")
        withdrawal = values.Withdrawal(number, version.artifact_digest, order.actor, order.reason, now)
        feeds.withdraw(tx, withdrawal)
        outbox.record(tx, messages.Kind.WITHDRAWN, messages.withdrawn(version.family, withdrawal), now)
    return version


def signing_keys(home: Home, root: Trusted, now: datetime) -> dict[str, Path]:
    """The feed keys on this machine that may sign now, ids to files. Raises ``NotPublishable`` if there are too few."""
    valid: dict[str, FeedKey] = {id_: key for id_, key in root.root.feed_keys.items() if now < key.expires}
    found = keys.find([folder(home)], valid)
    if len(found) < root.root.feed_threshold:
        raise NotPublishable(
            f"expected {root.root.feed_threshold} feed keys that are valid and in {folder(home)}, found {len(found)} "
            f"of {len(valid)}; bring the key, or `loop feed rotate`"
        )
    return found


def _named(root: Trusted, beginning: str) -> str:
    found = [id_ for id_ in root.root.root_keys if len(beginning) >= 6 and id_.startswith(beginning)]
    if len(found) != 1:
        raise NotPublishable(f"expected six digits or more that begin one root key's id, got {beginning[:64]!r}")
    return found[0]
