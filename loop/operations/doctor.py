"""Is this installation well? Every check, each on its own, so that one that finds nothing to look at stops no other.

A database that does not answer, or is of another revision, leaves the checks of its rows out, and says so.
"""

from collections.abc import Iterator, Mapping
from datetime import datetime

from loop.errors import LoopError
from loop.home import Home
from loop.home.artifacts import Artifacts
from loop.home.settings import Settings
from loop.operations.checks import Check, Installation, database, machine, nights, phones, service
from loop.operations.finding import Finding, Severity, broken, note, ok, worst
from loop.store import Store
from models.family import Progress, no_progress

FIRST: dict[str, Check] = {"database": database.answers, "schema": database.revision}
"""Without these there are no rows to look at."""
ROWLESS: dict[str, Check] = {"disk": machine.space, "folders": machine.folders, "sqlite": database.library}
QUICK: dict[str, Check] = {
    "clock": machine.clock,
    "keys": phones.signing,
    "feed": phones.feed,
    "scheduler": nights.scheduler,
    "runs": nights.abandoned,
    "nights": nights.failing,
    "queues": service.queues,
    "API keys": service.keys,
}
THOROUGH: dict[str, Check] = {"integrity": database.integrity, "artifacts": phones.artifacts}
SLOW: dict[str, Check] = {"corpus": machine.corpus}


def opened(settings: Settings) -> Home:
    """A home to be looked at, whatever state it is in; looking makes no file and no folder."""
    return Home(settings, Store(settings.url, create=False), Artifacts(settings.home / "artifacts"))


def examine(home: Home, now: datetime, progress: Progress = no_progress) -> list[Finding]:
    """Every check, in an order that people read: what others depend on comes first."""
    patient = Installation(home, now)
    found = list(_all(FIRST, patient))
    rows = QUICK | THOROUGH if worst(found) < Severity.BROKEN else {}
    if not rows:
        found.append(note("not looked at", ", ".join(QUICK | THOROUGH)))
    checks = ROWLESS | rows | SLOW
    for done, (name, check) in enumerate(checks.items(), 1):
        found += _one(name, check, patient)
        progress("checks", done, len(checks))
    return found


def quick(home: Home, now: datetime) -> list[Finding]:
    """What costs milliseconds, for ``loop status``."""
    return list(_all(FIRST | ROWLESS | QUICK, Installation(home, now)))


def _all(checks: Mapping[str, Check], patient: Installation) -> Iterator[Finding]:
    for name, check in checks.items():
        yield from _one(name, check, patient)


def _one(name: str, check: Check, patient: Installation) -> list[Finding]:
    try:
        found = list(check(patient))
    except LoopError as error:
        found = [broken(name, "something to look at", str(error), "see there")]
    if worst(found) > Severity.NOTE:
        return [each for each in found if each.severity is not Severity.OK]
    return found or [ok(name, "in order")]
