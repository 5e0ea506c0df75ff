"""``loop feed …``: signing keys, publication, and verification from a device's point of view."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

import typer

from loop import durable
from loop.cli.lazy import group
from loop.cli.output import Json, Reason, console, emit, errors, open_home, print_table, table, when
from loop.clock import utc_now
from loop.errors import BadSettings
from loop.feed import authority, client, publish
from loop.feed import keys as files
from loop.feed.client import verify
from loop.feed.document import Feed
from loop.feed.keys import Passphrase
from loop.feed.trust import Trusted
from loop.home import Home
from loop.home.settings import Settings
from loop.store.phones import feeds
from loop.store.values import Attribution

EXPIRY_WARNING = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class _Row:
    """One key, as it is printed."""

    id: str
    signs: str
    expires: datetime | None
    private_half: Path | None


Days = Annotated[int, typer.Option(min=1, max=3650, help="Days for which the new feed key may sign.")]
Encrypt = Annotated[bool, typer.Option("--encrypt", help="Ask for a passphrase; LOOP_KEY_PASSPHRASE also encrypts.")]


def keys(
    create: Annotated[bool, typer.Option("--create", help="Make the first keys and root 1.")] = False,
    roots: Annotated[int, typer.Option(min=1, max=16, help="With --create: number of root keys.")] = 3,
    threshold: Annotated[int, typer.Option(min=1, max=16, help="With --create: root keys that must sign a root.")] = 2,
    days: Days = 365,
    encrypt: Encrypt = False,
    adopt: Annotated[
        Path | None, typer.Option(help="Adopt the roots of a published folder, after the store lost them.")
    ] = None,
    save_root: Annotated[
        Path | None, typer.Option(help="Also write root 1 to this file; it is built into the app.")
    ] = None,
    as_json: Json = False,
) -> None:
    """List the feed's keys: what each may sign, until when, and which private keys are on this machine."""
    home, now = open_home(), utc_now()
    made: list[Path] = []
    if create:
        attribution = Attribution(home.actor, "first keys")
        trusted, made = authority.create(home, roots, threshold, days, _new(home.settings, encrypt), attribution, now)
    elif adopt is not None:
        trusted = publish.adopt(home, adopt, Attribution(home.actor, "adopted from a published folder"), now)
    else:
        trusted = authority.trusted(home)
    if save_root is not None:
        durable.write_whole(save_root, authority.first(home))
    _show(home, trusted, made, now, as_json)


def rotate(
    reason: Reason,
    keys_in: Annotated[
        list[Path] | None, typer.Option("--keys", help="Folder with root keys; may be repeated.")
    ] = None,
    replace_root: Annotated[
        list[str] | None, typer.Option(help="Also replace this root key, named by the first characters of its id.")
    ] = None,
    recover: Annotated[
        bool, typer.Option("--recover", help="After a theft of the feed key: devices discard its sequence numbers.")
    ] = False,
    days: Days = 365,
    encrypt: Encrypt = False,
    as_json: Json = False,
) -> None:
    """Replace and revoke the feed key, and the root keys that you name. Then run `loop feed publish`."""
    home, now = open_home(), utc_now()
    options = authority.RotationOptions(days, tuple(replace_root or ()), recover)
    folders = [*(keys_in or ()), authority.folder(home)]
    passphrase, attribution = _existing(home.settings), Attribution(home.actor, reason)
    new = _new(home.settings, encrypt)
    trusted, made = authority.rotate(home, options, folders, passphrase, new, attribution, now)
    _show(home, trusted, made, now, as_json)


def withdraw(
    number: Annotated[int, typer.Argument(help="A version's number.", show_default=False)],
    reason: Reason,
    as_json: Json = False,
) -> None:
    """Stop all devices from running a version, from the next publication on."""
    home = open_home()
    version = authority.withdraw(home, number, Attribution(home.actor, reason), utc_now())
    if as_json:
        emit({"version": number, "withdrawn": version.artifact_digest})
        return
    console.print(f"version {number} is withdrawn; run `loop feed publish`, so that devices learn of it")


def publish_(
    to: Annotated[Path | None, typer.Option(help="Folder to write; default: the setting feed_folder.")] = None,
    rollout: Annotated[
        int | None, typer.Option(min=0, max=100, help="Percentage of devices; default: the setting rollout_percent.")
    ] = None,
    urgent: Annotated[bool, typer.Option("--urgent", help="All devices install it at once.")] = False,
    as_json: Json = False,
) -> None:
    """Write feed, roots, models and golden vectors as static files for any web server or CDN."""
    home = open_home()
    if urgent and rollout not in (None, 100):
        raise BadSettings(f"--rollout: expected 100 or no value with --urgent, got {rollout}")
    options = publish.Options(home.settings.rollout_percent if rollout is None else rollout, urgent)
    attribution = Attribution(home.actor, "publish")
    to = to or home.settings.published
    feed = publish.publish(home, to, options, _existing(home.settings), attribution, utc_now())
    if as_json:
        emit(_feed(feed))
        return
    _print(feed)
    console.print(f"written to {to}", soft_wrap=True)


