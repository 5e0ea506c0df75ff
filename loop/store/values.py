"""The frozen values that leave the store; never live rows."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from loop.errors import BadReason


class Role(StrEnum):
    """Which side of the split a source is on: it teaches, or it judges."""

    TRAIN = "train"
    HOLDOUT = "holdout"


class Kind(StrEnum):
    """Did the user correct the model, or agree with it?"""

    CORRECTION = "correction"
    CONFIRMATION = "confirmation"


class Status(StrEnum):
    """What became of an upload."""

    PENDING = "pending"
    ACCEPTED = "accepted"
    QUARANTINED = "quarantined"
    REJECTED = "rejected"


class RunStatus(StrEnum):
    """What became of a run."""

    RUNNING = "running"
    FINISHED = "finished"
    SKIPPED = "skipped"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, eq=False)
class Pool:
    """Many uploads as arrays, row i of each being one upload, ordered by id.

    ``ids (n,) int64``, ``sources (n,) int64`` (who; numbers without meaning), ``pixels (n, 28, 28) uint8``,
    ``labels (n,) uint8``, ``corrected (n,) bool`` (False: a confirmation), ``told (n,) bool`` (the sender knew what the
    model had said; False for imported handwriting), ``rates (n,) float64``.
    """

    ids: NDArray[np.int64]
    sources: NDArray[np.int64]
    pixels: NDArray[np.uint8]
    labels: NDArray[np.uint8]
    corrected: NDArray[np.bool_]
    told: NDArray[np.bool_]
    rates: NDArray[np.float64]

    def __len__(self) -> int:
        """How many uploads."""
        return len(self.ids)

    def __getitem__(self, rows: NDArray[Any]) -> "Pool":
        """The uploads at these rows (indices or a mask)."""
        return Pool(
            self.ids[rows],
            self.sources[rows],
            self.pixels[rows],
            self.labels[rows],
            self.corrected[rows],
            self.told[rows],
            self.rates[rows],
        )


@dataclass(frozen=True, slots=True)
class Run:
    """One pass of the loop. ``seconds`` maps each finished step to its duration. ``slot`` is None for one by hand;
    ``done`` of ``total`` is how far ``step`` has come, a second ago.
    """

    id: int
    family: str
    kind: str
    status: RunStatus
    reason: str | None
    reserved: int | None
    holder: str
    started_at: datetime
    finished_at: datetime | None
    seconds: dict[str, float]
    slot: str | None = None
    step: str | None = None
    done: int = 0
    total: int = 0


@dataclass(frozen=True, slots=True)
class Version:
    """One registered model and everything it came from; the files lie in the artifacts under their digests."""

    number: int
    family: str
    run_id: int
    snapshot_id: int | None
    snapshot_digest: str | None
    champion: int | None
    artifact_digest: str
    artifact_bytes: int
    weights_digest: str
    base_digest: str
    report_digest: str
    golden_digest: str
    recipe_digest: str
    recipe: dict[str, Any]
    seed: int
    summary: dict[str, Any]
    registered_at: datetime
    mlpackage_digest: str | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a judge said of a version; ``document`` holds the reasons and the numbers."""

    version: int
    question: str
    outcome: str
    document: dict[str, Any]
    given_at: datetime


@dataclass(frozen=True, slots=True)
class Move:
    """One line of the alias ledger."""

    id: int
    family: str
    alias: str
    verb: str
    before: int | None
    after: int
    actor: str
    reason: str
    verdict: str
    override: bool
    moved_at: datetime


@dataclass(frozen=True, slots=True)
class FeedRoot:
    """A root document of the feed, as signed bytes."""

    version: int
    document: bytes
    actor: str
    reason: str
    added_at: datetime


@dataclass(frozen=True, slots=True)
class FeedEntry:
    """A feed that was signed, as signed bytes."""

    epoch: int
    sequence: int
    document: bytes
    actor: str
    signed_at: datetime


@dataclass(frozen=True, slots=True)
class Withdrawal:
    """A model that no device may run any longer."""

    version: int
    digest: str
    actor: str
    reason: str
    withdrawn_at: datetime


@dataclass(frozen=True, slots=True)
class Attribution:
    """Who wants an alias moved, and why."""

    actor: str
    reason: str
    override: bool = False

    def __post_init__(self) -> None:
        """Refuse what the ledger cannot keep: it is never mended. Raises ``BadReason``."""
        for field, value, longest in (("actor", self.actor, 100), ("reason", self.reason, 1000)):
            if not 0 < len(value.strip()) <= len(value) <= longest or not value.isprintable():
                raise BadReason(
                    f"{field}: expected 1 to {longest} printable characters, got {len(value)}; say it again"
                )
