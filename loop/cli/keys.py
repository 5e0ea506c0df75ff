"""``loop keys create|list|revoke``: who may call the API."""

from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Annotated

import typer

from loop import access
from loop.access import Key, Role
from loop.cli.output import Json, console, emit, errors, open_home, say, table, when
from loop.clock import utc_now


def create(
    name: Annotated[str, typer.Argument(help="Who will hold it: an app, a person.", show_default=False)],
    role: Annotated[Role, typer.Option(help="app uploads, reviewer looks, ops may do everything else.")] = Role.APP,
    source: Annotated[
        str | None, typer.Option(help="Bind an app's key to one source; without, each phone proves its own.")
    ] = None,
    days: Annotated[int | None, typer.Option(min=1, max=3650, help="Refused after so many days.")] = None,
    as_json: Json = False,
) -> None:
    """Make a key and show its secret, once: only a hash is stored."""
    home, now = open_home(), utc_now()
    expires = None if days is None else now + timedelta(days=days)
    secret, key = access.create(home, name, role, source=source, expires=expires, actor=home.actor, now=now)
    if as_json:
        emit(asdict(key) | {"secret": secret})
        return
    errors.print(f"key {key.id}, {key.role}, for {key.name}: it is shown this once; keep it where secrets are kept")
    say(secret)


def list_(as_json: Json = False) -> None:
    """Every key: who holds it, what for, and whether it is refused."""
    home, now = open_home(), utc_now()
    keys = access.every(home)
    if as_json:
        emit([asdict(key) for key in keys])
        return
    shown = table("Keys", ">key", "name", "role", "source", "made", "by", "state")
    for key in keys:
        made = (when(key.created_at), key.actor)
        shown.add_row(str(key.id), key.name, key.role, key.source or "–", *made, _state(key, now))
    console.print(shown)


def revoke(
    number: Annotated[int, typer.Argument(metavar="KEY", help="A key's number.", show_default=False)],
    as_json: Json = False,
) -> None:
    """Refuse a key from now on; running servers hear of it within two seconds."""
    key = access.revoke(open_home(), number, utc_now())
    if as_json:
        emit(asdict(key))
        return
    say(f"key {key.id} ({key.name}) is revoked")


def _state(key: Key, now: datetime) -> str:
    if key.revoked_at is not None:
        return f"revoked {key.revoked_at:%Y-%m-%d}"
    if key.expires_at is None:
        return "good"
    return f"{'until' if now < key.expires_at else 'expired'} {key.expires_at:%Y-%m-%d}"
