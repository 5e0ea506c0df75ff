"""What goes in and out as JSON; the OpenAPI document is made from these."""

import binascii
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema

from loop.store.values import Kind

PNG = (
    "iVBORw0KGgoAAAANSUhEUgAAABwAAAAcCAAAAABXZoBIAAAAl0lEQVR4nGNgoAlgROExMf7/h0uSQ5Llz9Nf2E3htN53dYcCM3Y5m8Nff15Xwy"
    "rJaXP4y78/N5ElmWAMdsM27fd/UNXDJJlFM1SvNTz7hyLJAqX/vp7GMOvzT+wuZWBgl+FSu/kLxU4WOOvnM0Z09UwI5j90OWRJTDCUJf/9RfEs"
    "CzLn18N/j5ETAkqQsUmjJhO8CYxGAAB4Ni8zSub//AAAAABJRU5ErkJggg=="
)
"""A small picture for the examples."""


def _decoded(value: object) -> bytes:
    if isinstance(value, bytes):  # a part of a multipart body
        return value
    if not isinstance(value, str):
        raise ValueError("expected a picture in base64")
    try:
        return binascii.a2b_base64(value, strict_mode=True)
    except ValueError:
        raise ValueError("expected a picture in base64, it does not decode") from None


Picture = Annotated[
    bytes,
    BeforeValidator(_decoded),
    WithJsonSchema({"type": "string", "contentEncoding": "base64", "description": "PNG or JPEG, in base64"}),
]
Label = Annotated[int, Field(strict=True, ge=0, le=9)]
Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Number = Annotated[int, Field(strict=True, ge=1, lt=2**31, description="A version's number.", examples=[3])]
FAMILY = "^[a-z0-9]{1,20}$"  # a database need not be asked about others, and PostgreSQL takes no NUL
Reason = Annotated[
    str,
    Field(min_length=1, max_length=1000, description="Why; the ledger keeps it.", examples=["reads new hands better"]),
]


class Incoming(BaseModel):
    """Sent to us: nothing unknown is taken."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Correction(Incoming):
    """A digit that a user corrected, or agreed with."""

    image: Picture
    label: Label = Field(description="The digit that was written.")
    kind: Kind = Field(Kind.CORRECTION, description="Did the user correct the model, or agree with it?")
    predicted: Label | None = Field(None, description="What the phone's model said.")
    confidence: Share | None = Field(None, description="How sure it was.")
    version: Number | None = Field(None, description="Which version the phone runs.")
    captured_at: datetime | None = Field(None, description="When it was drawn: ISO 8601 with a zone.")
    rate: Annotated[float, Field(gt=0, le=1, allow_inf_nan=False)] = Field(
        1.0, description="The chance with which uploads of this kind are sent: the feed's for confirmations."
    )
    key: str | None = Field(
        None, min_length=1, max_length=200, description="Idempotency key; singly, the header Idempotency-Key."
    )


class Batch(Incoming):
    """Several corrections of one source: a phone comes back after weeks."""

    corrections: list[Correction]


class Accepted(BaseModel):
    """On disk. The same key and body are answered with the same words again."""

    id: int
    digest: str = Field(description="SHA-256 of the 784 bytes that were kept.")
    duplicate: bool = Field(description="The same image and label of this source had been stored before.")
    received_at: datetime


class Problem(BaseModel):
    """An RFC 9457 problem document."""

    type: str = Field(examples=["urn:digit-loop:bad-image"])
    title: str
    status: int
    detail: str


class Answer(BaseModel):
    """What became of one correction of a batch: ``accepted`` where ``status`` is 201, else ``problem``."""

    status: int
    accepted: Accepted | None = None
    problem: Problem | None = None


class Answers(BaseModel):
    """The answer to correction i of the batch stands at i."""

    answers: list[Answer]


class Erased(BaseModel):
    """A source is gone, with everything that it sent."""

    uploads: int = Field(description="How many were erased; 0 where there was no such source.")
    taught: list[int] = Field(description="Versions that had learned from them; every later one has not.")


class Prediction(BaseModel):
    """What the champion reads, in the pixels that it was shown."""

    label: int
    probabilities: list[float] = Field(description="Of the ten digits, in order.")
    version: int
    digest: str = Field(description="SHA-256 of the 784 bytes that were read.")
    normalised: bool = Field(description="Was the picture brought into MNIST's form first?")


class Version(BaseModel):
    """One registered model."""

    number: int
    family: str
    alias: Literal["champion", "challenger"] | None = Field(description="What it is now, if anything.")
    verdict: str = Field(examples=["passed"])
    accuracy: dict[str, float | None] = Field(description="Share of each slice that was read right.")
    digest: str = Field(description="SHA-256 of its .mlmodel.")
    bytes: int
    run: int
    registered_at: datetime


class Judgement(BaseModel):
    """What a judge said."""

    question: str
    outcome: str
    reasons: list[Any]
    given_at: datetime


class VersionWhole(Version):
    """A version with its lineage and verdicts."""

    snapshot: str | None
    recipe: dict[str, Any]
    seed: int
    judged_against: int | None
    verdicts: list[Judgement]


class Promotion(Incoming):
    """Make a version champion of its family."""

    version: Number
    reason: Reason
    override: bool = Field(False, description="Although its verdict is not passed; the ledger keeps this too.")


class Rollback(Incoming):
    """Go back to the champion before, or to an earlier one."""

    family: str = Field("cnn", pattern=FAMILY)
    reason: Reason
    to: Number | None = None


class Moved(BaseModel):
    """A line of the ledger, and whether phones have been told."""

    family: str
    verb: str
    before: int | None
    after: int
    actor: str
    reason: str
    moved_at: datetime
    feed: str = Field(description="What became of the feed.", examples=["published: a champion moved"])
    sequence: int | None = Field(description="Of the feed that phones see now.")


class Move(BaseModel):
    """A line of the alias ledger."""

    id: int
    family: str
    alias: Literal["champion", "challenger"]
    verb: str = Field(examples=["promote"])
    before: int | None
    after: int
    actor: str
    reason: str
    verdict: str
    override: bool = Field(description="Moved although the verdict was not passed.")
    moved_at: datetime


class Wanted(Incoming):
    """Ask for a night."""

    family: str = Field("cnn", pattern=FAMILY)


class Slot(BaseModel):
    """A night that is due; a scheduler takes it."""

    slot: str
    family: str
    due_at: datetime
    run: int | None


class Run(BaseModel):
    """One pass of the loop."""

    id: int
    family: str
    kind: str
    status: str
    reason: str | None
    slot: str | None
    step: str | None
    done: int
    total: int
    version: int | None = Field(description="The number it reserved, if it did.")
    started_at: datetime
    finished_at: datetime | None
    seconds: dict[str, float]
