"""The frozen values that the store returns; never live rows."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from loop.errors import BadReason

if TYPE_CHECKING:  # NumPy costs a tenth of a second, and most commands only look at rows
    import numpy as np
    from numpy.typing import NDArray


class Role(StrEnum):
    """A source's side of the split: its uploads teach, or they judge."""

    TRAIN = "train"
    HOLDOUT = "holdout"


class Kind(StrEnum):
    """What the user says: the model was wrong, it was right, this is no digit, or nobody can read it. A drawing says
    nothing: the phone's model was unsure. ``asked``: the app asked its user.
    """

    CORRECTION = "correction"
    CONFIRMATION = "confirmation"
    NOT_A_DIGIT = "not-a-digit"
    UNREADABLE = "unreadable"
    DRAWING = "drawing"
    ASKED = "asked"

    @property
    def has_label(self) -> bool:
        """Whether an upload of this kind names a digit. Reviewers may label a drawing later."""
        return self in {Kind.CORRECTION, Kind.CONFIRMATION, Kind.ASKED}


class Status(StrEnum):
    """The state of an upload. Only accepted uploads teach and judge. ``pending``: a drawing that waits for a label.

    ``quarantined``: screening or the canaries held it back. ``rejected``: a reviewer agreed with that.

    ``noted``: it has no label. ``superseded``: its source said something else about the same image later.
    ``withdrawn``: its source took it back.
    """

    PENDING = "pending"
    ACCEPTED = "accepted"
    QUARANTINED = "quarantined"
    REJECTED = "rejected"
    NOTED = "noted"
    SUPERSEDED = "superseded"
    WITHDRAWN = "withdrawn"


class Flag(StrEnum):
    """Why an upload is never weighed, although it may teach: what it states about itself cannot be true."""

    UNKNOWN_VERSION = "unknown-version"
    CAPTURED_AT = "captured-at"


class RunStatus(StrEnum):
    """The state of a run."""

    RUNNING = "running"
    FINISHED = "finished"
    SKIPPED = "skipped"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, eq=False)
class Pool:
    """Many uploads as arrays, ordered by id; row i of each array belongs to upload i.

    ``ids (n,) int64``, ``sources (n,) int64`` (opaque numbers), ``pixels (n, 28, 28) uint8``, ``labels (n,) uint8``,
    ``corrected (n,) bool`` (False: a confirmation), ``has_prediction (n,) bool`` (the upload states the phone's
    prediction; False for imported handwriting), ``rates (n,) float64`` in (0, 1].
    """

    ids: NDArray[np.int64]
    sources: NDArray[np.int64]
    pixels: NDArray[np.uint8]
    labels: NDArray[np.uint8]
    corrected: NDArray[np.bool_]
    has_prediction: NDArray[np.bool_]
    rates: NDArray[np.float64]

    def __len__(self) -> int:
        """The number of uploads."""
        return len(self.ids)

    def __getitem__(self, rows: NDArray[Any]) -> Pool:
        """The uploads at these rows (indices or a mask)."""
        return Pool(
            self.ids[rows],
            self.sources[rows],
            self.pixels[rows],
            self.labels[rows],
            self.corrected[rows],
            self.has_prediction[rows],
            self.rates[rows],
        )


@dataclass(frozen=True, slots=True)
class Run:
    """One pass of the loop. ``seconds`` maps each finished step to its duration. ``slot`` is None for a run by hand.
    ``done`` of ``total`` is the progress of ``step``, at most a second old.
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
    """One registered model and its lineage. Its files are in the artifact store, named by their digests."""

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
    """A judge's verdict about a version; ``document`` contains the reasons and the figures."""

    version: int
    question: str
    outcome: str
    document: dict[str, Any]
    given_at: datetime


@dataclass(frozen=True, slots=True)
class Move:
    """One entry of the alias ledger."""

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
    """A signed feed, as signed bytes."""

    epoch: int
    sequence: int
    document: bytes
    actor: str
    signed_at: datetime


@dataclass(frozen=True, slots=True)
class Withdrawal:
    """A model that devices must no longer run."""

    version: int
    digest: str
    actor: str
    reason: str
    withdrawn_at: datetime


@dataclass(frozen=True, slots=True)
class Attribution:
    """The actor of a move of an alias, and the reason."""

    actor: str
    reason: str
    override: bool = False

    def __post_init__(self) -> None:
        """Refuse what the ledger cannot store, since its entries are final. Raises ``BadReason``."""
        for field, value, longest in (("actor", self.actor, 100), ("reason", self.reason, 1000)):
            if not 0 < len(value.strip()) <= len(value) <= longest or not value.isprintable():
                raise BadReason(
                    f"{field}: expected 1 to {longest} printable characters, got {len(value)}; give another"
                )
