"""Is everything that the home claims true? Every file against its digest, the ledger against its chain and its own
logic, the feed against the ledger, every snapshot against its size. Each thing that is not so is one finding.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from loop.errors import ArtifactCorrupt
from loop.home import Home
from loop.home.artifacts import DIGEST
from loop.operations import feedcheck, files, ledgercheck
from loop.operations.finding import Finding, broken, note
from loop.store.nights import ledger_chain, versions
from loop.store.phones import feeds
from loop.store.service import health
from models.family import Progress, no_progress


@dataclass(frozen=True, slots=True)
class Verified:
    """What was looked at, how much of it, and what was wrong."""

    counts: Mapping[str, int]
    findings: tuple[Finding, ...]


def verify(home: Home, now: datetime, progress: Progress = no_progress) -> Verified:
    """Look at everything; changes nothing. Raises ``StoreUnavailable``."""
    with home.store.frozen() as tx:
        every = versions.every(tx)
        lines = ledger_chain.lines(tx)
        outcomes = versions.outcomes(tx)
        uneven = ledger_chain.uneven(tx)
        dangling = health.dangling(tx)
        withdrawn = {each.version for each in feeds.withdrawn(tx)}
    named = files.named(every)
    found = [*_artifacts(home, named, progress)]
    found += ledgercheck.chained(lines)
    found += ledgercheck.sensible(lines, every, outcomes, withdrawn)
    found += [
        broken("snapshots", f"{each.expected:,} items", f"snapshot {each.snapshot} has {each.found:,}", RESTORE_ADVICE)
        for each in uneven
    ]
    found += [
        broken("rows", "rows that point at rows", f"{n:,} of {name} point at nothing", RESTORE_ADVICE)
        for name, n in dangling.items()
    ]
    feed = feedcheck.examine(home, lines, now, progress)
    found += feed.findings
    orphans = [path for name, path in files.lying(home.artifacts) if name not in named]
    leftovers = files.unfinished(home.artifacts.root)
    if orphans or leftovers:
        count = f"{len(orphans)} files that no version names, {len(leftovers)} unfinished"
        found.append(note("artifacts", count, "loop gc"))
    counts = {
        "versions": len(every),
        "artifacts": len(named),
        "orphans": len(orphans),
        "unfinished": len(leftovers),
        "ledger lines": len(lines),
        "roots": feed.roots,
        "signed feeds": feed.entries,
    }
    return Verified(counts, tuple(found))


RESTORE_ADVICE = "loop restore a backup that is sound"


def _artifacts(home: Home, named: Mapping[files.Name, list[int]], progress: Progress) -> list[Finding]:
    found = []
    for done, (name, numbers) in enumerate(sorted(named.items()), 1):
        if (wrong := unsound(home, name, numbers)) is not None:
            found.append(wrong)
        progress("artifacts", done, len(named))
    return found


def unsound(home: Home, name: files.Name, numbers: list[int]) -> Finding | None:
    """What is wrong with a file that these versions name, if anything."""
    who = f"version {numbers[0]}" + (f" (and {len(numbers) - 1} more)" if len(numbers) > 1 else "")
    if not DIGEST.fullmatch(name.digest):
        return broken("artifacts", "a SHA-256 digest", f"{who} names {name.digest[:80]!r}", RESTORE_ADVICE)
    try:
        home.artifacts.get(name.digest, name.suffix)
    except ArtifactCorrupt as error:
        return broken("artifacts", f"the file that {who} names", str(error), RESTORE_ADVICE)
    return None
