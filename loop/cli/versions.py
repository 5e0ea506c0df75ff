"""``loop versions``, ``show``, ``verdict``, ``history``, ``promote``, ``rollback``: what is in production, and why."""

from dataclasses import asdict
from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from loop import durable, registry
from loop.cli import verdicts
from loop.cli.output import FamilyName, Json, Reason, emit, open_home, percent, print_table, say, table, when
from loop.clock import utc_now
from loop.errors import BadReason, OpsError, UnknownVersion
from loop.evaluation.verdict import FEEDBACK, USERS
from loop.home import Home
from loop.store import values
from loop.store.feedback import live_accuracy, weighing
from loop.store.nights import versions as stored
from loop.store.values import Attribution

if TYPE_CHECKING:
    from loop.feed.promotion import Moved

Number = Annotated[int, typer.Argument(help="A version's number.", show_default=False)]
OneFamily = Annotated[str | None, typer.Option("--family", help="Only versions of this family.")]
AsOf = Annotated[
    str | None,
    typer.Option("--as-of", metavar="DATE", help="Time in UTC, for instance 2026-05-03T03:00; a date means its end."),
]


def versions(family: OneFamily = None, as_json: Json = False) -> None:
    """List every version with its verdict and accuracy.

    ``live`` is the accuracy on phones with half its 95 % interval.
    """
    home = open_home()
    rows = documents(home, family)
    if as_json:
        emit(rows)
    else:
        listing(rows)


def listing(rows: list[dict[str, Any]]) -> None:
    """Print the versions as a table."""
    named = {name for row in rows for name in row["accuracy"]}
    slices = sorted(named, key=lambda name: (name == USERS, name == FEEDBACK))
    live = [">live"] if any(row["live"] for row in rows) else []
    columns = ("verdict", *(f">{name}" for name in slices), *live, "registered")
    shown = table("Versions", "version", "alias", *columns)
    for row in rows:
        accuracies = [percent(row["accuracy"].get(name)) for name in slices] + [_live(row["live"]) for _ in live]
        cells = (f"{row['number']} {row['family']}", row["alias"] or "", verdicts.coloured(row["verdict"]))
        shown.add_row(*cells, *accuracies, f"{row['registered_at']:%Y-%m-%d}")
    print_table(shown)


def show(
    number: Number,
    save: Annotated[Path | None, typer.Option(help="Also copy the .mlmodel to this file.")] = None,
    save_package: Annotated[Path | None, typer.Option(help="Also copy the zipped .mlpackage to this file.")] = None,
    as_json: Json = False,
) -> None:
    """Show one version: accuracy, lineage, files."""
    home = open_home()
    with home.store.read() as tx:
        version = stored.get(tx, number)
        row = registry.document(tx, version)
    row |= {
        "path": _path(home, version.artifact_digest),
        "package": _package(home, version),
        "lineage": _lineage(version),
        "summary": version.summary,
    }
    if save is not None:
        durable.write_whole(save, home.artifacts.get(version.artifact_digest, ".mlmodel"))
    if save_package is not None:
        if version.mlpackage_digest is None:
            raise OpsError(f"version {number} has no .mlpackage; only versions trained with mlpackage = true have one")
        durable.write_whole(save_package, home.artifacts.get(version.mlpackage_digest, ".zip"))
    if as_json:
        emit(row)
        return
    say(f"version {number} · {version.family} · {row['alias'] or 'not in use'} · {row['verdict']}", "bold")
    verdicts.slices(version.summary)
    for name, value in _lineage(version).items():
        say(f"{name:<10} {value}")
    say(f"{'file':<10} {save or row['path']}")
    if row["package"] is not None:
        say(f"{'package':<10} {save_package or row['package']['path']}")


def verdict(number: Number, as_json: Json = False) -> None:
    """Show the verdicts on a version, with reasons and numbers."""
    home = open_home()
    with home.store.read() as tx:
        stored.get(tx, number)
        given = stored.verdicts(tx, number)
    if as_json:
        emit([asdict(each) for each in given])
        return
    for each in given:
        verdicts.verdict(f"version {number}, {each.question}", each.outcome, each.document["reasons"])
    if given and (after := given[0].document.get("after")) is not None:
        verdicts.before_and_after(given[0].document["before"], after)
    if given and (jury := given[0].document.get("jury")) is not None:  # earlier releases stored none
        say(f"jury: {jury['text']}")


