"""Check an installation. Each check is independent: one that cannot run does not stop the others.

If the database does not answer or has another revision, the checks of its rows are skipped, and a note lists them.
"""

from collections.abc import Iterator, Mapping
from datetime import datetime

from loop import home as homes
from loop.errors import LoopError
from loop.home import Home
from loop.home.settings import Settings
from loop.operations import secrets_check
from loop.operations.checks import Check, Installation, database, machine, nights, phones, service, uploads
from loop.operations.finding import Finding, Severity, broken, note, ok, worst
from models.family import Progress, no_progress

FIRST: dict[str, Check] = {"database": database.answers, "schema": database.revision}
"""The other checks of rows need these to pass."""
ROWLESS: dict[str, Check] = {
    "disk": machine.space,
    "folders": machine.folders,
    "private": machine.private,
    "sqlite": database.library,
}
QUICK: dict[str, Check] = {
    "clock": machine.clock,
    "secrets": lambda installation: secrets_check.examine(installation.home),
    "keys": phones.signing,
    "feed": phones.feed,
    "scheduler": nights.scheduler,
    "runs": nights.abandoned,
    "nights": nights.failing,
    "queues": service.queues,
    "API keys": service.keys,
}
THOROUGH: dict[str, Check] = {
    "integrity": database.integrity,
    "artifacts": phones.artifacts,
    "set aside": uploads.set_aside,
    "questions": uploads.stuck,
    "attestation": service.attesting,
}
SLOW: dict[str, Check] = {"corpus": machine.corpus}


def opened(settings: Settings) -> Home:
    """A home in any state, opened for checking; checks create no file and no folder."""
    return homes.opened(settings, create=False)


def examine(home: Home, now: datetime, progress: Progress = no_progress) -> list[Finding]:
    """Run every check, those that others depend on first."""
    installation = Installation(home, now)
    findings = list(_all(FIRST, installation))
    rows = QUICK | THOROUGH if worst(findings) < Severity.BROKEN else {}
    if not rows:
        findings.append(note("not looked at", ", ".join(QUICK | THOROUGH)))
    checks = ROWLESS | rows | SLOW
    for done, (name, check) in enumerate(checks.items(), 1):
        findings += _one(name, check, installation)
        progress("checks", done, len(checks))
    return findings


def quick(home: Home, now: datetime) -> list[Finding]:
    """Run the checks that take milliseconds, for ``loop status``."""
    return list(_all(FIRST | ROWLESS | QUICK, Installation(home, now)))


def _all(checks: Mapping[str, Check], installation: Installation) -> Iterator[Finding]:
    for name, check in checks.items():
        yield from _one(name, check, installation)


def _one(name: str, check: Check, installation: Installation) -> list[Finding]:
    try:
        findings = list(check(installation))
    except LoopError as error:
        findings = [broken(name, "a check that can run", str(error), "see the message")]
    if worst(findings) > Severity.NOTE:
        return [each for each in findings if each.severity is not Severity.OK]
    return findings or [ok(name, "in order")]
