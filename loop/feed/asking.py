"""The asking policy: what a phone sends although nobody corrected it, and when its app asks the user.

It is a signed document of its own, ``asking.json`` beside the feed: a phone with an older app never fetches it and
syncs as before. Unlike a feed, the document may grow. A phone ignores a member that it does not know, unless
``critical`` names it: then the phone must not act on the document, and asks nothing.
"""

from dataclasses import dataclass
from datetime import datetime

from loop.feed import canonical, fields
from loop.feed.canonical import Plain
from loop.feed.document import MILLION
from loop.feed.fields import when
from loop.feed.refusals import BadDocument, UnknownFormat

FORMAT = 1
MAX_ASKED_A_DAY = 100
MAX_CRITICAL = 16
MEMBERS = frozenset(
    {
        "ask_user",
        "asked_a_day",
        "critical",
        "epoch",
        "expires",
        "format",
        "issued",
        "margin_ppm",
        "other_ppm",
        "sequence",
        "type",
        "unsure_ppm",
    }
)
"""Every member that this code understands. All but ``critical`` are required."""


@dataclass(frozen=True, slots=True)
class AskingPolicy:
    """Shares in a million. A drawing is *unsure* if the probabilities of its two best digits differ by less than
    ``margin_ppm``. Unsure drawings are sent with chance ``unsure_ppm``, all others with ``other_ppm``. With
    ``ask_user`` the app asks "a 1 or a 7?" about an unsure drawing that it would send, ``asked_a_day`` times a day.
    """

    margin_ppm: int
    unsure_ppm: int
    other_ppm: int
    ask_user: bool = False
    asked_a_day: int = 0


@dataclass(frozen=True, slots=True)
class Asking:
    """A policy from ``issued`` until ``expires``. ``sequence`` rises as that of feeds does, on its own."""

    epoch: int
    sequence: int
    issued: datetime
    expires: datetime
    policy: AskingPolicy


@dataclass(frozen=True, slots=True)
class Decision:
    """What a phone does with a drawing: ``send`` it, with this ``rate``; ``ask`` its user first."""

    send: bool
    ask: bool
    rate: float


def is_unsure(policy: AskingPolicy, best: float, second: float) -> bool:
    """Whether a drawing with these probabilities of the two best digits is unsure."""
    return (best - second) * MILLION < policy.margin_ppm


def decide(policy: AskingPolicy, best: float, second: float, lot: int, asked_today: int) -> Decision:
    """The phone's decision about one new drawing, which nobody corrected.

    ``best`` and ``second`` are the probabilities of the two best digits, ``lot`` is a random number from 0 to 999,999,
    drawn once for each drawing. An answer of the user is sent instead of the drawing.
    """
    unsure = is_unsure(policy, best, second)
    chance = policy.unsure_ppm if unsure else policy.other_ppm
    send = lot < chance
    ask = send and unsure and policy.ask_user and asked_today < policy.asked_a_day
    return Decision(send, ask, chance / MILLION)


def asking_bytes(asking: Asking) -> bytes:
    """The bytes to sign. Raises ``BadDocument`` for a document that no phone would accept."""
    policy = asking.policy
    data = canonical.encode(
        {
            "ask_user": policy.ask_user,
            "asked_a_day": policy.asked_a_day,
            "epoch": asking.epoch,
            "expires": when(asking.expires),
            "format": FORMAT,
            "issued": when(asking.issued),
            "margin_ppm": policy.margin_ppm,
            "other_ppm": policy.other_ppm,
            "sequence": asking.sequence,
            "type": "asking",
            "unsure_ppm": policy.unsure_ppm,
        }
    )
    parse_asking(data)
    return data


def parse_asking(data: bytes) -> Asking:
    """The policy in signed bytes. Raises ``NotCanonical``, ``UnknownFormat``, ``BadDocument``."""
    plain = fields.opened(data, "asking", FORMAT)
    _understood(plain)
    missing = sorted(MEMBERS - {"critical"} - plain.keys())
    if missing:
        raise BadDocument(f"expected the field {missing[0]}, got {', '.join(sorted(plain))}"[:300])
    if not isinstance(plain["ask_user"], bool):
        raise BadDocument(f"ask_user: expected true or false, got {plain['ask_user']!r:.40}")
    asking = Asking(
        epoch=fields.number(plain, "epoch", 1),
        sequence=fields.number(plain, "sequence", 1),
        issued=fields.parse_time(plain, "issued"),
        expires=fields.parse_time(plain, "expires"),
        policy=AskingPolicy(
            margin_ppm=fields.number(plain, "margin_ppm", 0, MILLION),
            unsure_ppm=fields.number(plain, "unsure_ppm", 0, MILLION),
            other_ppm=fields.number(plain, "other_ppm", 0, MILLION),
            ask_user=plain["ask_user"],
            asked_a_day=fields.number(plain, "asked_a_day", 0, MAX_ASKED_A_DAY),
        ),
    )
    if asking.expires <= asking.issued:
        raise BadDocument(f"expires: expected a time after {when(asking.issued)}, got {when(asking.expires)}")
    return asking


def _understood(plain: Plain) -> None:
    """Raise ``UnknownFormat`` if a member that this code does not know must be understood."""
    critical = plain.get("critical", [])
    if not isinstance(critical, list) or len(critical) > MAX_CRITICAL or not all(isinstance(x, str) for x in critical):
        raise BadDocument(f"critical: expected at most {MAX_CRITICAL} names, got {critical!r:.80}")
    if unknown := sorted(set(critical) - MEMBERS):
        raise UnknownFormat(f"critical: expected known members, got {unknown[0]:.40}; update the app")
