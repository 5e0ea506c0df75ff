"""Publish the champions as a folder of static files for any web server or CDN.

::

    feed.json                   replaced by every publication: cache it for minutes at most
    asking.json                 the same, with the feed's sequence; only if an asking policy was set
    root/1.json, root/2.json …  never changed, like everything below
    models/DIGEST.mlmodel
    golden/DIGEST.json

Rules: the checks of a device run before anything is written. Models, golden vectors and roots are written first, the
row that allocates the sequence second, the feed last. So after a kill at any point devices see the old feed or the new
one, and a sequence is never used twice. It is one more than any sequence of this epoch in the store or the folder, and
at least the time in seconds, so it rises even if store and folder were both restored from backups. Files of withdrawn
models are removed last. After a rotation the new root is briefly beside the old feed. Devices then refuse the feed and
keep their model until the next publication.
"""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import models
from loop import durable
from loop.errors import BadSettings, FeedRefused, NotPublishable
from loop.feed import asking, authority, canonical, checks, document, envelope, keys, roots, trust
from loop.feed.asking import AskingPolicy
from loop.feed.document import Feed, Release
from loop.feed.keys import Passphrase
from loop.feed.layout import ASKING_FILE, FEED_FILE, golden_path, model_path, root_path
from loop.feed.trust import Trusted
from loop.home import Home
from loop.store import values
from loop.store.asking import policies
from loop.store.nights import versions
from loop.store.phones import feeds
from loop.store.values import Attribution
from models import coreml

LOCK_SECONDS = 30.0
"""The maximum wait for another publication."""


@dataclass(frozen=True, slots=True)
class Options:
    """The settings of a publication.

    With ``before``, a channel with an unchanged model keeps its rollout and urgency, so a renewal changes neither.
    """

    rollout_percent: int = 100
    urgent: bool = False
    before: Feed | None = None

    def of(self, channel: str, digest: str) -> tuple[int, bool]:
        """Rollout and urgency of a model."""
        release = None if self.before is None else self.before.channels.get(channel)
        if release is not None and release.digest == digest:
            return release.rollout_percent, release.urgent
        return (100 if self.urgent else self.rollout_percent), self.urgent


@dataclass(frozen=True, slots=True)
class Content:
    """The content of a feed, read and checked: releases by channel, and files by path."""

    channels: Mapping[str, Release]
    files: Mapping[str, bytes]


def publish(
    home: Home, to: Path, options: Options, passphrase: Passphrase, attribution: Attribution, now: datetime
) -> Feed:
    """Write or renew the folder ``to``. Raises ``NotPublishable``, ``BadKey``, ``ArtifactCorrupt``, ``DiskFull``."""
    with _locked(to):
        root = _adopted(home, to, attribution, now)
        signers = keys.load_many(authority.signing_keys(home, root, now), passphrase)
        floor = _published_sequence(home, to, root)
        with home.store.read() as tx:
            withdrawn = sorted({each.digest for each in feeds.withdrawn(tx)})
        content = gather(home, options, withdrawn)
        rows = authority.chain(home)
        for row in rows:
            if _bytes(to / root_path(row.version)) not in (None, row.document):
                raise NotPublishable(
                    f"{to / root_path(row.version)}: expected this store's root, got another; use another folder"
                )
        for path, data in content.files.items():
            _write_once(to / path, data)
        for row in rows:
            _write_once(to / root_path(row.version), row.document)
        with home.store.exclusive() as tx:
            stored = feeds.last_sequence(tx, root.root.epoch)
            feed = Feed(
                epoch=root.root.epoch,
                sequence=max(stored + 1, floor + 1, int(now.timestamp())),
                root=root.root.version,
                issued=now.replace(microsecond=0),
                expires=now.replace(microsecond=0) + timedelta(hours=home.settings.feed_expires_hours),
                confirm_ppm=round(home.settings.confirm_rate * document.MILLION),
                channels=content.channels,
                withdrawn=tuple(withdrawn),
            )
            data = _sealed(feed, signers)
            feeds.add_entry(tx, values.FeedEntry(feed.epoch, feed.sequence, data, attribution.actor, now))
            policy = policies.latest(tx)
        durable.write_whole(to / FEED_FILE, data)
        if policy is not None:
            durable.write_whole(to / ASKING_FILE, _asking(feed, AskingPolicy(**policy.document), signers))
        for digest in withdrawn:
            (to / model_path(digest)).unlink(missing_ok=True)
    return feed


def gather(home: Home, options: Options, withdrawn: list[str]) -> Content:
    """The champions as releases with their files, each checked as on a device. Raises ``NotPublishable``."""
    channels: dict[str, Release] = {}
    files: dict[str, bytes] = {}
    for family, version in _champions(home).items():
        if version.artifact_digest in withdrawn:
            raise NotPublishable(f"version {version.number}, champion of {family}, is withdrawn; promote another")
        model = home.artifacts.get(version.artifact_digest, ".mlmodel")
        golden = home.artifacts.get(version.golden_digest, ".json")
        channel = f"{family}.mlmodel"
        rollout_percent, urgent = options.of(channel, version.artifact_digest)
        release = Release(
            version=version.number,
            digest=version.artifact_digest,
            length=len(model),
            golden_digest=version.golden_digest,
            golden_length=len(golden),
            minimum_ios=coreml.inspect(model).lowest_ios,
            rollout_percent=rollout_percent,
            urgent=urgent,
        )
        _check(checks.Files(channel, release, model, golden))
        channels[channel] = release
        files |= {model_path(release.digest): model, golden_path(release.golden_digest): golden}
    if not channels:
        raise NotPublishable("no family has a champion; run `loop init` or `loop promote`")
    return Content(channels, files)


