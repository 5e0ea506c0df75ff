"""Schemas of the published files, for the OpenAPI document only: ``loop.feed`` checks and parses the files."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Digest = Annotated[str, Field(pattern="^[0-9a-f]{64}$", description="SHA-256 in hexadecimal.")]
Seconds = Annotated[
    str, Field(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$", description="UTC, whole seconds: the signed format.")
]


class Published(BaseModel):
    """A part of a published file: exactly these fields."""

    model_config = ConfigDict(extra="forbid")


class Signature(Published):
    """An Ed25519 signature over the bytes of ``signed``."""

    key: Digest = Field(description="The id of the key: SHA-256 of the public key.")
    signature: str = Field(pattern="^[0-9a-f]{128}$")


class GoldenFile(Published):
    """The file with the golden vectors of a model."""

    digest: Digest
    length: int


class Release(Published):
    """The model of one channel."""

    version: int
    digest: Digest
    length: int
    golden: GoldenFile
    minimum_ios: str = Field(examples=["13.0"])
    rollout_percent: int
    urgent: bool


class Feed(Published):
    """The model that devices run, until ``expires``."""

    type: Literal["feed"]
    format: int
    epoch: int
    sequence: int
    root: int = Field(description="The version of the root that names the feed's keys.")
    issued: Seconds
    expires: Seconds
    confirm_ppm: int = Field(description="How many right answers in a million a device confirms.")
    channels: dict[str, Release] = Field(description="Family and format, for example cnn.mlmodel → its release.")
    withdrawn: list[Digest] = Field(description="Models that no device may run.")


class Asking(BaseModel):
    """What a phone sends of its own accord. Shares are in a million. Members that a phone does not know are ignored."""

    type: Literal["asking"]
    format: int
    epoch: int
    sequence: int
    issued: Seconds
    expires: Seconds
    margin_ppm: int = Field(description="A drawing is unsure if its two best probabilities differ by less.")
    unsure_ppm: int = Field(description="The chance with which an unsure drawing is sent.")
    other_ppm: int = Field(description="The chance with which any other drawing is sent.")
    ask_user: bool = Field(description="Whether the app asks its user about an unsure drawing.")
    asked_a_day: int = Field(description="How often a day at most.")
    critical: list[str] = Field(default=[], description="Members that a phone must understand, or ask nothing.")


class FeedKey(Published):
    """A key that may sign feeds."""

    public: str
    expires: Seconds


class RootRole(Published):
    """The keys that may sign roots."""

    keys: dict[str, str] = Field(description="Key id → public key in hexadecimal.")
    threshold: int


class FeedRole(Published):
    """The keys that may sign feeds."""

    keys: dict[str, FeedKey] = Field(description="Key id → key.")
    threshold: int


class Root(Published):
    """The keys that may sign the feed and the next root."""

    type: Literal["root"]
    format: int
    version: int
    epoch: int
    issued: Seconds
    root: RootRole
    feed: FeedRole


class SignedFeed(Published):
    """The feed and its signatures."""

    signatures: list[Signature]
    signed: Feed


class SignedAsking(Published):
    """The asking policy and its signatures."""

    signatures: list[Signature]
    signed: Asking


class SignedRoot(Published):
    """A root and its signatures."""

    signatures: list[Signature]
    signed: Root


class GoldenVector(Published):
    """An image and the answer that the model must give."""

    pixels: str = Field(description="784 bytes in base64, white ink on black.")
    label: int
    probabilities: list[float]


class Golden(Published):
    """The golden vectors of a model."""

    format: int
    model: Digest
    tolerance: float = Field(description="How far a probability may differ.")
    vectors: list[GoldenVector]
