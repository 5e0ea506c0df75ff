"""The values of a judgement: the policy it follows, and the verdict with its reasons.

``gate`` and ``export_check`` produce verdicts; the store keeps them as JSON; settings contain a ``Policy`` and
``ExportLimits``.
"""

import math
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from typing import Any

FEEDBACK = "feedback"
"""The slice of held-out sources' corrections and confirmations."""
USERS = "users"
"""The slice that pictures all that people draw: reviewers' answers by lot and users' words, with known chances."""
FULL_BASE = 10_000
"""The number of base images that a policy's margins are meant for: MNIST's test set."""


class Outcome(StrEnum):
    """The result of a check or of a whole verdict."""

    PASSED = "passed"
    INCONCLUSIVE = "inconclusive"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Policy:
    """What the gate requires. The defaults were chosen by simulation (``loop gate-power``, docs/results.md).

    Points are percentage points of accuracy. ``alpha`` is the error probability of each one-sided bound.
    """

    alpha: float = 0.05
    margin_points: float = 0.3
    """A base-slice loss this large or larger passes with probability ``alpha`` at most."""
    class_margin_points: float = 1.5
    """The same for each digit of the base slice; wider, because a digit has a tenth of the images."""
    worthwhile_points: float = 0.5
    """If a feedback gain this large is ruled out, the check fails instead of being inconclusive."""
    tainted_margin_points: float = 2.0
    """A feedback loss below this is tolerated where the champion is tainted: not worse is enough to replace it."""
    minimum_base: int = 200
    minimum_feedback: int = 200
    minimum_confirmations: int = 50
    """Corrections alone are the champion's own errors, so a challenger cannot break any of them."""
    minimum_hands: int = 3
    """Applies only to slices with sources: one or two hands are no evidence about others."""
    hand_share: float = 0.05
    """No hand has more than this share of the judge, nor more than three equal shares, but always two equal ones."""
    upload_share: float = 0.01
    """No upload has more than this share of the judge, but always two equal ones."""
    hand_spread_points: float = 2.5
    """How far the gains of hands differ, at least (standard deviation): a few hands cannot show it."""
    hostile_share: float = 0.2
    """A gain must survive without this share of hands that gain most, a failure without those that lose most."""
    base_floor_percent: float = 90.0
    """First run only: shows that the file is a digit classifier. Our weakest family reaches 96.9."""
    class_floor_percent: float = 75.0
    """First run only, for each digit. Our weakest family reaches 87 % on one digit, with n=91."""

    def __post_init__(self) -> None:
        """Raise ``ValueError`` for numbers outside their range."""
        if not 0 < self.alpha < 0.5:
            raise ValueError(f"alpha: expected a probability between 0 and 0.5, got {self.alpha}")
        for name in ("margin_points", "class_margin_points", "worthwhile_points", "tainted_margin_points"):
            if not 0 < getattr(self, name) <= 100:
                raise ValueError(f"{name}: expected more than 0 and at most 100, got {getattr(self, name)}")
        for name in ("minimum_base", "minimum_feedback", "minimum_confirmations", "minimum_hands"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}: expected 1 or more, got {getattr(self, name)}")
        for name in ("base_floor_percent", "class_floor_percent"):
            if not 0 <= getattr(self, name) <= 100:
                raise ValueError(f"{name}: expected 0 to 100, got {getattr(self, name)}")

    @property
    def confidence(self) -> str:
        """The level of each one-sided bound, in words."""
        return f"{100 * (1 - self.alpha):g} %"

    def at(self, n: int) -> "Policy":
        """The policy for a base slice of ``n`` images.

        Margins and floors are meant for MNIST's 10,000 images. For fewer, the margins grow by √(10,000/n), as the
        paired test's uncertainty does, and are at least five images, which a bound at 5 % needs to tolerate a single
        lost image. A digit's floor falls by five images too, out of its tenth of the slice.
        """
        if n >= FULL_BASE or n == 0:
            return self
        factor, five, five_of_a_digit = math.sqrt(FULL_BASE / n), 100 * 5 / n, 100 * 5 * 10 / n
        return replace(
            self,
            margin_points=min(max(self.margin_points * factor, five), 100.0),
            class_margin_points=min(max(self.class_margin_points * factor, five_of_a_digit), 100.0),
            class_floor_percent=max(self.class_floor_percent - five_of_a_digit, 0.0),
        )


@dataclass(frozen=True, slots=True)
class ExportLimits:
    """Limits on a published file's size, time and deviation. They are generous, because they only catch accidents."""

    max_bytes: int = 10_000_000
    """Every phone downloads the file over mobile data; our network has 0.2 MB."""
    max_milliseconds: float = 20.0
    """Per image in a batch, in this runtime on a busy core. Our network takes about 0.1; a phone takes less."""
    parity: float = 1e-4
    """Largest difference of any probability from the training framework's; float32 gives about 1e-7."""

    def __post_init__(self) -> None:
        """Raise ``ValueError`` for limits that no file can meet."""
        for name in ("max_bytes", "max_milliseconds", "parity"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name}: expected more than 0, got {getattr(self, name)}")


@dataclass(frozen=True, slots=True)
class Reason:
    """The result of one check, in words and in numbers (plain JSON values)."""

    check: str
    outcome: Outcome
    text: str
    numbers: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Verdict:
    """The judgement of one challenger, and its policy. The worst reason decides the outcome."""

    outcome: Outcome
    reasons: tuple[Reason, ...]
    champion: str | None
    challenger: str
    policy: Policy | ExportLimits


def as_json(verdict: Verdict) -> dict[str, Any]:
    """The verdict as plain JSON values, including the policy; NaN and infinity, which JSON lacks, become None."""
    document: dict[str, Any] = _finite(asdict(verdict) | {"reasons": [asdict(reason) for reason in verdict.reasons]})
    return document


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
