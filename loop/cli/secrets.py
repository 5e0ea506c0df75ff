"""``loop secrets show|rotate|reset``: the key that seals the secrets in the database."""

from typing import Annotated

import typer

from loop.cli.lazy import group
from loop.cli.output import Json, emit, open_home, print_table, say, table
from loop.clock import utc_now
from loop.errors import BadSettings
from loop.home.sealing_key import KeyFile
from loop.operations import sealing
from loop.store.service import secrets_at_rest


def show(as_json: Json = False) -> None:
    """List the sealed secrets, the key of each, and the keys in the key file; no secret is printed."""
    home = open_home()
    path = home.settings.sealing_key_file
    keys = [key.id for key in KeyFile(path).read()]
    with home.store.read() as tx:
        every = secrets_at_rest.every(tx)
        closed = {kept.purpose for kept, _ in secrets_at_rest.closed(tx)}
    rows = [{"secret": kept.purpose, "key": kept.key, "opens": kept.purpose not in closed} for kept in every]
    if as_json:
        emit({"path": path, "keys": keys, "secrets": rows})
        return
    shown = table(f"{path}: {', '.join(keys) or 'no key yet'}", "secret", "sealed with", "opens here")
    for row in rows:
        shown.add_row(
            str(row["secret"]), str(row["key"] or "not sealed: loop migrate"), "yes" if row["opens"] else "NO"
        )
    print_table(shown)


def rotate(
    forget: Annotated[
        bool, typer.Option("--forget-earlier", help="Remove the earlier keys; earlier backups need their own copy.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Seal every secret with a new key. Running processes follow by themselves.

    The secrets stay the same: replace a webhook's secret by adding the webhook again.
    """
    done = sealing.rotate(open_home(), forget=forget)
    if as_json:
        emit(done)
        return
    say(f"{done.secrets} secrets are sealed with key {done.key}; {done.path} keeps {done.earlier} earlier keys")
    say("copy the file to every other machine that shares the database, and to its place of safety")


def reset(
    yes: Annotated[bool, typer.Option("--yes", help="Required: what is forgotten cannot be brought back.")] = False,
    as_json: Json = False,
) -> None:
    """Forget the secrets that do not open, because the key file is lost.

    A new holdout salt is made: sources keep their role, but late uploads of erased sources are no longer refused.
    Webhooks are removed. Look for a copy of the key file, or a backup made with --keys, first.
    """
    if not yes:
        raise BadSettings("--yes: expected, because what is forgotten cannot be brought back; look for a copy first")
    forgotten = sealing.reset(open_home(), utc_now())
    if as_json:
        emit({"forgotten": forgotten})
    else:
        say(f"forgotten: {', '.join(forgotten)}; add removed webhooks again")


app = group("Manage the key that seals the secrets in the database.", show=show, rotate=rotate, reset=reset)
