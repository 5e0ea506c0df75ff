"""``loop doctor``, ``verify``, ``gc``, ``backup``, ``restore``: keep an installation healthy."""

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import typer

from loop import home as homes
from loop.cli.findings import as_row, print_findings
from loop.cli.output import Json, emit, open_home, print_table, progress, say, table, when
from loop.clock import utc_now
from loop.errors import BadSettings
from loop.home import settings as configuration
from loop.home.settings import Settings
from loop.operations import backup as backups
from loop.operations import doctor as doctors
from loop.operations import garbage
from loop.operations import restore as restores
from loop.operations import verify as verifying
from loop.operations.finding import Finding, Severity, broken, worst


def doctor(as_json: Json = False) -> None:
    """Check this installation and name a fix for each problem.

    Exit status 1: something is broken.
    """
    try:
        settings = configuration.load()
    except BadSettings as error:
        fix = "correct the setting that the message names"
        _report([broken("settings", "valid settings", str(error), fix)], as_json)
        return
    with progress(quiet=as_json) as report:
        findings = doctors.examine(doctors.opened(settings), utc_now(), report)
    _report(findings, as_json)


def verify(as_json: Json = False) -> None:
    """Verify every file, the ledger's hash chain, the feed and all snapshots.

    Exit status 1: something is missing or altered.
    """
    home = open_home()
    with progress(quiet=as_json) as report:
        proof = verifying.verify(home, utc_now(), report)
    if as_json:
        emit({"counts": dict(proof.counts), "findings": [as_row(each) for each in proof.findings]})
    else:
        print_findings(proof.findings)
        checked = ", ".join(f"{n:,} {what}" for what, n in proof.counts.items() if n)
        say(f"{'✓ ' if worst(proof.findings) < Severity.WARNING else ''}checked {checked or 'an empty home'}")
    _exit(proof.findings)


def gc(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print what would be deleted; delete nothing.")] = False,
    days: Annotated[
        float, typer.Option(min=1, help="Days to keep logs, delivered events and idempotency records.")
    ] = 30,
    grace_hours: Annotated[float, typer.Option(min=0, help="Hours to keep artifacts that no version names.")] = 24,
    as_json: Json = False,
) -> None:
    """Delete leftovers of killed nights, old logs and old events.

    Files that a version names are kept.
    """
    home = open_home()
    with progress(quiet=as_json) as report:
        swept = garbage.sweep(home, garbage.Options(days, grace_hours, dry_run), utc_now(), report)
    if as_json:
        emit({"dry_run": dry_run, "swept": swept})
        return
    shown = table("", "what", ">would delete" if dry_run else ">deleted", ">bytes", "reason")
    for each in swept:
        shown.add_row(each.what, f"{each.count:,}", "" if each.bytes is None else f"{each.bytes:,}", each.why)
    print_table(shown)


def backup(
    file: Annotated[Path, typer.Argument(help="File to write, for instance loop.tar.gz.", show_default=False)],
    keys: Annotated[
        bool, typer.Option("--keys", help="Include the feed's private keys and the sealing key, encrypted.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Write one file from which `loop restore` rebuilds the home.

    The installation keeps running meanwhile. SQLite and PostgreSQL can each restore the other's backup.
    """
    home = open_home()
    passphrase = _passphrase(home.settings, confirm=True) if keys else None
    with progress(quiet=as_json) as report:
        made = backups.backup(home, file, utc_now(), passphrase, report)
    rows = sum(made.manifest.tables.values())
    if as_json:
        emit({"path": made.path, "bytes": made.bytes, "rows": rows, "files": len(made.manifest.members), "keys": keys})
        return
    what = "with" if keys else "without"
    say(f"{made.path}: {made.bytes:,} bytes, {rows:,} rows, {what} private keys; read back and verified")
    if not keys:
        say(f"its secrets open only with {home.settings.sealing_key_file}: keep a copy of that file, or use --keys")


def restore(
    file: Annotated[Path, typer.Argument(help="File that `loop backup` wrote.", show_default=False)],
    replace: Annotated[bool, typer.Option("--replace", help="Replace the present content of this home.")] = False,
    keys: Annotated[bool, typer.Option("--keys", help="Restore the private keys, too.")] = False,
    forget: Annotated[
        bool, typer.Option("--forget-secrets", help="The sealing key is lost: new holdout salt, no webhooks.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Restore this home from a backup.

    Feed sequences, erasures and key revocations that are newer than the backup stay in force.
    """
    home = homes.at(configuration.load(), migrated=False)
    options = restores.Options(replace, _passphrase(home.settings, confirm=False) if keys else None, forget)
    with progress(quiet=as_json) as report:
        done = restores.restore(home, file, options, utc_now(), report)
        proof = verifying.verify(home, utc_now(), report)
    findings = [each for each in proof.findings if each.check != "feed"]  # the next publication writes the folder again
    if as_json:
        emit({"restored": done, "findings": [as_row(each) for each in findings]})
    else:
        print_findings(findings)
        rows = sum(done.rows.values())
        what = f"{rows:,} rows, {done.artifacts:,} files and {done.keys} keys"
        say(f"restored {what}; the backup is of {when(done.made_at)}")
        if done.erased:
            say(f"{done.erased:,} uploads were erased again: their erasure is newer than the backup")
        say(f"next: loop doctor, then loop feed publish --to {home.settings.published}")
    _exit(findings)


def _report(findings: list[Finding], as_json: bool) -> None:
    if as_json:
        emit([as_row(each) for each in findings])
    else:
        print_findings(findings)
    _exit(findings)


def _exit(findings: Iterable[Finding]) -> None:
    if worst(findings) is Severity.BROKEN:
        sys.exit(1)


def _passphrase(settings: Settings, *, confirm: bool) -> str:
    """The passphrase from the setting, else from the terminal."""
    if settings.key_passphrase is not None:
        return settings.key_passphrase.get_secret_value()
    answer: str = typer.prompt("Passphrase of the backup", hide_input=True, confirmation_prompt=confirm, err=True)
    return answer
