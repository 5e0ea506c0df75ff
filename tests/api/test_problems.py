"""Problem documents: every error of the API has a type that is listed, in the code, the document and docs/api.md."""

import re
from typing import Any

import pytest

from loop import errors
from loop.api import problems, protocol
from loop.errors import LoopError
from tests.helpers.paths import ROOT

ELSEWHERE = {
    "feed-refused",
    "bad-model",
    "not-publishable",
    "bad-backup",
    "bad-hook",
    "bad-key",
    "bad-settings",
    "upload-refused",
    "unknown-round",
}
NIGHTLY = {"run-in-progress", "slot-taken", "lesson-erased", "lease-lost", "corpus-unavailable", "back-door-taught"}
MORE: dict[type[Any], object] = {errors.QuotaSpent: 1.0, errors.Busy: 1.0, errors.BackDoorTaught: frozenset()}
"""The second argument of errors that have one."""
GROUPS = {"loop-error", "client-error", "caller-error", "deployment-error"}


def every(kind: type[LoopError] = LoopError) -> list[type[LoopError]]:
    """A class of error and all under it, of ``loop.errors``."""
    return [
        kind,
        *(
            each
            for under in kind.__subclasses__()
            for each in every(under)
            if each.__module__.startswith("loop.errors")
        ),
    ]


def test_every_error_has_a_listed_type_or_never_reaches_the_api() -> None:
    """A new error fails here until it is listed, or said to be of the command line or of nights alone."""
    names = {re.sub(r"(?<!^)(?=[A-Z])", "-", kind.__name__).lower() for kind in every()}
    ours = {rule for rule, _ in protocol.STATUS_DETAILS.values()} | {"fault", "no-such-range"}
    assert names - ELSEWHERE - NIGHTLY - GROUPS == set(problems.RULES) - ours - {"not-found", "method-not-allowed"}


def test_the_page_for_app_developers_lists_every_type() -> None:
    """Each type once, with the status that the API gives it."""
    page = (ROOT / "docs" / "api.md").read_text(encoding="utf-8").partition("## Refusals")[2].partition("\n## ")[0]
    rows = [line.split("|")[1:3] for line in page.splitlines() if line.startswith("| `")]
    listed = [rule for types, _ in rows for rule in re.findall(r"`([a-z0-9-]+)`", types)]
    assert sorted(listed) == sorted(problems.RULES)
    statuses = {rule: codes for types, codes in rows for rule in re.findall(r"`([a-z0-9-]+)`", types)}
    for kind in every():
        error = kind("x", MORE[kind]) if kind in MORE else kind("x")
        rule = problems.rule_of(error)
        if rule in statuses:
            assert str(problems.status_of(error)) in statuses[rule], rule


@pytest.mark.parametrize(("seconds", "expected"), [(0.0, 1), (0.2, 1), (4.0, 4), (4.5, 5), (59.01, 60)])
def test_retry_after_is_never_too_early(seconds: float, expected: int) -> None:
    """Whole seconds, rounded up, at least one."""
    assert problems.of(errors.QuotaSpent("x", seconds))["retry_after"] == expected


def test_what_only_operators_may_know_stays_here() -> None:
    """A message with a path of this machine is replaced, whatever its status."""
    for error in (
        errors.StoreUnavailable("/var/secret"),
        errors.ArtifactCorrupt("/var/secret"),
        LoopError("/var/secret"),
    ):
        found = problems.of(error)
        assert "/var" not in str(found)
        assert found["type"] in problems.TYPES