def history(family: OneFamily = None, as_of: AsOf = None, as_json: Json = False) -> None:
    """List the moves of champions, newest first.

    With --as-of, name the champions of that time.
    """
    home = open_home()
    moment = None if as_of is None else _moment(as_of)
    with home.store.read() as tx:
        moves = stored.ledger(tx, family, moment)
        champions = {name: stored.holder(tx, name, as_of=moment) for name in sorted({move.family for move in moves})}
    if as_json:
        emit({"as_of": moment, "champions": champions, "moves": [asdict(move) for move in moves]})
        return
    for name, number in champions.items():
        say(f"champion of {name}{f' at {when(moment)}' if moment else ''}: {number or 'none'}", "bold")
    if not champions:
        say(f"no champion{f' at {when(moment)}' if moment else ' yet'}")
        return
    shown = table("Ledger", "when", "family", "move", "by", "verdict", "reason")
    for move in moves:
        step = f"{move.verb} {_or_dash(move.before)} → {move.after}"
        outcome = f"{move.verdict}, overridden" if move.override else move.verdict
        shown.add_row(when(move.moved_at), move.family, step, move.actor, outcome, move.reason)
    print_table(shown)


def promote(
    number: Number,
    reason: Reason,
    override: Annotated[bool, typer.Option("--override", help="Promote although the verdict is not passed.")] = False,
    as_json: Json = False,
) -> None:
    """Make a version champion, after checking its file."""
    from loop.feed import promotion  # here, so that `versions` and `show` do not load the feed

    home = open_home()
    attribution = Attribution(home.actor, reason, override)
    _report(promotion.promote(home, number, attribution, utc_now()), as_json)


def rollback(
    reason: Reason,
    to: Annotated[int | None, typer.Option(help="Number of an earlier champion; default: the previous one.")] = None,
    family: FamilyName = "cnn",
    as_json: Json = False,
) -> None:
    """Go back to the previous champion, or to an earlier one."""
    from loop.feed import promotion

    home = open_home()
    attribution = Attribution(home.actor, reason)
    _report(promotion.rollback(home, family, to, attribution, utc_now()), as_json)


def _report(moved: "Moved", as_json: bool) -> None:
    move = moved.move
    if as_json:
        emit(asdict(move) | {"feed": asdict(moved.feed)})
        return
    say(f"champion of {move.family}: {_or_dash(move.before)} → {move.after} ({move.verb}, {move.reason})")
    say(f"feed {moved.feed.said}")


def documents(home: Home, family: str | None = None) -> list[dict[str, Any]]:
    """Every version (of one family) as the JSON that ``loop versions --json`` prints."""
    with home.store.read() as tx:
        known = registry.documents(tx, family)
        live = live_accuracy.live(tx, weighing.least_announced(tx, home.settings.confirm_rate))
    if family is not None and not known:
        raise UnknownVersion(f"no version of family {family[:40]!r}; `loop versions` lists all versions")
    return [
        each
        | {
            "path": _path(home, each["digest"]),
            "live": {one.how: asdict(one) for one in live if one.version == each["number"]},
        }
        for each in known
    ]


def _path(home: Home, digest: str) -> str:
    return str(home.artifacts.path(digest, ".mlmodel").absolute())


def _live(measured: dict[str, dict[str, Any]]) -> str:
    """The accuracy that phones reported, else the version's own on the uploads, with half its 95 % interval."""
    if not measured:
        return "–"
    one = measured.get("told") or measured["said"]
    half = 100 * (one["high"] - one["low"]) / 2
    return f"{100 * one['accuracy']:.1f} ±{half:.1f} %"


def _package(home: Home, version: values.Version) -> dict[str, Any] | None:
    """The second file; reading it verifies its digest."""
    if version.mlpackage_digest is None:
        return None
    data = home.artifacts.get(version.mlpackage_digest, ".zip")
    path = home.artifacts.path(version.mlpackage_digest, ".zip").absolute()
    return {"path": str(path), "sha256": version.mlpackage_digest, "bytes": len(data)}


def _lineage(version: values.Version) -> dict[str, Any]:
    return {
        "base": version.base_digest,
        "snapshot": version.snapshot_digest or "none: the base itself",
        "recipe": version.recipe_digest,
        "precision": version.recipe["precision"],
        "seed": version.seed,
        "judged by": "no champion" if version.champion is None else f"version {version.champion}",
        "sha256": version.artifact_digest,
    }


def _moment(text: str) -> datetime:
    """A time in UTC; a date means its last moment. Raises ``BadReason``."""
    try:
        if len(text) == len("2026-05-03"):
            return datetime.combine(date.fromisoformat(text), time.max, UTC)
        read = datetime.fromisoformat(text)
        return read.replace(tzinfo=UTC) if read.tzinfo is None else read.astimezone(UTC)
    except (ValueError, OverflowError):
        raise BadReason(f"as-of: expected a date such as 2026-05-03 or a time, got {text[:40]!r}") from None


def _or_dash(number: int | None) -> str:
    return "–" if number is None else str(number)
