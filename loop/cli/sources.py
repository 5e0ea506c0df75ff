"""``loop sources``, ``erase``: list sources, show and vouch for one, erase one with everything derived from it."""

import logging
from dataclasses import asdict
from typing import Annotated

import typer

from loop.cli.output import Json, emit, errors, open_home, print_table, say, table, when
from loop.clock import utc_now
from loop.intake import erasure
from loop.store.feedback import source_counts as stored
from loop.store.feedback import taint
from loop.store.feedback import trust as trusts
from loop.store.feedback.trust import Trusted
from loop.store.values import Attribution, Role

log = logging.getLogger(__name__)

ROLES = {Role.TRAIN: "teach", Role.HOLDOUT: "judge"}
Name = Annotated[str, typer.Argument(help="Pseudonymous id of the source.", show_default=False)]

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode="rich")


@app.callback(invoke_without_command=True)
def sources(
    context: typer.Context,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="Number of sources.")] = 100,
    as_json: Json = False,
) -> None:
    """List sources with their role, the number of their uploads and their trust; show one, or vouch for it.

    The source with the newest upload comes first. Digits of a source either teach or judge, never both. Trust is from 0
    to 1, as the last night assessed it; *vouched* sources have 1.
    """
    if context.invoked_subcommand is not None:
        return
    with open_home().store.read() as tx:
        rows = stored.listing(tx, limit)
        known = trusts.some(tx, [row.name for row in rows])
    if as_json:
        emit([asdict(row) | asdict(known[row.name]) for row in rows])
        return
    shown = table("Sources", "source", "role", ">uploads", ">corrected", ">confirmed", ">days", ">trust")
    for row in rows:
        counts = (row.uploads, row.corrections, row.confirmations, known[row.name].days_seen)
        shown.add_row(row.name, ROLES[row.role], *(f"{count:,}" for count in counts), _trust(known[row.name]))
    print_table(shown)


@app.command()
def show(source: Name, as_json: Json = False) -> None:
    """Show one source: its trust with the reasons, its uploads, the versions that learned from it."""
    with open_home().store.read() as tx:
        found, counts, learners = trusts.get(tx, source), stored.of(tx, source), taint.learners(tx, source)
    if as_json:
        emit(asdict(counts) | asdict(found) | {"taught": learners})
        return
    say(f"{found.name}: trust {_trust(found)}", "bold")
    for reason in found.reasons:
        say(f"  {reason['text']}")
    if found.value is None:
        say("  no night has assessed it yet")
    role = ROLES[found.role]
    say(f"{'role':<10} its uploads {role}; first seen {when(found.seen_at)}, uploads on {found.days_seen} days")
    attested = "no" if found.attested_at is None else f"{when(found.attested_at)}, as {found.attested_app}"
    say(f"{'attested':<10} {attested}")
    say(f"{'uploads':<10} {counts.uploads:,}, of which {counts.accepted:,} count; the last {when(counts.last_at)}")
    say(f"{'taught':<10} {'version ' + ', '.join(map(str, learners)) if learners else 'no version'}")


@app.command()
def vouch(
    source: Name,
    reason: Annotated[str, typer.Option(help="Reason; stored with your name.")],
    as_json: Json = False,
) -> None:
    """Vouch for a source: it counts as old and as trusted, for lessons and for verdicts."""
    home = open_home()
    by = Attribution(home.actor, reason)
    with home.store.exclusive() as tx:
        found = trusts.vouch(tx, source, by.actor, by.reason, utc_now())
    log.info("%s vouches for source %s: %s", by.actor, source, by.reason)
    _vouched(found, as_json)


@app.command()
def unvouch(source: Name, as_json: Json = False) -> None:
    """Vouch for a source no more: the next night assesses it by its age and its uploads."""
    home = open_home()
    with home.store.exclusive() as tx:
        found = trusts.unvouch(tx, source)
    log.info("%s no longer vouches for source %s", home.actor, source)
    _vouched(found, as_json)


def _vouched(found: Trusted, as_json: bool) -> None:
    if as_json:
        emit(asdict(found))
    elif found.vouched_at is None:
        say(f"{found.name}: nobody vouches for it now; the next night assesses it")
    else:
        say(f"{found.name}: vouched for since {when(found.vouched_at)}")


def _trust(found: Trusted) -> str:
    if found.vouched_at is not None:
        return "vouched"
    return "–" if found.value is None else f"{found.value:.2f}"


def erase(
    source: Annotated[str, typer.Argument(help="Pseudonymous id of the source.", show_default=False)],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask for confirmation.")] = False,
    as_json: Json = False,
) -> None:
    """Erase every upload of a source, and name the versions that learned from it."""
    home = open_home()
    if not yes:
        typer.confirm(f"Erase every upload of {source!r}? This cannot be undone", abort=True, err=True)
    gone = erasure.erase(home, source, home.actor, utc_now())
    if as_json:
        emit(asdict(gone))
        return
    say(f"erased {gone.uploads:,} uploads" if gone.uploads else "this source has no uploads; nothing was erased")
    if gone.taught:
        say(f"versions that learned from them: {', '.join(map(str, gone.taught))}; the next night's will not")
        say("`loop retrain` trains it now; `loop feed withdraw` stops phones from running an earlier version")
    if not gone.scrubbed:
        errors.print("SQLite's log still holds the bytes, because the database is being read: run this command again.")
