"""Decide about each drawing of a device once: send it or not, ask its user or not. Remember the decision.

Rules:
- The policy is the one of the last sync, while it is valid. Without one nothing is decided: nothing is sent or asked.
- A decision is on disk before it is returned, so a killed device draws no lot twice and asks no user twice. If it is
  killed before it has asked or sent, the drawing can still be sent: the remembered decision says so.
- ``decided.json`` beside ``state.json`` remembers the last ``MOST`` drawings, by the digests of their 784 pixels, and
  how many questions the user was asked on this UTC day.
"""

import secrets
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, date, datetime
from pathlib import Path

from loop import durable
from loop.data.two_best import TwoBest, two_best
from loop.errors import FeedRefused
from loop.feed import asking as policies
from loop.feed import canonical, fields
from loop.feed.canonical import Plain
from loop.feed.client import state as states
from loop.feed.client.syncing import policy_at
from loop.feed.document import HEX64, MILLION
from loop.feed.refusals import StateUnreadable

FILE, FORMAT = "decided.json", 1
MOST = 1_000
"""An app that shows an older drawing again decides about it again. The file has at most 160 kB."""


@dataclass(frozen=True, slots=True)
class Decided:
    """A decision: ``send`` the drawing, with the chance ``rate_ppm`` in a million; its user was ``asked`` about it.
    ``at`` is the time of the decision, whole seconds.
    """

    digest: str
    at: datetime
    send: bool
    asked: bool
    rate_ppm: int

    @property
    def rate(self) -> float:
        """The chance with which the drawing was sent: the ``rate`` of its upload."""
        return self.rate_ppm / MILLION


@dataclass(frozen=True, slots=True)
class Memory:
    """Everything in the file: decisions, oldest first, and how many questions were ``asked`` on ``day``."""

    day: date
    asked: int = 0
    decided: tuple[Decided, ...] = ()


@dataclass(frozen=True, slots=True)
class Considered:
    """A drawing, what the model read, and the decision; None without a valid policy.

    ``ask_now``: ask the user, "a ``best.digit`` or a ``best.second``?". It is True once for a drawing. ``known``: the
    decision is an earlier one.
    """

    best: TwoBest
    unsure: bool | None
    decided: Decided | None
    ask_now: bool = False
    known: bool = False


def draw_lot() -> int:
    """A number from 0 to 999,999 that nobody can foresee."""
    return secrets.randbelow(MILLION)


def consider(
    folder: Path, digest: str, probabilities: Sequence[float], now: datetime, lot: Callable[[], int] = draw_lot
) -> Considered:
    """Decide about a drawing that nobody corrected; ``folder`` is the device's, ``digest`` that of the 784 pixels.

    Raises ``BadField`` for probabilities that are none, ``StateUnreadable``, ``DiskFull``; then nothing was decided.
    """
    best = two_best(probabilities)
    if not HEX64.fullmatch(digest):
        raise ValueError(f"expected the SHA-256 of the pixels in hex, got {digest[:80]!r}")
    with states.locked(folder):
        state = states.load(folder)
        policy = None if state is None else policy_at(state, now)
        memory = load(folder, now)
        unsure = None if policy is None else policies.is_unsure(policy, best.share, best.second_share)
        for each in memory.decided:
            if each.digest == digest:
                return Considered(best, unsure, each, known=True)
        if policy is None:
            return Considered(best, None, None)
        found = policies.decide(policy, best.share, best.second_share, lot(), memory.asked)
        decided = Decided(digest, now.replace(microsecond=0), found.send, found.ask, round(found.rate * MILLION))
        save(folder, _with(memory, decided))
    return Considered(best, unsure, decided, ask_now=found.ask)


def load(folder: Path, now: datetime) -> Memory:
    """What the device remembers; the count is that of the UTC day of ``now``. Raises ``StateUnreadable``."""
    path, today = folder / FILE, now.astimezone(UTC).date()
    try:
        plain = canonical.parse(path.read_bytes())
        if plain["format"] != FORMAT:
            raise StateUnreadable(f"{path}: expected format {FORMAT}, got {plain['format']!r:.20}; update the app")
        memory = _memory(plain)
    except FileNotFoundError:
        return Memory(today)
    except StateUnreadable:
        raise
    except (OSError, FeedRefused, KeyError, TypeError, ValueError) as error:
        reason = f"{type(error).__name__}: {error}"[:120]
        raise StateUnreadable(f"{path}: damaged ({reason}); remove it, and drawings are new again") from None
    return memory if memory.day == today else Memory(today, 0, memory.decided)


def save(folder: Path, memory: Memory) -> None:
    """Replace the file. Raises ``DiskFull``; then the old one remains."""
    decided = [asdict(each) | {"at": fields.when(each.at)} for each in memory.decided]
    plain: Plain = {"asked": memory.asked, "day": memory.day.isoformat(), "decided": decided, "format": FORMAT}
    durable.write_whole(folder / FILE, canonical.encode(plain))


def _with(memory: Memory, decided: Decided) -> Memory:
    asked = memory.asked + decided.asked
    return replace(memory, asked=asked, decided=(*memory.decided, decided)[-MOST:])


def _memory(plain: Plain) -> Memory:
    decided = tuple(
        Decided(
            str(each["digest"]),
            fields.parse_time(each, "at"),
            bool(each["send"]),
            bool(each["asked"]),
            int(each["rate_ppm"]),
        )
        for each in plain["decided"]
    )
    return Memory(date.fromisoformat(plain["day"]), int(plain["asked"]), decided)
