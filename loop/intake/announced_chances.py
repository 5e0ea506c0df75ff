"""With which chances phones were asked to send drawings: the asking policies that were set, as a timeline. Pure.

Rules:
- A drawing is stored with the chance that a policy announced for its kind: *unsure* if the two best probabilities that
  it states differ by less than the policy's margin, else *other*. Within ``ROUNDING`` of the margin either counts,
  since an app may round what it sends.
- An answer of the user (kind ``asked``) has the chance of unsure drawings: the app asks about no others.
- A phone may be late, as with confirmations: each policy counts for ``announced_rates.LATE`` after it was replaced.
- Where no policy was ever set, and where its chance is 0, no phone was asked to send anything. Then a drawing is
  refused: nobody knows which others its app kept back, so no weight would be right.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from loop.errors import RateNotAnnounced
from loop.feed.document import MILLION
from loop.store.asking.policies import SetPolicy
from loop.store.values import Kind

ROUNDING = 1e-3


@dataclass(frozen=True, slots=True)
class Chances:
    """What one policy announced, from ``since`` until the next one was set (None: it is in force)."""

    since: datetime
    margin: float
    unsure: float
    other: float
    until: datetime | None = None

    def of(self, margin: float | None) -> list[float]:
        """The chances above 0 that a drawing with this margin can have had; None: it was unsure."""
        is_unsure = margin is None or margin < self.margin
        first, second = (self.unsure, self.other) if is_unsure else (self.other, self.unsure)
        near = margin is not None and abs(margin - self.margin) <= ROUNDING
        return [chance for chance in ((first, second) if near else (first,)) if chance > 0]


def after(before: Sequence[Chances], policies: Sequence[SetPolicy]) -> tuple[Chances, ...]:
    """The timeline with later policies, oldest first."""
    found = list(before)
    for policy in policies:
        if found:
            found[-1] = replace(found[-1], until=policy.set_at)
        margin, unsure, other = (policy.document[name] / MILLION for name in ("margin_ppm", "unsure_ppm", "other_ppm"))
        found.append(Chances(policy.set_at, margin, unsure, other))
    return tuple(found)


def in_force(timeline: Sequence[Chances], since: datetime) -> list[Chances]:
    """The policies that were in force at some time after ``since``, oldest first."""
    return [each for each in timeline if each.until is None or each.until > since]


def of(policies: Sequence[Chances], columns: Mapping[str, Any], drawn: datetime) -> list[float]:
    """The chances that an upload can have had: first by the policy in force when it was drawn, then the newest first.

    ``columns`` are those of a drawing or of a user's answer.
    """
    margin = margin_of(columns)
    begun = [each for each in policies if each.since <= drawn]
    found = [chance for each in (*begun[-1:], *reversed(policies)) for chance in each.of(margin)]
    return list(dict.fromkeys(found))


def margin_of(columns: Mapping[str, Any]) -> float | None:
    """By how much the two best probabilities of a drawing differ; None for a user's answer, which states only one."""
    if columns["kind"] != Kind.DRAWING:
        return None
    margin: float = columns["confidence"] - columns["runner_up_confidence"]
    return margin


def refusal(
    columns: Mapping[str, Any], chances: Sequence[float], policies: Sequence[Chances], stated: float | None
) -> RateNotAnnounced:
    """Why an upload is refused that had none of these ``chances``."""
    kind, margin = columns["kind"], margin_of(columns)
    got = f"{'an answer of the user' if kind == Kind.ASKED else 'a drawing'}" if stated is None else f"{stated:g}"
    if not policies:
        return RateNotAnnounced(
            f"rate: expected no upload of the kind {kind}, since no asking policy was ever set, got {got}; send none "
            "until the server publishes asking.json"
        )
    with_margin = "" if margin is None else f" with a margin of {margin:.3f}"
    if not chances:
        return RateNotAnnounced(
            f"rate: expected no upload of the kind {kind}{with_margin}, since the asking policy gives it the chance 0, "
            f"got {got}; send none"
        )
    return RateNotAnnounced(
        f"rate: expected {' or '.join(f'{chance:g}' for chance in chances[:5])}, announced by the asking policy for "
        f"the kind {kind}{with_margin}, got {got}; send the chance of the policy that the phone had when it drew, or "
        "leave it out"
    )
