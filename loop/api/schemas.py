"""The JSON that the API accepts and returns; the OpenAPI document is generated from these."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, PlainSerializer, WithJsonSchema

from loop.api import problems
from loop.clock import iso
from loop.intake.upload import LEAST_RATE
from loop.store.values import Kind

PNG = (
    "iVBORw0KGgoAAAANSUhEUgAAABwAAAAcCAAAAABXZoBIAAAAl0lEQVR4nGNgoAlgROExMf7/h0uSQ5Llz9Nf2E3htN53dYcCM3Y5m8Nff15Xwy"
    "rJaXP4y78/N5ElmWAMdsM27fd/UNXDJJlFM1SvNTz7hyLJAqX/vp7GMOvzT+wuZWBgl+FSu/kLxU4WOOvnM0Z09UwI5j90OWRJTDCUJf/9RfEs"
    "CzLn18N/j5ETAkqQsUmjJhO8CYxGAAB4Ni8zSub//AAAAABJRU5ErkJggg=="
)
"""A small image for the examples."""


Image = Annotated[
    bytes | str,  # the bytes of a form's part, or base64
    WithJsonSchema({"type": "string", "contentEncoding": "base64", "description": "PNG or JPEG, in base64"}),
]
Timestamp = Annotated[
    datetime,
    PlainSerializer(iso, return_type=str),
    WithJsonSchema({"type": "string", "format": "date-time", "examples": ["2026-05-03T08:15:00.000Z"]}),
]
Label = Annotated[int, Field(strict=True, ge=0, le=9)]
Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Number = Annotated[int, Field(strict=True, ge=1, lt=2**31, description="A version's number.", examples=[3])]
Rate = Annotated[float, Field(ge=LEAST_RATE, le=1, allow_inf_nan=False)]
Key = Annotated[str, Field(min_length=1, max_length=200)]
Said = Literal[
    Kind.CORRECTION,
    Kind.CONFIRMATION,
    Kind.NOT_A_DIGIT,
    Kind.UNREADABLE,
    Kind.ASKED,
]
"""The kinds of a correction."""
FAMILY = "^[a-z0-9]{1,20}$"  # PostgreSQL accepts no NUL; no family has another name
Reason = Annotated[
    str,
    Field(min_length=1, max_length=1000, description="Recorded in the ledger.", examples=["reads new writers better"]),
]


class Incoming(BaseModel):
    """A request: unknown fields are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Correction(Incoming):
    """What a user says about an image: a correction, a confirmation, or that it shows no digit that can be read."""

    image: Image
    label: Label | None = Field(
        None,
        description="The digit that the user wrote. Required, except for the kinds `not-a-digit` and `unreadable`.",
    )
    kind: Said = Field(
        Kind.CORRECTION,
        description="`correction`: the user corrected the model; `confirmation`: the user agreed with it; "
        "`not-a-digit`, `unreadable`: the image shows none, or nobody can read it; `asked`: the app asked its user, as "
        "its asking policy says, and this is the answer.",
    )
    predicted: Label | None = Field(None, description="The label that the phone's model predicted.")
    confidence: Share | None = Field(None, description="The probability that the model gave to it.")
    version: Number | None = Field(None, description="The model version on the phone.")
    captured_at: datetime | None = Field(None, description="When it was drawn: ISO 8601 with a time zone.")
    rate: Rate | None = Field(
        None,
        description="The probability with which the app sends confirmations: the `confirm_ppm`/10⁶ of its feed; of "
        "`asked`: the `unsure_ppm`/10⁶ of its asking policy. If it is absent or within a factor of two of an announced "
        "rate, the announced one is stored. 1 or absent for the other kinds.",
    )
    key: Key | None = Field(
        None, description="Idempotency key, required in a batch; the header Idempotency-Key has the same effect."
    )


class Drawing(Incoming):
    """An image without a label, sent as the asking policy says. Either the two best digits of the phone's model with
    their probabilities, or all ten probabilities.
    """

    image: Image
    predicted: Label | None = Field(None, description="The digit that the phone's model found most probable.")
    confidence: Share | None = Field(None, description="Its probability.")
    runner_up: Label | None = Field(None, description="The second digit of the phone's model.")
    runner_up_confidence: Share | None = Field(None, description="Its probability.")
    probabilities: Annotated[list[Share], Field(min_length=10, max_length=10)] | None = Field(
        None,
        description="Instead of the four fields above: the probabilities of the digits 0 to 9, which sum to 1. Only in "
        "JSON. The server keeps the two best.",
    )
    version: Number | None = Field(None, description="The model version on the phone.")
    captured_at: datetime | None = Field(None, description="When it was drawn: ISO 8601 with a time zone.")
    rate: Rate | None = Field(
        None,
        description="The chance with which the app sent this drawing: the `unsure_ppm`/10⁶ or `other_ppm`/10⁶ of its "
        "asking policy. If it is absent or within a factor of two of an announced chance, the announced one is stored.",
    )
    key: Key | None = Field(
        None, description="Idempotency key, required in a batch; the header Idempotency-Key has the same effect."
    )


