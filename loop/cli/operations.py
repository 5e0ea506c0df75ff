"""``loop status``, ``doctor``, ``verify``, ``gc``, ``backup``, ``restore``: for whoever keeps the loop running."""

import sys
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.text import Text

from loop import home as homes
from loop.cli import status_screen
from loop.cli.output import Json, console, emit, open_home, progress, say, table, when
from loop.clock import utc_now
from loop.errors import BadSettings
from loop.home import settings as knobs
from loop.home.settings import Settings
from loop.operations import backup as backups
from loop.operations import doctor as doctors
from loop.operations import garbage
from loop.operations import restore as restores
from loop.operations import status as statuses
from loop.operations import verify as proofs
from loop.operations.finding import Finding, Severity, broken, worst

STYLES = {Severity.OK: "green", Severity.NOTE: "dim", Severity.WARNING: "yellow", Severity.BROKEN: "bold red"}
MARKS = {Severity.OK: "✓", Severity.NOTE: "·", Severity.WARNING: "!", Severity.BROKEN: "✗"}
NAME_COLUMNS = 16  # of the column of names


def status(as_json: Json = False) -> None:
    """How things stand, on one screen: champions, nights, queues, the feed, space, warnings."""
    found = statuses.look(open_home(), utc_now())
    if as_json:
        emit(asdict(found) | {"warnings": [_row(each) for each in found.warnings]})
    else:
        status_screen.show(found)


def doctor(as_json: Json = False) -> None:
    """Look whether this installation is well, and say how to mend what is not. Exit status 1: something is broken."""
    try:
        settings = knobs.load()
    except BadSettings as error:
        fix = "mend them where the message says"
        _told([broken("settings", "settings that can be read", str(error), fix)], as_json)
        return
    with progress(quiet=as_json) as report:
        found = doctors.examine(doctors.opened(settings), utc_now(), report)
    _told(found, as_json)


def verify(as_json: Json = False) -> None:
    """Prove what the home claims: every file, the ledger's chain, the feed, every snapshot. Exit status 1: not so."""
    home = open_home()
    with progress(quiet=as_json) as report:
        found = proofs.verify(home, utc_now(), report)
    if as_json:
        emit({"counts": dict(found.counts), "findings": [_row(each) for each in found.findings]})
    else:
        _tell(found.findings)
        looked = ", ".join(f"{n:,} {what}" for what, n in found.counts.items() if n)
        say(f"{'✓ ' if worst(found.findings) < Severity.WARNING else ''}looked at {looked or 'an empty home'}")
    _exit(found.findings)


def gc(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would go.")] = False,
    days: Annotated[float, typer.Option(min=1, help="Logs, told events and old answers stay so long.")] = 30,
    grace_hours: Annotated[float, typer.Option(min=0, help="Artifacts that no version names stay so long.")] = 24,
    as_json: Json = False,
) -> None:
    """Tidy up: what killed nights left, old logs, events that were told. Nothing that a version names is touched."""
    home = open_home()
    with progress(quiet=as_json) as report:
        swept = garbage.sweep(home, garbage.Options(days, grace_hours, dry_run), utc_now(), report)
    if as_json:
        emit({"dry_run": dry_run, "swept": swept})
        return
    shown = table("", "what", ">would go" if dry_run else ">gone", ">bytes", "why")
    for each in swept:
        shown.add_row(each.what, f"{each.count:,}", "" if each.bytes is None else f"{each.bytes:,}", each.why)
    console.print(shown)


def backup(
    file: Annotated[Path, typer.Argument(help="The file to write, for instance loop.tar.gz.", show_default=False)],
    keys: Annotated[bool, typer.Option("--keys", help="Also the feed's private keys, sealed.")] = False,
    as_json: Json = False,
) -> None:
    """One file from which the home can be made again, on either database; made while everything goes on."""
    home = open_home()
    passphrase = _passphrase(home.settings, confirm=True) if keys else None
    with progress(quiet=as_json) as report:
        made = backups.backup(home, file, utc_now(), passphrase, report)
    rows = sum(made.manifest.tables.values())
    if as_json:
        emit({"path": made.path, "bytes": made.bytes, "rows": rows, "files": len(made.manifest.members), "keys": keys})
        return
    what = "with" if keys else "without"
    say(f"{made.path}: {made.bytes:,} bytes, {rows:,} rows, {what} private keys; read again and sound")


def restore(
    file: Annotated[Path, typer.Argument(help="A file that `loop backup` wrote.", show_default=False)],
    replace: Annotated[bool, typer.Option("--replace", help="Over what this home holds now.")] = False,
    keys: Annotated[bool, typer.Option("--keys", help="Also the private keys in it.")] = False,
    as_json: Json = False,
) -> None:
    """Make this home what a backup says.

    What phones saw, who was erased and which keys were revoked since is never undone.
    """
    home = homes.at(knobs.load(), migrated=False)
    wish = restores.Options(replace, _passphrase(home.settings, confirm=False) if keys else None)
    with progress(quiet=as_json) as report:
        done = restores.restore(home, file, wish, utc_now(), report)
        proof = proofs.verify(home, utc_now(), report)
    findings = [each for each in proof.findings if each.check != "feed"]  # the folder may be gone, and is made anew
    if as_json:
        emit({"restored": done, "findings": [_row(each) for each in findings]})
    else:
        _tell(findings)
        rows = sum(done.rows.values())
        what = f"{rows:,} rows, {done.artifacts:,} files and {done.keys} keys"
        say(f"restored {what} of {when(done.made_at)}")
        if done.erased:
            say(f"{done.erased:,} uploads were erased again: their senders had asked for it since")
        say(f"next: loop doctor, then loop feed publish --to {home.settings.published}")
    _exit(findings)


def _told(findings: list[Finding], as_json: bool) -> None:
    if as_json:
        emit([_row(each) for each in findings])
    else:
        _tell(findings)
    _exit(findings)


def _tell(findings: Iterable[Finding]) -> None:
    """A line each, the fix below what is wrong."""
    for each in sorted(findings, key=lambda finding: finding.severity):
        name = f"{MARKS[each.severity]} {each.check}"
        status_screen.line(name, Text(each.came), width=NAME_COLUMNS, style=STYLES[each.severity])
        if each.expected:
            status_screen.line("  expected", Text(each.expected), width=NAME_COLUMNS, style="dim")
        if each.fix:
            status_screen.line("  fix", Text(each.fix, "cyan"), width=NAME_COLUMNS, style="dim")


def _row(finding: Finding) -> dict[str, Any]:
    names = ("check", "expected", "came", "fix")
    return {"severity": finding.severity.name.lower()} | {name: getattr(finding, name) for name in names}


def _exit(findings: Iterable[Finding]) -> None:
    if worst(findings) is Severity.BROKEN:
        sys.exit(1)


def _passphrase(settings: Settings, *, confirm: bool) -> str:
    """The setting, else the terminal."""
    if settings.key_passphrase is not None:
        return settings.key_passphrase.get_secret_value()
    answer: str = typer.prompt("Passphrase of the backup", hide_input=True, confirmation_prompt=confirm, err=True)
    return answer
