"""The values of a judgement: the policy that goes in, the verdict with its reasons that comes out.

``gate`` and ``trial`` fill them; the store keeps them as JSON; settings hold a ``Policy`` and ``TrialLimits``.
"""

import math
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from typing import Any

FULL_BASE = 10_000
"""Images of the base slice that a policy's margins are meant for: MNIST's test set."""


class Outcome(StrEnum):
    """What a check or a whole verdict came to."""

    PASSED = "passed"
    INCONCLUSIVE = "inconclusive"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Policy:
    """What the gate asks for; the defaults were chosen by simulation (``loop gate-power``, docs/results.md).

    Points are percentage points of accuracy. ``alpha`` is the chance to be wrong of each one-sided bound.
    """

    alpha: float = 0.05
    margin_points: float = 0.3
    """A base-slice loss this large or larger is let through with chance ``alpha`` at most."""
    class_margin_points: float = 1.5
    """The same for each digit of the base slice; wider, because a digit has a tenth of the images."""
    worthwhile_points: float = 0.5
    """No feedback gain this large left to hope for: failed rather than inconclusive."""
    minimum_base: int = 200
    minimum_feedback: int = 200
    minimum_confirmations: int = 50
    """Corrections alone are the champion's own errors: nothing could be broken in them."""
    minimum_hands: int = 2
    """Asked only of slices that know their sources: one hand says nothing of another."""
    base_floor_percent: float = 90.0
    """First run only: is it a digit classifier at all? The weakest family of ours reaches 96.9."""
    class_floor_percent: float = 75.0
    """First run only, for each digit; that family reads 87 % of one digit, with n=91."""

    def __post_init__(self) -> None:
        """Refuse numbers outside their range with a ``ValueError``."""
        if not 0 < self.alpha < 0.5:
            raise ValueError(f"alpha: expected a chance between 0 and 0.5, got {self.alpha}")
        for name in ("margin_points", "class_margin_points", "worthwhile_points"):
            if not 0 < getattr(self, name) <= 100:
                raise ValueError(f"{name}: expected more than 0 and at most 100, got {getattr(self, name)}")
        for name in ("minimum_base", "minimum_feedback", "minimum_confirmations", "minimum_hands"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}: expected 1 or more, got {getattr(self, name)}")
        for name in ("base_floor_percent", "class_floor_percent"):
            if not 0 <= getattr(self, name) <= 100:
                raise ValueError(f"{name}: expected 0 to 100, got {getattr(self, name)}")

    def at(self, n: int) -> "Policy":
        """The policy for a base slice of ``n`` images.

        Margins and floors are meant for MNIST's 10,000. Fewer show only wider margins: by √(10,000/n), as the paired
        test's uncertainty grows, and five images at least, which a bound at 5 % needs to forgive a single one. A
        digit's floor falls by five images too, of the tenth that it has.
        """
        if n >= FULL_BASE or n == 0:
            return self
        wider, five, five_of_a_digit = math.sqrt(FULL_BASE / n), 100 * 5 / n, 100 * 5 * 10 / n
        return replace(
            self,
            margin_points=min(max(self.margin_points * wider, five), 100.0),
            class_margin_points=min(max(self.class_margin_points * wider, five_of_a_digit), 100.0),
            class_floor_percent=max(self.class_floor_percent - five_of_a_digit, 0.0),
        )


@dataclass(frozen=True, slots=True)
class ExportLimits:
    """What a published file may cost and how far it may stray; generous, for they are meant to catch accidents."""

    max_bytes: int = 10_000_000
    """Downloaded over mobile data by every phone; our network has 0.2 MB."""
    max_milliseconds: float = 20.0
    """Per image in a batch, in this runtime on a busy core; our network takes about 0.1, a phone less."""
    parity: float = 1e-4
    """Largest difference of any probability from the training framework's own; float32 gives about 1e-7."""

    def __post_init__(self) -> None:
        """Refuse limits that nothing could keep with a ``ValueError``."""
        for name in ("max_bytes", "max_milliseconds", "parity"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name}: expected more than 0, got {getattr(self, name)}")


@dataclass(frozen=True, slots=True)
class Reason:
    """One check: what it came to, in words and in numbers (plain JSON values)."""

    check: str
    outcome: Outcome
    text: str
    numbers: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the gate says of one challenger, and by which policy; the worst reason is the outcome."""

    outcome: Outcome
    reasons: tuple[Reason, ...]
    champion: str | None
    challenger: str
    policy: Policy | ExportLimits


def as_json(verdict: Verdict) -> dict[str, Any]:
    """The verdict as plain JSON values, policy included; NaN and infinity, which JSON does not know, as None."""
    found: dict[str, Any] = _finite(asdict(verdict) | {"reasons": [asdict(reason) for reason in verdict.reasons]})
    return found


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