class Batch(Incoming):
    """Several corrections of one source, for example after weeks offline."""

    corrections: list[Correction]


class DrawingBatch(Incoming):
    """Several drawings of one source."""

    drawings: list[Drawing]


class Accepted(BaseModel):
    """The correction is on disk. A retry with the same key and body gets the same answer."""

    id: int
    digest: str = Field(description="SHA-256 of the 784 stored pixels.")
    duplicate: bool = Field(description="True if this source had said the same about the same image before.")
    supersedes: int | None = Field(
        None, description="The earlier correction of this image that this one replaced, if any."
    )
    received_at: Timestamp


class Problem(BaseModel):
    """An RFC 9457 problem document."""

    type: str = Field(json_schema_extra={"enum": list(problems.TYPES)}, examples=["urn:digit-loop:bad-image"])
    title: str
    status: int
    detail: str = Field(description="What was expected, what was got, and what to do.")
    retry_after: int | None = Field(
        None, description="Seconds after which the same request is accepted; also in the header Retry-After."
    )


class Answer(BaseModel):
    """The answer to one correction of a batch: ``accepted`` if ``status`` is 201, else ``problem``."""

    status: int
    accepted: Accepted | None = None
    problem: Problem | None = None


class Answers(BaseModel):
    """The answers to a batch; answer i is for correction i."""

    answers: list[Answer]


class Erased(BaseModel):
    """The source is erased, with everything that it sent."""

    uploads: int = Field(description="The number of erased uploads; 0 if there was no such source.")
    considered: list[int] = Field(
        description="The versions that were made while they counted: each may have been trained on them, or tested on "
        "them; which of the two is not disclosed. Later versions are made without them."
    )
    taught: list[int] | None = Field(description="For ops: the versions that were trained on them. Null for an app.")


class Prediction(BaseModel):
    """The champion's prediction and the pixels that it read."""

    label: int
    probabilities: list[float] = Field(description="One for each digit, 0 to 9.")
    version: int
    digest: str = Field(description="SHA-256 of the 784 pixels that the model read.")
    normalised: bool = Field(description="True if the image was converted to MNIST's form first.")


class Version(BaseModel):
    """One registered model."""

    number: int
    family: str
    alias: Literal["champion", "challenger"] | None = Field(description="The alias that points to it, if any.")
    verdict: str = Field(examples=["passed"])
    accuracy: dict[str, float | None] = Field(description="Accuracy on each slice of the holdout, 0 to 1.")
    digest: str = Field(description="SHA-256 of its .mlmodel.")
    bytes: int
    run: int
    registered_at: Timestamp


class Verdict(BaseModel):
    """One verdict of a judge."""

    question: str
    outcome: str
    reasons: list[Any]
    given_at: Timestamp


class VersionDetails(Version):
    """A version with its lineage and verdicts."""

    snapshot: str | None
    recipe: dict[str, Any]
    seed: int
    judged_against: int | None
    verdicts: list[Verdict]


class Promotion(Incoming):
    """Make a version champion of its family."""

    version: Number
    reason: Reason
    override: bool = Field(False, description="Promote even if its verdict is not passed. Recorded in the ledger.")


class Rollback(Incoming):
    """Go back to the previous champion, or to the earlier one in ``to``."""

    family: str = Field("cnn", pattern=FAMILY)
    reason: Reason
    to: Number | None = None


class Moved(BaseModel):
    """The recorded move, and whether the feed was published."""

    family: str
    verb: str
    before: int | None
    after: int
    actor: str
    reason: str
    moved_at: Timestamp
    feed: str = Field(description="The result of publishing the feed.", examples=["published: a champion moved"])
    sequence: int | None = Field(description="The sequence number of the feed that phones get now.")


class Move(BaseModel):
    """One entry of the alias ledger."""

    id: int
    family: str
    alias: Literal["champion", "challenger"]
    verb: str = Field(examples=["promote"])
    before: int | None
    after: int
    actor: str
    reason: str
    verdict: str
    override: bool = Field(description="True if it was moved although the verdict was not passed.")
    moved_at: Timestamp


class Wanted(Incoming):
    """Request a night."""

    family: str = Field("cnn", pattern=FAMILY)


class Slot(BaseModel):
    """A night that is due; a scheduler runs it."""

    slot: str
    family: str
    due_at: Timestamp
    run: int | None


class Run(BaseModel):
    """One run of the loop."""

    id: int
    family: str
    kind: str
    status: str
    reason: str | None
    slot: str | None
    step: str | None
    done: int
    total: int
    version: int | None = Field(description="The version number that it reserved, if any.")
    started_at: Timestamp
    finished_at: Timestamp | None
    seconds: dict[str, float]
