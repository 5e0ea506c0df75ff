"""Verify the home's data. Each mismatch is one finding.

It compares every file with its digest, the ledger with its hash chain and its rules, the feed with the ledger, and
every snapshot with its size; and it opens every sealed secret.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from loop.errors import ArtifactCorrupt
from loop.home import Home
from loop.home.artifacts import DIGEST
from loop.operations import feed_check, files, ledger_check, secrets_check
from loop.operations.finding import Finding, Severity, broken, note
from loop.store.nights import ledger_chain, versions
from loop.store.phones import feeds
from loop.store.service import health
from models.family import Progress, no_progress


@dataclass(frozen=True, slots=True)
class Verified:
    """How many items of each kind were checked, and the findings."""

    counts: Mapping[str, int]
    findings: tuple[Finding, ...]


def verify(home: Home, now: datetime, progress: Progress = no_progress) -> Verified:
    """Check everything and change nothing. Raises ``StoreUnavailable``."""
    with home.store.frozen() as tx:
        every = versions.every(tx)
        lines = ledger_chain.lines(tx)
        outcomes = versions.outcomes(tx)
        uneven = ledger_chain.uneven(tx)
        dangling = health.dangling(tx)
        withdrawn = {each.version for each in feeds.withdrawn(tx)}
    named = files.named(every)
    findings = [*_artifacts(home, named, progress)]
    findings += ledger_check.chained(lines)
    findings += ledger_check.consistent(lines, every, outcomes, withdrawn)
    findings += [
        broken("snapshots", f"{each.expected:,} items", f"snapshot {each.snapshot} has {each.found:,}", RESTORE_ADVICE)
        for each in uneven
    ]
    findings += [
        broken("rows", "references to existing rows", f"{n:,} of {name} refer to missing rows", RESTORE_ADVICE)
        for name, n in dangling.items()
    ]
    findings += [each for each in secrets_check.examine(home) if each.severity is not Severity.OK]
    feed = feed_check.examine(home, lines, now, progress)
    findings += feed.findings
    orphans = [path for name, path in files.stored(home.artifacts) if name not in named]
    leftovers = files.unfinished(home.artifacts.root)
    if orphans or leftovers:
        count = f"{len(orphans)} files that no version names, {len(leftovers)} unfinished"
        findings.append(note("artifacts", count, "loop gc"))
    counts = {
        "versions": len(every),
        "artifacts": len(named),
        "orphans": len(orphans),
        "unfinished": len(leftovers),
        "ledger lines": len(lines),
        "roots": feed.roots,
        "signed feeds": feed.entries,
    }
    return Verified(counts, tuple(findings))


RESTORE_ADVICE = "loop restore an intact backup"


def _artifacts(home: Home, named: Mapping[files.Name, list[int]], progress: Progress) -> list[Finding]:
    findings = []
    for done, (name, numbers) in enumerate(sorted(named.items()), 1):
        if (finding := damage(home, name, numbers)) is not None:
            findings.append(finding)
        progress("artifacts", done, len(named))
    return findings


def damage(home: Home, name: files.Name, numbers: list[int]) -> Finding | None:
    """The damage to a file that these versions name, or None."""
    owner = f"version {numbers[0]}" + (f" (and {len(numbers) - 1} more)" if len(numbers) > 1 else "")
    if not DIGEST.fullmatch(name.digest):
        return broken("artifacts", "a SHA-256 digest", f"{owner} names {name.digest[:80]!r}", RESTORE_ADVICE)
    try:
        home.artifacts.get(name.digest, name.suffix)
    except ArtifactCorrupt as error:
        return broken("artifacts", f"the file that {owner} names", str(error), RESTORE_ADVICE)
    return None
