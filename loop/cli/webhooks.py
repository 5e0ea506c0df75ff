"""``loop webhooks …``: addresses that receive signed messages, and what became of each message."""

from typing import Annotated, Any

import typer

from loop import webhooks
from loop.cli.lazy import group
from loop.cli.output import Json, emit, open_home, print_table, say, table, when
from loop.clock import utc_now
from loop.store.service import hooks as stored
from loop.store.service.hooks import Delivery, Hook, Status
from loop.store.service.messages import Kind
from loop.webhooks import addresses, hooks

Id = Annotated[int, typer.Argument(help="A webhook's number, from `loop webhooks list`.", show_default=False)]
KINDS = ", ".join(hooks.SUBSCRIBABLE_KINDS)


def add(
    url: Annotated[str, typer.Argument(help="http or https; public, unless the setting webhooks_private is true.")],
    kind: Annotated[list[str] | None, typer.Option(help=f"Kinds of event to send: {KINDS}. Default: all.")] = None,
    as_json: Json = False,
) -> None:
    """Add a webhook and print its secret once."""
    home = open_home()
    made = hooks.add(home, url, kind or [], home.actor, utc_now())
    if as_json:
        emit(_shown(made) | {"secret": made.secret})
        return
    say(f"webhook {made.id} · {_shown(made)['url']} · {', '.join(made.kinds)}", "bold")
    say(f"secret  {made.secret}")
    say("The receiver verifies signatures with this secret. It is printed only now; the database keeps it for signing.")
    say(f"`loop webhooks test {made.id}` sends a test message")


def list_(as_json: Json = False) -> None:
    """List the webhooks. Only the host of an address is shown, and no secret."""
    home = open_home()
    with home.store.read() as tx:
        rows = [_shown(hook) for hook in stored.live(tx)]
    if as_json:
        emit(rows)
        return
    shown = table("Webhooks", ">webhook", "address", "by", "added", "events")
    for row in rows:
        events = "all" if len(row["kinds"]) == len(hooks.SUBSCRIBABLE_KINDS) else ", ".join(row["kinds"])
        shown.add_row(str(row["webhook"]), row["url"], row["actor"], when(row["added_at"]), events)
    print_table(shown)


def remove(number: Id) -> None:
    """Remove a webhook and drop the messages that wait for it."""
    hooks.remove(open_home(), number, utc_now())
    say(f"webhook {number} is removed and its secret deleted")


def ping(number: Id, as_json: Json = False) -> None:
    """Send a `webhook.test` now and print the answer."""
    home = open_home()
    _list([hooks.ping(home, number, home.actor)], as_json)


def deliveries(
    hook: Annotated[int | None, typer.Option(help="Only deliveries to this webhook.")] = None,
    status: Annotated[Status | None, typer.Option(help="Only deliveries with this status.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="Number of deliveries.")] = 20,
    as_json: Json = False,
) -> None:
    """List the last messages, newest first, with status, attempts and the answer."""
    with open_home().store.read() as tx:
        recent = stored.deliveries(tx, hook, status, limit)
    _list(recent, as_json)


def retry(number: Id) -> None:
    """Retry every message to a webhook that was given up."""
    home, now = open_home(), utc_now()
    with home.store.write() as tx:
        count = stored.again(tx, number, now)
    say(f"{count} messages are queued again; the scheduler or `loop webhooks deliver` sends them")


def deliver(limit: Annotated[int, typer.Option(min=1, help="Largest number of messages.")] = 100) -> None:
    """Send the messages that are due now; a running scheduler does this by itself."""
    say(f"{webhooks.deliver_due(open_home(), limit=limit)} messages were attempted")


def _list(recent: list[Delivery], as_json: bool) -> None:
    if as_json:
        emit([_line(each) for each in recent])
        return
    shown = table("Deliveries", ">delivery", ">webhook", ">event", "kind", "status", ">tries", "last", "next", "reason")
    for each in recent:
        again = when(each.next_at) if each.status == Status.WAITING else ""
        cells = [str(each.id), str(each.hook.id), str(each.event.id), each.event.kind, each.status, str(each.attempts)]
        shown.add_row(*cells, when(each.tried_at), again, each.answer or "")
    print_table(shown)


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
        "url": addresses.parse(hook.url).masked,
        "kinds": [Kind(kind).value for kind in hook.kinds],
        "actor": hook.actor,
        "added_at": hook.added_at,
    }


app = group(
    "Manage webhooks: signed messages about nights, promotions and rollbacks.",
    add=add,
    list_=list_,
    remove=remove,
    test=ping,
    deliveries=deliveries,
    retry=retry,
    deliver=deliver,
)
