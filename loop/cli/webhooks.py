"""``loop webhooks …``: who is told what happened, and whether it came through."""

from typing import Annotated, Any

import typer

from loop import webhooks
from loop.cli.output import Json, console, emit, open_home, say, table, when
from loop.clock import utc_now
from loop.store.service import hooks as stored
from loop.store.service.hooks import Delivery, Hook, Status
from loop.store.service.messages import Kind
from loop.webhooks import addresses, hooks

Id = Annotated[int, typer.Argument(help="A webhook's number, from `loop webhooks list`.", show_default=False)]
KINDS = ", ".join(hooks.SUBSCRIBABLE_KINDS)


def add(
    url: Annotated[str, typer.Argument(help="http or https; a public address unless webhooks_private is set.")],
    kind: Annotated[list[str] | None, typer.Option(help=f"Of which events: {KINDS}. Default: all.")] = None,
    as_json: Json = False,
) -> None:
    """Tell an address what happens; its secret is shown this once."""
    home = open_home()
    made = hooks.add(home, url, kind or [], home.actor, utc_now())
    if as_json:
        emit(_shown(made) | {"secret": made.secret})
        return
    say(f"webhook {made.id} · {_shown(made)['url']} · {', '.join(made.kinds)}", "bold")
    say(f"secret  {made.secret}")
    say("The receiver checks signatures with it. It is shown only now; the database keeps it, to sign.")
    say(f"`loop webhooks test {made.id}` sends a first message")


def list_(as_json: Json = False) -> None:
    """The webhooks; of an address only the host is shown, of a secret nothing."""
    home = open_home()
    with home.store.read() as tx:
        rows = [_shown(hook) for hook in stored.live(tx)]
    if as_json:
        emit(rows)
        return
    shown = table("Webhooks", ">webhook", "address", "who", "since", "what it is")
    for row in rows:
        told = "everything" if len(row["kinds"]) == len(hooks.SUBSCRIBABLE_KINDS) else ", ".join(row["kinds"])
        shown.add_row(str(row["webhook"]), row["url"], row["actor"], when(row["added_at"]), told)
    console.print(shown)


def remove(number: Id) -> None:
    """Tell an address nothing more; what waits for it is given up."""
    hooks.remove(open_home(), number, utc_now())
    say(f"webhook {number} is removed, its secret forgotten")


def ping(number: Id, as_json: Json = False) -> None:
    """Send a `webhook.test` now, and say what the address answered."""
    home = open_home()
    _tell([hooks.ping(home, number, home.actor)], as_json)


def deliveries(
    hook: Annotated[int | None, typer.Option(help="Only to this webhook.")] = None,
    status: Annotated[Status | None, typer.Option(help="Only these.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many.")] = 20,
    as_json: Json = False,
) -> None:
    """The last messages, newest first: what became of each, how often it was tried, what was answered."""
    with open_home().store.read() as tx:
        found = stored.deliveries(tx, hook, status, limit)
    _tell(found, as_json)


def retry(number: Id) -> None:
    """Try everything anew that was given up for a webhook."""
    home, now = open_home(), utc_now()
    with home.store.write() as tx:
        count = stored.again(tx, number, now)
    say(f"{count} messages wait again; the scheduler sends them, or `loop webhooks deliver`")


def deliver(limit: Annotated[int, typer.Option(min=1, help="Messages at most.")] = 100) -> None:
    """Send what is due now; the scheduler does so all the time."""
    say(f"{webhooks.deliver_due(open_home(), limit=limit)} messages were taken")


def _tell(found: list[Delivery], as_json: bool) -> None:
    if as_json:
        emit([_line(each) for each in found])
        return
    shown = table("Deliveries", ">delivery", ">webhook", ">event", "kind", "status", ">tries", "last", "next", "reason")
    for each in found:
        again = when(each.next_at) if each.status == Status.WAITING else ""
        cells = [str(each.id), str(each.hook.id), str(each.event.id), each.event.kind, each.status, str(each.attempts)]
        shown.add_row(*cells, when(each.tried_at), again, each.answer or "")
    console.print(shown)


def _line(each: Delivery) -> dict[str, Any]:
    return {
        "delivery": each.id,
        "webhook": each.hook.id,
        "event": each.event.id,
        "kind": each.event.kind,
        "body": each.event.body,
        "happened_at": each.event.happened_at,
        "status": each.status,
        "attempts": each.attempts,
        "answer": each.answer,
        "tried_at": each.tried_at,
        "next_at": each.next_at if each.status == Status.WAITING else None,
    }


def _shown(hook: Hook) -> dict[str, Any]:
    return {
        "webhook": hook.id,
        "url": addresses.parse(hook.url).shown,
        "kinds": [Kind(kind).value for kind in hook.kinds],
        "actor": hook.actor,
        "added_at": hook.added_at,
    }
