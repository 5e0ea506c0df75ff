"""The grouped settings: ``serve.*`` for the API, ``schedule.*`` for the scheduler, ``trust.*`` for the lesson,
``attest.*`` for the attestation of devices, ``jury.*`` for the judging hands, ``canary.*`` for the probes of a
challenger, ``ask.*`` for the questions, ``review.*`` for the answers.
"""

import ipaddress
import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, time

KIB, MIB = 1 << 10, 1 << 20
APP_ID = re.compile(r"[A-Z0-9]{10}\.[A-Za-z0-9][A-Za-z0-9._-]{0,154}")
ORIGIN = re.compile(r"https?://[a-z0-9.-]+(?::[0-9]{1,5})?|https?://\[[0-9a-f:]+\](?::[0-9]{1,5})?")


@dataclass(frozen=True, slots=True)
class Serving:
    """The API's address, limits and quotas. Sizes are in bytes; quotas refill continuously."""

    host: str = "127.0.0.1"
    port: int = 8000
    max_upload: int = 256 * KIB
    """Largest body of one correction, with its picture."""
    max_batch: int = 16 * MIB
    max_batch_items: int = 500
    key_per_minute: int = 60_000
    """Uploads per key and API process; an app's users share its key."""
    source_per_minute: int = 120
    """Uploads per source and API process."""
    source_per_day: int = 2_000
    """Uploads per source and UTC day. The store counts them: a restart or a second process resets nothing."""
    sources_per_minute: int = 600
    """New sources per key and API process: an invented source costs nothing, so new ones are limited."""
    commit_batch: int = 256
    """Most uploads in one transaction; each waits for the disk."""
    commit_wait_ms: float = 2.0
    """How long the first upload of a transaction waits for others."""
    waiting: int = 4_096
    """Most uploads that wait for the disk; further ones are answered 503 with Retry-After."""
    body_seconds: float = 20.0
    """Time in which a request body must arrive."""
    cors_origins: str = ""
    """Origins of web pages that may call the API from a browser, separated by commas; ``*``: any."""

    def __post_init__(self) -> None:
        """Raise ``ValueError`` for a number outside its range."""
        if not 0 <= self.port < 1 << 16:
            raise ValueError(f"port: expected 0 to 65535, got {self.port}")
        for name in self.__slots__:
            if name not in {"host", "port", "cors_origins"} and not getattr(self, name) > 0:
                raise ValueError(f"{name}: expected more than 0, got {getattr(self, name)}")
        for origin in self.allowed_origins:
            if origin != "*" and not ORIGIN.fullmatch(origin):
                raise ValueError(f"cors_origins: expected https://HOST, https://HOST:PORT or *, got {origin[:80]!r}")

    @property
    def allowed_origins(self) -> tuple[str, ...]:
        """The origins in ``cors_origins``."""
        return tuple(each.strip() for each in self.cors_origins.split(",") if each.strip())

    @property
    def loopback(self) -> bool:
        """Whether only this machine can reach the address."""
        try:
            return self.host == "localhost" or ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False


@dataclass(frozen=True, slots=True)
class Schedule:
    """When nights are due, and their limits."""

    cron: str = "0 3 * * *"
    """Minute, hour, day, month, weekday (by name: mon-fri), in UTC."""
    family: str = "cnn"
    volume: int = 200
    """Number of newly accepted uploads that makes a night due early; 0 turns this off."""
    volume_hours: float = 6.0
    """Shortest time between two such early nights."""
    night_minutes: float = 240.0
    """A night that takes longer is killed, and fails with that reason."""
    night_memory: int = 8_192 * MIB
    """A night that needs more resident memory (bytes) is killed, and fails with that reason."""
    attempts: int = 2
    """Attempts per slot if its night dies without a reason; a night that failed with a reason is not repeated."""
    heartbeat_seconds: float = 30.0
    """Time between two checks of a scheduler for a due night."""

    def __post_init__(self) -> None:
        """Raise ``ValueError`` for a number outside its range; ``schedule.slots`` parses the cron expression."""
        if len(self.cron.split()) != 5:
            raise ValueError(f"cron: expected five fields (minute hour day month weekday), got {self.cron!r}")
        if self.volume < 0:
            raise ValueError(f"volume: expected 0 or more, got {self.volume}")
        for name in ("volume_hours", "night_minutes", "night_memory", "attempts", "heartbeat_seconds"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name}: expected more than 0, got {getattr(self, name)}")