def verify_(
    place: Annotated[str, typer.Argument(help="A published folder, or its URL.", show_default=False)],
    root: Annotated[Path | None, typer.Option(help="The app's root document; default: root 1 of this home.")] = None,
    as_json: Json = False,
) -> None:
    """Verify a folder or server as a new device would: every root, the feed, every model and its golden vectors."""
    document = authority.first(open_home()) if root is None else _read(root)
    with client.at(place) as source:
        seen = verify.verify(source, document, utc_now())
    if as_json:
        emit({"root": seen.trusted.root.version} | _feed(seen.feed))
        return
    _print(seen.feed)
    console.print(f"✓ roots up to {seen.trusted.root.version}, the feed, all models and golden vectors are correct")


def _print(feed: Feed) -> None:
    console.print(f"feed {feed.sequence} of epoch {feed.epoch}, until {when(feed.expires)}")
    shown = table("", "channel", ">version", ">bytes", "minimum iOS", ">rollout", "")
    for name, each in feed.channels.items():
        cells = (name, str(each.version), f"{each.length:,}", each.minimum_ios, f"{each.rollout_percent} %")
        shown.add_row(*cells, "urgent" if each.urgent else "")
    print_table(shown)
    if feed.withdrawn:
        console.print("withdrawn: " + ", ".join(f"{digest:.12}…" for digest in feed.withdrawn))


def _feed(feed: Feed) -> dict[str, Any]:
    names = ("epoch", "sequence", "issued", "expires", "confirm_ppm", "channels", "withdrawn")
    return {name: getattr(feed, name) for name in names} | {"made_under_root": feed.root}


def _show(home: Home, trusted: Trusted, made: list[Path], now: datetime, as_json: bool) -> None:
    root = trusted.root
    here = files.find([authority.folder(home)], [*root.root_keys, *root.feed_keys])
    rows = [_Row(id_, "roots", None, here.get(id_)) for id_ in root.root_keys]
    rows += [_Row(id_, "feeds", key.expires, here.get(id_)) for id_, key in root.feed_keys.items()]
    with home.store.read() as tx:
        last = feeds.last_sequence(tx, root.epoch)
    if as_json:
        thresholds = {"roots": root.root_threshold, "feeds": root.feed_threshold}
        emit({"root": root.version, "epoch": root.epoch, "sequence": last, "thresholds": thresholds, "keys": rows})
        return
    console.print(f"root {root.version}, epoch {root.epoch}, last sequence {last or 'none'}")
    shown = table("", "key", "may sign", "expires", "private key")
    for row in rows:
        shown.add_row(f"{row.id:.12}…", row.signs, when(row.expires), str(row.private_half or "not on this machine"))
    print_table(shown)
    console.print(f"{root.root_threshold} of {len(root.root_keys)} root keys must sign a root")
    for path in made:
        console.print(f"new: {path}", soft_wrap=True)
    if any(path is not None for id_, path in here.items() if id_ in root.root_keys):
        errors.print("This machine holds root keys: move them to offline media.")
    if any(key.expires - now < EXPIRY_WARNING for key in root.feed_keys.values()):
        errors.print("The feed key expires soon: run `loop feed rotate`, then `loop feed publish`.")


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise BadSettings(f"{path}: expected the app's root document ({error.strerror})") from None


def _existing(settings: Settings) -> Passphrase:
    """How to get the passphrase of an encrypted key: from the setting, else from the terminal."""

    def ask(path: Path) -> str | None:
        if settings.key_passphrase is not None:
            return settings.key_passphrase.get_secret_value()
        answer: str = typer.prompt(f"Passphrase of {path.name}", hide_input=True, err=True)
        return answer

    return ask


def _new(settings: Settings, encrypt: bool) -> str | None:
    if settings.key_passphrase is not None:
        return settings.key_passphrase.get_secret_value()
    if not encrypt:
        return None
    answer: str = typer.prompt("Passphrase for the new keys", hide_input=True, confirmation_prompt=True, err=True)
    return answer


app = group(
    "Manage the signed feed: keys, publication, verification.",
    keys=keys,
    rotate=rotate,
    withdraw=withdraw,
    publish=publish_,
    verify=verify_,
)
