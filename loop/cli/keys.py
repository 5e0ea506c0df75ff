"""``loop keys create|list|revoke``: the keys of the API."""

from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Annotated

import typer

from loop import access
from loop.access import Key, Role
from loop.cli.lazy import group
from loop.cli.output import Json, emit, errors, open_home, print_table, say, table, when
from loop.clock import utc_now


def create(
    name: Annotated[str, typer.Argument(help="Name of the app or person that will use the key.", show_default=False)],
    role: Annotated[Role, typer.Option(help="app: uploads. reviewer: reads. ops: everything else.")] = Role.APP,
    source: Annotated[
        str | None, typer.Option(help="Bind an app's key to one source; default: each phone proves its own source.")
    ] = None,
    days: Annotated[
        int | None, typer.Option(min=1, max=3650, help="Days until the key expires; default: never.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Create a key and print its secret once; only a hash is stored."""
    home, now = open_home(), utc_now()
    expires = None if days is None else now + timedelta(days=days)
    secret, key = access.create(home, name, role, source=source, expires=expires, actor=home.actor, now=now)
    if as_json:
        emit(asdict(key) | {"secret": secret})
        return
    errors.print(f"key {key.id}, role {key.role}, for {key.name}; its secret is printed only now, store it safely")
    say(secret)


def list_(as_json: Json = False) -> None:
    """List every key with its name, role and state."""
    home, now = open_home(), utc_now()
    keys = access.every(home)
    if as_json:
        emit([asdict(key) for key in keys])
        return
    shown = table("Keys", ">key", "name", "role", "source", "created", "by", "state")
    for key in keys:
        made = (when(key.created_at), key.actor)
        shown.add_row(str(key.id), key.name, key.role, key.source or "–", *made, _state(key, now))
    print_table(shown)


def revoke(
    number: Annotated[int, typer.Argument(metavar="KEY", help="A key's number.", show_default=False)],
    as_json: Json = False,
) -> None:
    """Revoke a key; running servers refuse it within two seconds."""
    key = access.revoke(open_home(), number, utc_now())
    if as_json:
        emit(asdict(key))
        return
    say(f"key {key.id} ({key.name}) is revoked")


def _state(key: Key, now: datetime) -> str:
    if key.revoked_at is not None:
        return f"revoked {key.revoked_at:%Y-%m-%d}"
    if key.expires_at is None:
        return "valid"
    return f"{'until' if now < key.expires_at else 'expired'} {key.expires_at:%Y-%m-%d}"


app = group("Manage API keys.", create=create, list_=list_, revoke=revoke)