@dataclass(frozen=True, slots=True)
class Trust:
    """How much of a lesson one source, and all new sources together, may fill; how trust is computed."""

    days: float = 7.0
    """A source is young until it was first seen this many days ago."""
    young_share: float = 0.1
    """Largest share of a lesson that all young sources together fill."""
    source_share: float = 0.05
    """Largest share of a lesson that one source fills."""
    floor: int = 200
    """A lesson may reach this many uploads although most of its sources are young, as in the first days."""
    source_floor: int = 100
    """Uploads that an old source may teach even if that is more than its share, as with few sources."""
    half_life_days: float = 90.0
    """After this time an observation about a source weighs half."""
    prior: float = 10.0
    """Weight of the neutral value 0.5, in observations: one agreement proves nothing."""

    def __post_init__(self) -> None:
        """Raise ``ValueError`` for a number outside its range."""
        for name in ("young_share", "source_share"):
            if not 0 < getattr(self, name) <= 1:
                raise ValueError(f"{name}: expected more than 0 and at most 1, got {getattr(self, name)}")
        for name in ("days", "floor", "source_floor"):
            if not getattr(self, name) >= 0:
                raise ValueError(f"{name}: expected 0 or more, got {getattr(self, name)}")
        for name in ("half_life_days", "prior"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name}: expected more than 0, got {getattr(self, name)}")


@dataclass(frozen=True, slots=True)
class Attest:
    """Which sources must show that a genuine copy of the app made them (``intake/attestation``, ADR 23)."""

    mode: str = "off"
    """``off``; ``prefer``: a source without attestation stays young; ``require``: its uploads are refused, too."""
    app_ids: str = ""
    """The apps that may attest, separated by commas: team id, a dot, bundle id."""
    root_file: str = "app-attest-root.pem"
    """Apple's App Attest root certificate in PEM, which the operator downloads; relative to the home."""
    environment: str = "production"
    """``production``, or ``development`` for builds that Xcode installs."""
    challenge_seconds: float = 300.0
    """How long a challenge is open."""
    since: str = ""
    """A date (2026-11-28): sources that were first seen before it need no attestation."""

    def __post_init__(self) -> None:
        """Raise ``ValueError`` for any other value."""
        for name, words in (("mode", ("off", "prefer", "require")), ("environment", ("production", "development"))):
            if getattr(self, name) not in words:
                raise ValueError(f"{name}: expected {' or '.join(words)}, got {getattr(self, name)[:80]!r}")
        for each in self.apps:
            if not APP_ID.fullmatch(each):
                raise ValueError(f"app_ids: expected team ids with bundle ids (ABCDE12345.org.app), got {each[:80]!r}")
        if self.mode != "off" and not self.apps:
            raise ValueError(f"app_ids: expected at least one app with the mode {self.mode}, got none; set it too")
        if not 10 <= self.challenge_seconds <= 86_400:
            raise ValueError(f"challenge_seconds: expected 10 to 86,400, got {self.challenge_seconds}")
        if self.since:
            date.fromisoformat(self.since)

    @property
    def apps(self) -> tuple[str, ...]:
        """The apps in ``app_ids``."""
        return tuple(each.strip() for each in self.app_ids.split(",") if each.strip())

    @property
    def exempt_before(self) -> datetime:
        """Sources that were first seen before this time need no attestation; with the mode ``off``, all of them."""
        if self.mode == "off":
            return datetime.max.replace(tzinfo=UTC)
        return datetime.combine(date.fromisoformat(self.since or "0001-01-01"), time(), UTC)


@dataclass(frozen=True, slots=True)
class Jury:
    """Which uploads of holdout sources judge a challenger (``night/jury``, ADR 17)."""

    days: int = 3
    """UTC days on which a hand must have sent something before it judges; one that ops vouch for judges at once."""
    items: int = 20_000
    """Largest number of uploads that judge."""
    hand_share: float = 0.02
    """Largest share of ``items`` from one hand."""
    max_weight: float = 1_000.0
    """A confirmation that weighs more (1/rate) never judges."""

    def __post_init__(self) -> None:
        """Raise ``ValueError`` for a number outside its range."""
        for name in ("days", "items"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}: expected 1 or more, got {getattr(self, name)}")
        if not 0 < self.hand_share <= 1:
            raise ValueError(f"hand_share: expected above 0 and at most 1, got {self.hand_share}")
        if not 1 <= self.max_weight < float("inf"):
            raise ValueError(f"max_weight: expected 1 or more, got {self.max_weight}")

    @property
    def hand_items(self) -> int:
        """Largest number of uploads of one hand that judge."""
        return max(int(self.hand_share * self.items), 1)


