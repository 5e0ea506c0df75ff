"""The grouped settings of the service and of the clock: ``serve.*`` and ``schedule.*``."""

import ipaddress
from dataclasses import dataclass

KIB, MIB = 1 << 10, 1 << 20


@dataclass(frozen=True, slots=True)
class Serving:
    """What the API takes from whom, and how fast. Sizes in bytes; rates are refilled continuously."""

    host: str = "127.0.0.1"
    port: int = 8000
    max_upload: int = 256 * KIB
    """Body of one correction, its picture included."""
    max_batch: int = 16 * MIB
    max_batch_items: int = 500
    key_per_minute: int = 60_000
    """Uploads through one key and one API process; an app's users share its key."""
    source_per_minute: int = 120
    """Uploads of one source through one API process."""
    source_per_day: int = 2_000
    """Uploads of one source and UTC day, kept in the store: a restart or a second process gives no more."""
    sources_per_minute: int = 600
    """New sources through one key and API process: a made-up source costs nothing, so newcomers are rationed."""
    commit_batch: int = 256
    """Uploads that share a transaction at most; each waits for the disk."""
    commit_wait_ms: float = 2.0
    """How long the first upload of a batch waits for company."""
    waiting: int = 4_096
    """Uploads that may wait for the disk; past that the answer is 503, with Retry-After."""
    body_seconds: float = 20.0
    """A body must have come whole after this."""

    def __post_init__(self) -> None:
        """Refuse numbers outside their range with a ``ValueError``."""
        if not 0 <= self.port < 1 << 16:
            raise ValueError(f"port: expected 0 to 65535, got {self.port}")
        for name in self.__slots__:
            if name not in {"host", "port"} and not getattr(self, name) > 0:
                raise ValueError(f"{name}: expected more than 0, got {getattr(self, name)}")

    @property
    def loopback(self) -> bool:
        """Does only this machine reach the address?"""
        try:
            return self.host == "localhost" or ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False


@dataclass(frozen=True, slots=True)
class Schedule:
    """When nights are due, and what one may cost."""

    cron: str = "0 3 * * *"
    """Minute, hour, day, month, weekday (by name: mon-fri); UTC, always."""
    family: str = "cnn"
    volume: int = 200
    """So many newly accepted uploads make a night due before its time; 0 turns this off."""
    volume_hours: float = 6.0
    """Not more often than this."""
    night_minutes: float = 240.0
    """A night that takes longer is ended, and fails with that reason."""
    night_memory: int = 8_192 * MIB
    """A night that needs more memory (bytes, resident) is ended, and fails with that reason."""
    attempts: int = 2
    """How often a slot is tried when its night dies without a word; one that failed with a reason is not."""
    heartbeat_seconds: float = 30.0
    """How often a scheduler looks whether something is due."""

    def __post_init__(self) -> None:
        """Refuse numbers outside their range with a ``ValueError``; ``schedule.slots`` reads the cron expression."""
        if len(self.cron.split()) != 5:
            raise ValueError(f"cron: expected five fields (minute hour day month weekday), got {self.cron!r}")
        if self.volume < 0:
            raise ValueError(f"volume: expected 0 or more, got {self.volume}")
        for name in ("volume_hours", "night_minutes", "night_memory", "attempts", "heartbeat_seconds"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name}: expected more than 0, got {getattr(self, name)}")
