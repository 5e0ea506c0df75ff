"""What the world is told: the kinds of event, and what each one says.

An event is written in the transaction of the fact that it tells (``store.events``), so there is never one without the
other. Bodies hold plain JSON values; docs/operations.md lists their fields, and a test compares.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any

from loop.store import values
from loop.store.values import RunStatus

Body = dict[str, Any]


class Kind(StrEnum):
    """What can happen. Whoever adds a webhook chooses among these, ``webhook.test`` apart."""

    NIGHT_FINISHED = "night.finished"
    REGISTERED = "version.registered"
    PROMOTED = "version.promoted"
    ROLLED_BACK = "version.rolled_back"
    WITHDRAWN = "version.withdrawn"
    GATE_REFUSED = "gate.refused"
    NEAR_EXPIRY = "feed.near_expiry"
    TEST = "webhook.test"


EVENT_OF_MOVE = {"register": Kind.REGISTERED, "promote": Kind.PROMOTED, "rollback": Kind.ROLLED_BACK}
"""The ledger's verbs, as kinds."""


def night(run: values.Run) -> Body:
    """How a night ended; ``version`` is what it registered, ``reason`` why it was skipped, failed or not promoted."""
    return {
        "run": run.id,
        "family": run.family,
        "status": run.status,
        "reason": run.reason,
        "version": run.reserved if run.status is RunStatus.FINISHED else None,
        "started_at": run.started_at.isoformat(),
    }


def moved(line: Mapping[str, Any]) -> Body:
    """A line of the ledger: which version an alias left (``before``) and which it names now, who did it, and why."""
    said = ("family", "before", "actor", "reason", "verdict", "override")
    return {"version": line["after"]} | {name: line[name] for name in said}


def withdrawn(family: str, withdrawal: values.Withdrawal) -> Body:
    """No device may run this version any longer."""
    return {
        "family": family,
        "version": withdrawal.version,
        "digest": withdrawal.digest,
        "actor": withdrawal.actor,
        "reason": withdrawal.reason,
    }


def refused(version: values.Version, verdicts: Iterable[values.Verdict]) -> Body | None:
    """What kept a challenger from passing: each verdict's outcome, and the checks that did not pass, in words; None
    where all passed.
    """
    wanting = [verdict for verdict in verdicts if verdict.outcome != "passed"]
    if not wanting:
        return None
    reasons = [reason for verdict in wanting for reason in verdict.document.get("reasons", [])]
    return {
        "family": version.family,
        "version": version.number,
        "verdicts": {verdict.question: verdict.outcome for verdict in wanting},
        "reasons": [reason["text"] for reason in reasons if reason["outcome"] != "passed"],
    }


def near_expiry(epoch: int, sequence: int, expires: datetime) -> Body:
    """The feed that devices see will be refused after ``expires``, and nobody has renewed it."""
    return {"epoch": epoch, "sequence": sequence, "expires": expires.isoformat()}


def test(actor: str) -> Body:
    """Somebody wants to see whether messages arrive."""
    return {"asked_by": actor}