def _champions(home: Home) -> dict[str, values.Version]:
    """The champion of each family that has one."""
    with home.store.read() as tx:
        champions = {family: versions.champion(tx, family) for family in models.NAMES}
    return {family: version for family, version in champions.items() if version is not None}


def adopt(home: Home, place: Path, attribution: Attribution, now: datetime) -> Trusted:
    """Copy a folder's chain of roots into a store that has none, after the store was lost.

    The caller vouches for the folder's first root. Raises ``NotPublishable``, ``FeedRefused``.
    """
    if authority.chain(home):
        raise NotPublishable("the store already has roots; `loop feed publish` finds a longer chain in a folder")
    first = _bytes(place / root_path(1))
    if first is None:
        raise NotPublishable(f"{place / root_path(1)}: no such file; name a published folder")
    trust.begin(first)
    authority.add(home, first, attribution, now)
    return _adopted(home, place, attribution, now)


def _adopted(home: Home, to: Path, attribution: Attribution, now: datetime) -> Trusted:
    """The newest root, of the store or of the folder: a store from a backup may lack the last rotation."""
    trusted = authority.trusted(home)
    while (data := _bytes(to / root_path(trusted.root.version + 1))) is not None:
        try:
            trusted = trust.follow(trusted, data)
        except FeedRefused as error:
            raise NotPublishable(
                f"{to}: expected this store's roots, got others ({error}); use another folder"
            ) from None
        authority.add(home, data, Attribution(attribution.actor, f"found in {to.name or 'the folder'}"), now)
    return trusted


def _published_sequence(home: Home, to: Path, root: Trusted) -> int:
    """The sequence of the folder's feed in this epoch, or 0. The feed must be signed by one of our keys."""
    data = _bytes(to / FEED_FILE)
    if data is None:
        return 0
    try:
        signed = envelope.unseal(data)
        every = [trust.begin(row.document).root for row in authority.chain(home)]
        publics = {id_: key.public for each in every for id_, key in each.feed_keys.items()}
        if not envelope.signers(signed, publics):
            raise NotPublishable(f"{to / FEED_FILE}: not signed by our keys; move it away, or use another folder")
        feed = document.parse_feed(signed.body)
    except FeedRefused as error:
        raise NotPublishable(
            f"{to / FEED_FILE}: expected our feed, got other content ({error}); move it away, or use another folder"
        ) from None
    return feed.sequence if feed.epoch == root.root.epoch else 0


def _sealed(feed: Feed, signers: roots.Keys) -> bytes:
    try:
        return envelope.seal(document.feed_bytes(feed), signers.values())
    except FeedRefused as error:
        hint = "; `loop feed rotate --recover` restarts sequences" if feed.sequence > canonical.MAX_INTEGER else ""
        raise NotPublishable(f"no device would accept this feed ({error}){hint}") from None


def _asking(feed: Feed, policy: AskingPolicy, signers: roots.Keys) -> bytes:
    """The policy as a document of the feed's sequence and times."""
    made = asking.Asking(feed.epoch, feed.sequence, feed.issued, feed.expires, policy)
    return envelope.seal(asking.asking_bytes(made), signers.values())


def _check(files: checks.Files) -> None:
    try:
        checks.check(files)
    except FeedRefused as error:
        raise NotPublishable(f"version {files.release.version}: no device would accept it ({error})") from None


def _bytes(path: Path) -> bytes | None:
    """A file of the folder, up to one byte more than a document may have; None if there is no file."""
    try:
        with path.open("rb") as file:
            return file.read(document.MAX_BYTES + 1)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise NotPublishable(f"{path}: cannot read ({error.strerror}); repair the folder") from None


def _write_once(path: Path, data: bytes) -> None:
    """Files named by digest or number never change; an existing file is compared, not trusted."""
    if not (path.is_file() and path.stat().st_size == len(data) and path.read_bytes() == data):
        _make_public(path.parent)
        durable.write_whole(path, data)


def _make_public(folder: Path) -> None:
    """Create a folder that a web server of another user can read, whatever the umask; one that exists stays as it is.

    Raises ``OSError``.
    """
    if not folder.is_dir():
        durable.make_folder(folder)
        folder.chmod(0o755)


@contextmanager
def _locked(to: Path) -> Iterator[None]:
    """Allow one publication at a time per folder. A killed one loses its lock; one that hangs is reported."""
    with ExitStack() as stack:
        try:
            _make_public(to)
            stack.enter_context(durable.locked(to / ".lock", LOCK_SECONDS))
        except durable.AlreadyLocked:
            raise NotPublishable(
                f"{to}: another publication has held the lock for {LOCK_SECONDS:g} s; end it"
            ) from None
        except OSError as error:
            raise BadSettings(f"{to}: expected a folder that can be written ({error.strerror})") from None
        yield
