"""Register versions, promote them and roll back.

Rules: a version's files are on disk, and checked, before a row names them. An alias moves by adding one line to the
ledger, in the transaction that checks whether it may. Promoting a version that did not pass needs ``override`` and a
reason; the ledger keeps both. A rollback goes only to a version that was champion before.
"""

from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from loop.errors import NotPromotable
from loop.home import Home
from loop.store import values
from loop.store.nights import versions
from loop.store.service import messages, outbox
from loop.store.values import Attribution

CHAMPION, CHALLENGER = "champion", "challenger"


def register(
    tx: Session, version: values.Version, verdicts: list[values.Verdict], attribution: Attribution, now: datetime
) -> None:
    """Store a judged version and make it challenger."""
    versions.add(tx, version)
    for verdict in verdicts:
        versions.give(tx, verdict)
    _move(tx, version.family, CHALLENGER, "register", version.number, attribution, now)
    if (refused := messages.refused(version, verdicts)) is not None:
        outbox.record(tx, messages.Kind.GATE_REFUSED, refused, now)


def promote(home: Home, number: int, attribution: Attribution, now: datetime) -> values.Move:
    """Make a version champion. Raises ``UnknownVersion``, ``NotPromotable``, ``ArtifactCorrupt``."""
    version = _checked(home, number)
    with home.store.exclusive() as tx:
        promote_in(tx, version, attribution, now)
        return versions.ledger(tx, version.family)[0]


def promote_in(tx: Session, version: values.Version, attribution: Attribution, now: datetime) -> None:
    """``promote`` inside a transaction; the caller has already checked the files."""
    if versions.holder(tx, version.family) == version.number:
        raise NotPromotable(f"version {version.number} is already champion; nothing to do")
    outcome = versions.outcome(tx, version.number)
    if outcome != "passed" and not attribution.override:
        raise NotPromotable(
            f"version {version.number}: expected the verdict passed, got {outcome}; read `loop verdict "
            f"{version.number}`, or use --override with a --reason"
        )
    _move(tx, version.family, CHAMPION, "promote", version.number, attribution, now)


def rollback(home: Home, family: str, to: int | None, attribution: Attribution, now: datetime) -> values.Move:
    """Make the previous champion, or an earlier one, champion again. Raises the errors of ``promote``."""
    with home.store.read() as tx:
        target = _target(list(reversed(versions.ledger(tx, family))), family, to)
    version = _checked(home, target)
    with home.store.exclusive() as tx:
        if _target(list(reversed(versions.ledger(tx, family))), family, to) != target:
            raise NotPromotable("the champion has changed in the meantime; see `loop history`, then use --to")
        _move(tx, family, CHAMPION, "rollback", version.number, attribution, now)
        return versions.ledger(tx, family)[0]


def champion(home: Home, family: str) -> values.Version | None:
    """The family's champion, or None."""
    with home.store.read() as tx:
        return versions.champion(tx, family)


def documents(tx: Session, family: str | None = None) -> list[dict[str, Any]]:
    """Every version (of one family) as a ``document``, newest first."""
    aliases, outcomes = versions.aliases(tx), versions.outcomes(tx)
    return [_document(each, aliases, outcomes) for each in versions.every(tx, family)]


def document(tx: Session, version: values.Version) -> dict[str, Any]:
    """A version as the API and the CLI's ``--json`` show it. ``accuracy`` is by slice, 0 to 1."""
    return _document(version, versions.aliases(tx), versions.outcomes(tx))


def _document(version: values.Version, aliases: dict[int, str], outcomes: dict[int, str]) -> dict[str, Any]:
    return {
        "number": version.number,
        "family": version.family,
        "alias": aliases.get(version.number),
        "verdict": outcomes.get(version.number, "none"),
        "accuracy": {part["name"]: part["accuracy"] for part in version.summary["slices"] if part["n"]},
        "digest": version.artifact_digest,
        "bytes": version.artifact_bytes,
        "run": version.run_id,
        "registered_at": version.registered_at,
    }


def _checked(home: Home, number: int) -> values.Version:
    """The version, after reading its phone files completely and comparing their digests."""
    with home.store.read() as tx:
        version = versions.get(tx, number)
    home.artifacts.get(version.artifact_digest, ".mlmodel")
    if version.mlpackage_digest is not None:
        home.artifacts.get(version.mlpackage_digest, ".zip")
    return version


def _target(oldest_first: list[values.Move], family: str, to: int | None) -> int:
    """The version that a rollback leads to. Two rollbacks go back two champions; the second does not undo the first."""
    stack: list[int] = []
    champions = set()
    for move in oldest_first:
        if move.alias != CHAMPION:
            continue
        champions.add(move.after)
        if move.verb == "rollback" and move.after in stack:
            while stack[-1] != move.after:
                stack.pop()
        else:
            stack.append(move.after)
    if to is None:
        if len(stack) < 2:
            raise NotPromotable(f"{family}: no earlier champion to roll back to; `loop history` shows the ledger")
        return stack[-2]
    if stack and to == stack[-1]:
        raise NotPromotable(f"version {to} is already champion; nothing to do")
    if to not in champions:
        raise NotPromotable(f"version {to} was never champion of {family}; use `loop promote {to}` instead")
    return to


def _move(
    tx: Session, family: str, alias: str, verb: str, number: int, attribution: Attribution, now: datetime
) -> None:
    line = {
        "family": family,
        "alias": alias,
        "verb": verb,
        "before": versions.holder(tx, family, alias),
        "after": number,
        "actor": attribution.actor,
        "reason": attribution.reason,
        "verdict": versions.outcome(tx, number),
        "override": attribution.override,
        "moved_at": now,
    }
    versions.move(tx, line)
    outbox.record(tx, messages.EVENT_OF_MOVE[verb], messages.moved(line), now)
