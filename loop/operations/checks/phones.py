"""Checks of what phones depend on: the champions' files, the feed, and the keys that sign it."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

from loop.errors import BadKey
from loop.feed import authority, keys, upkeep
from loop.feed.document import FeedKey
from loop.operations import files
from loop.operations.checks import Installation
from loop.operations.finding import Finding, broken, note, ok, warning
from loop.operations.verify import RESTORE_ADVICE, damage
from loop.store.nights import versions

EXPIRY_WARNING = timedelta(days=30)
"""A feed key is valid for a year, and a rotation needs root keys, which take time to fetch."""
FEED_LIFE_LEFT = 1 / 4
"""With this share of its life left, the feed's upkeep must have failed: it renews at a half."""


def artifacts(installation: Installation) -> Iterator[Finding]:
    """The files of champions and bases have their digests, and every file that a version names exists."""
    home = installation.home
    with home.store.read() as tx:
        every = versions.every(tx)
        bases = [versions.base(tx, family) for family in {version.family for version in every}]
        first = set(versions.aliases(tx)) | {base.number for base in bases if base is not None}
    read = files.named([version for version in every if version.number in first])
    named = files.named(every)
    for name, numbers in sorted(named.items()):
        if name in read:
            if (finding := damage(home, name, numbers)) is not None:
                yield finding
        elif not home.artifacts.path(name.digest, name.suffix).is_file():
            yield broken(
                "artifacts",
                f"the file of version {numbers[0]}",
                f"{name.digest}{name.suffix} is missing",
                RESTORE_ADVICE,
            )
    yield ok("artifacts", f"{len(named)} files exist, {len(read)} were read; loop verify reads all")


def feed(installation: Installation) -> Iterator[Finding]:
    """The published feed names the champions and has not expired."""
    home, now = installation.home, installation.now
    if not authority.chain(home):
        yield note("feed", "no keys yet, so nothing is published", "loop feed keys --create")
        return
    published, fix = upkeep.published(home), f"loop feed publish --to {home.settings.published}"
    if published is None:
        elsewhere = f"{fix}, or set LOOP_FEED_FOLDER to the published folder"
        yield warning("feed", "a published feed", f"none in {home.settings.published}", elsewhere)
        return
    left = published.expires - now
    if left <= timedelta():
        yield broken("feed", "a feed that devices accept", f"it expired at {published.expires:%Y-%m-%d %H:%M} UTC", fix)
    elif left < (published.expires - published.issued) * FEED_LIFE_LEFT:
        yield warning("feed", "a renewed feed", f"it expires at {published.expires:%Y-%m-%d %H:%M} UTC", fix)
    elif (why := upkeep.reason(home, published, now)) is not None and not why.startswith("it expires"):
        yield warning("feed", "a feed that names the champions", why, fix)
    else:
        yield ok("feed", f"sequence {published.sequence}, until {published.expires:%Y-%m-%d %H:%M} UTC")


def signing(installation: Installation) -> Iterator[Finding]:
    """Enough feed keys are here, can be opened, and do not expire soon; root keys are elsewhere."""
    home = installation.home
    if not authority.chain(home):
        return
    root = authority.trusted(home).root
    folder = authority.folder(home)
    here = keys.find([folder], root.feed_keys)
    if len(here) < root.feed_threshold:
        expected = f"{root.feed_threshold} feed keys in {folder}"
        yield broken(
            "keys", expected, f"{len(here)}", "copy the key there, or loop feed rotate --reason … --keys PLACE"
        )
    for id_, path in here.items():
        yield from _key(installation, root.feed_keys[id_], id_, path)
    if online := keys.find([folder], root.root_keys):
        yield note("keys", f"{len(online)} root keys are on this machine", "move them to offline media")


def _key(installation: Installation, key: FeedKey, id_: str, path: Path) -> Iterator[Finding]:
    secret = installation.home.settings.key_passphrase
    encrypted: list[Path] = []

    def passphrase(path: Path) -> str | None:
        encrypted.append(path)
        return None if secret is None else secret.get_secret_value()

    try:
        keys.load_many({id_: path}, passphrase)
    except BadKey as error:
        if encrypted and secret is None:
            fix = "set LOOP_KEY_PASSPHRASE where loop up runs, or publish by hand before the feed expires"
            yield warning("keys", "a feed key that opens without a prompt", f"{path} needs its passphrase", fix)
        else:
            fix = f"chmod 600 {path}, or set LOOP_KEY_PASSPHRASE"
            yield broken("keys", "a feed key that can be opened", str(error), fix)
    if (left := key.expires - installation.now) < EXPIRY_WARNING:
        fix = "loop feed rotate --reason … --keys PLACE, then loop feed publish"
        level = broken if left <= timedelta() else warning
        yield level("keys", "a feed key that stays valid", f"key {id_:.12}… expires {key.expires:%Y-%m-%d}", fix)
