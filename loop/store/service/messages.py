"""The kinds of event, and the body of each.

An event is written in the transaction that causes it (``service.outbox``), so that neither exists without the other.
Bodies contain plain JSON values; docs/operations.md lists their fields, and a test compares the two.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any

from loop.store import values
from loop.store.values import RunStatus

Body = dict[str, Any]


class Kind(StrEnum):
    """The kinds of event. A webhook subscribes to any of them except ``webhook.test``."""

    NIGHT_FINISHED = "night.finished"
    REGISTERED = "version.registered"
    PROMOTED = "version.promoted"
    ROLLED_BACK = "version.rolled_back"
    WITHDRAWN = "version.withdrawn"
    GATE_REFUSED = "gate.refused"
    NEAR_EXPIRY = "feed.near_expiry"
    TEST = "webhook.test"


EVENT_OF_MOVE = {"register": Kind.REGISTERED, "promote": Kind.PROMOTED, "rollback": Kind.ROLLED_BACK}
"""The kind of event of each ledger verb."""


def night(run: values.Run) -> Body:
    """The end of a night; ``version`` is the registered one, ``reason`` why it was skipped, failed or not promoted."""
    return {
        "run": run.id,
        "family": run.family,
        "status": run.status,
        "reason": run.reason,
        "version": run.reserved if run.status is RunStatus.FINISHED else None,
        "started_at": run.started_at.isoformat(),
    }


def moved(line: Mapping[str, Any]) -> Body:
    """A ledger entry: the version that an alias left (``before``), the one it points at now, the actor, the reason."""
    names = ("family", "before", "actor", "reason", "verdict", "override")
    return {"version": line["after"]} | {name: line[name] for name in names}


def withdrawn(family: str, withdrawal: values.Withdrawal) -> Body:
    """A withdrawal: devices must no longer run this version."""
    return {
        "family": family,
        "version": withdrawal.version,
        "digest": withdrawal.digest,
        "actor": withdrawal.actor,
        "reason": withdrawal.reason,
    }


def refused(version: values.Version, verdicts: Iterable[values.Verdict]) -> Body | None:
    """Why a challenger did not pass: the outcome of each verdict, and the checks that did not pass, in words. None if
    every verdict passed.
    """
    not_passed = [verdict for verdict in verdicts if verdict.outcome != "passed"]
    if not not_passed:
        return None
    reasons = [reason for verdict in not_passed for reason in verdict.document.get("reasons", [])]
    return {
        "family": version.family,
        "version": version.number,
        "verdicts": {verdict.question: verdict.outcome for verdict in not_passed},
        "reasons": [reason["text"] for reason in reasons if reason["outcome"] != "passed"],
    }


def near_expiry(epoch: int, sequence: int, expires: datetime) -> Body:
    """The published feed expires at ``expires`` and was not renewed."""
    return {"epoch": epoch, "sequence": sequence, "expires": expires.isoformat()}


def test(actor: str) -> Body:
    """A test message that an operator asked for."""
    return {"asked_by": actor}