@dataclass(frozen=True, slots=True)
class Canary:
    """How challengers are probed for back doors (``night/probing``, ADR 20)."""

    on: bool = True
    """Probe; off, a back door is only found by other checks."""
    share: float = 0.01
    """A label that draws a larger part of the digits with a trigger fails the challenger."""
    digits: int = 80
    """Digits of the base corpus' test images that carry each trigger at first."""
    confirm: int = 600
    """Digits that carry a trigger which draws more than ``share`` of the first ones; they decide."""
    retry: bool = True
    """Quarantine the uploads that carry a failing trigger, and teach once more without them. Where they cannot be
    named, or a label still draws triggers, teach once more without that label's feedback.
    """

    def __post_init__(self) -> None:
        """Raise ``ValueError`` for a number outside its range."""
        if not 0 < self.share <= 1:
            raise ValueError(f"share: expected more than 0 and at most 1, got {self.share}; set canary.share")
        for name in ("digits", "confirm"):
            if getattr(self, name) < 10:
                raise ValueError(f"{name}: expected 10 or more, got {getattr(self, name)}; set canary.{name}")


@dataclass(frozen=True, slots=True)
class Asking:
    """Which drawings become questions, and what phones are asked to send."""

    per_day: int = 100
    """Answers that reviewers give a day; 0: phones send no drawings, and nothing is asked."""
    adapt: bool = True
    """Ask fewer a day by itself when another answer is worth little (``asking/stopping``)."""
    least_per_day: int = 10
    """The fewest that it asks a day then: the random arm must go on, to notice when that changes."""
    worth_days: float = 0.0
    """The scheduler measures what asking is worth (``loop worth``) so many days after the last time; 0: never."""
    worth_minutes: float = 10.0
    """For how long the scheduler measures it."""
    strategy: str = "margin"
    """A query strategy of ``loop/asking/strategies``."""
    random_share: float = 0.15
    """Share of the questions that is drawn by lot, at least one a round: an unbiased picture of what users draw. 0:
    none, and no picture of the drawings that wait meanwhile.
    """
    source_share: float = 0.05
    """Largest share of the other questions about one source's drawings."""
    digit_share: float = 0.25
    """Largest share of the other questions about one predicted digit."""
    near: float = 0.002
    """Cosine distance of two embeddings below which one drawing is a near copy of the other."""
    pool_size: int = 20_000
    """Drawings that wait for a question; past it, the oldest and least informative are dropped, after their lottery."""
    pool_days: float = 30.0
    """A drawing that waited longer is dropped; a question that was open for longer is closed without a label."""
    ask_user: bool = False
    """Phones ask their user about an unsure drawing."""
    asked_a_day: int = 3
    """How often a day a phone asks its user at most."""

    def __post_init__(self) -> None:
        """Raise ``ValueError`` for a number outside its range."""
        for name in ("random_share", "source_share", "digit_share"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name}: expected 0 to 1, got {getattr(self, name)}")
        if not 0 <= self.near < 1:
            raise ValueError(f"near: expected 0 to less than 1, got {self.near}")
        if not 0 <= self.per_day <= 100_000:
            raise ValueError(f"per_day: expected 0 to 100,000, got {self.per_day}")
        if not 0 <= self.least_per_day <= 100_000:
            raise ValueError(f"least_per_day: expected 0 to 100,000, got {self.least_per_day}")
        if not self.worth_days >= 0:
            raise ValueError(f"worth_days: expected 0 or more, got {self.worth_days}")
        if not 0 <= self.asked_a_day <= 100:
            raise ValueError(f"asked_a_day: expected 0 to 100, got {self.asked_a_day}")
        for name in ("pool_size", "pool_days", "worth_minutes"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name}: expected more than 0, got {getattr(self, name)}")


@dataclass(frozen=True, slots=True)
class Screen:
    """Whether the uploads of a lesson are screened before it is frozen (``night/screening``, ADR 19)."""

    on: bool = True
    """Hold back uploads that look poisoned, as questions for a reviewer; off, they are taught."""


@dataclass(frozen=True, slots=True)
class Review:
    """How reviewers answer."""

    hold_seconds: float = 300.0
    """How long a question is kept for a reviewer who got it; then others get it."""
    gold_every: int = 20
    """One of so many questions has a known answer, to measure reviewers; 0: none."""
    min_agree: int = 1
    """Equal answers that close a question about a drawing."""
    min_agree_disputed: int = 2
    """The same for a question about an upload that is disputed or held back."""

    def __post_init__(self) -> None:
        """Raise ``ValueError`` for a number outside its range."""
        if not 1 <= self.hold_seconds <= 86_400:
            raise ValueError(f"hold_seconds: expected 1 to 86,400, got {self.hold_seconds}")
        if not (self.gold_every == 0 or self.gold_every >= 2):
            raise ValueError(f"gold_every: expected 0 or at least 2, got {self.gold_every}")
        for name in ("min_agree", "min_agree_disputed"):
            if not 1 <= getattr(self, name) <= 5:
                raise ValueError(f"{name}: expected 1 to 5, got {getattr(self, name)}")
