"""Versions, and which of them is champion: register, promote, roll back.

Rules: a version's files lie on disk, checked, before a row names them. An alias moves by one more line in the ledger,
in the same transaction that checks why it may. Promoting what did not pass needs ``override`` and a reason; the
ledger keeps both. Rolling back goes to a version that was champion before, never to one that was not.
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
    tx: Session, version: values.Version, verdicts: list[values.Verdict], order: Attribution, now: datetime
) -> None:
    """Write down a judged version and call it challenger."""
    versions.add(tx, version)
    for verdict in verdicts:
        versions.give(tx, verdict)
    _move(tx, version.family, CHALLENGER, "register", version.number, order, now)
    if (refused := messages.refused(version, verdicts)) is not None:
        outbox.record(tx, messages.Kind.GATE_REFUSED, refused, now)


def promote(home: Home, number: int, order: Attribution, now: datetime) -> values.Move:
    """Make a version champion. Raises ``UnknownVersion``, ``NotPromotable``, ``ArtifactCorrupt``."""
    version = _checked(home, number)
    with home.store.exclusive() as tx:
        promote_in(tx, version, order, now)
        return versions.ledger(tx, version.family)[0]


def promote_in(tx: Session, version: values.Version, order: Attribution, now: datetime) -> None:
    """The same inside a transaction that already knows that the files are sound."""
    if versions.holder(tx, version.family) == version.number:
        raise NotPromotable(f"version {version.number} is champion already; nothing to do")
    outcome = versions.outcome(tx, version.number)
    if outcome != "passed" and not order.override:
        raise NotPromotable(
            f"version {version.number}: expected the verdict passed, it is {outcome}; read `loop verdict "
            f"{version.number}`, then --override with a --reason if you must"
        )
    _move(tx, version.family, CHAMPION, "promote", version.number, order, now)


def rollback(home: Home, family: str, to: int | None, order: Attribution, now: datetime) -> values.Move:
    """Go back to the champion before, or to an earlier one. Raises as ``promote`` does."""
    with home.store.read() as tx:
        target = _target(list(reversed(versions.ledger(tx, family))), family, to)
    version = _checked(home, target)
    with home.store.exclusive() as tx:
        if _target(list(reversed(versions.ledger(tx, family))), family, to) != target:
            raise NotPromotable("the champion changed meanwhile; look at `loop history`, then say --to")
        _move(tx, family, CHAMPION, "rollback", version.number, order, now)
        return versions.ledger(tx, family)[0]


def champion(home: Home, family: str) -> values.Version | None:
    """The family's champion, if it has one."""
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
    """The version, its files for phones read whole and their digests compared."""
    with home.store.read() as tx:
        version = versions.get(tx, number)
    home.artifacts.get(version.artifact_digest, ".mlmodel")
    if version.mlpackage_digest is not None:
        home.artifacts.get(version.mlpackage_digest, ".zip")
    return version


def _target(oldest_first: list[values.Move], family: str, to: int | None) -> int:
    """Which version a rollback leads to. Going back twice goes back two champions, not there and back."""
    stack: list[int] = []
    reigned = set()
    for move in oldest_first:
        if move.alias != CHAMPION:
            continue
        reigned.add(move.after)
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
        raise NotPromotable(f"version {to} is champion already; nothing to do")
    if to not in reigned:
        raise NotPromotable(f"version {to} was never champion of {family}; use `loop promote {to}` instead")
    return to


def _move(tx: Session, family: str, alias: str, verb: str, number: int, order: Attribution, now: datetime) -> None:
    line = {
        "family": family,
        "alias": alias,
        "verb": verb,
        "before": versions.holder(tx, family, alias),
        "after": number,
        "actor": order.actor,
        "reason": order.reason,
        "verdict": versions.outcome(tx, number),
        "override": order.override,
        "moved_at": now,
    }
    versions.move(tx, line)
    outbox.record(tx, messages.EVENT_OF_MOVE[verb], messages.moved(line), now)
