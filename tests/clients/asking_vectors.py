"""The vectors of asking: the two best of ten probabilities, decisions, and policies' documents, good and bad."""

from collections.abc import Iterator
from dataclasses import asdict, replace
from datetime import datetime
from typing import Any

import numpy as np

from loop.data.two_best import two_best
from loop.errors import BadField, FeedRefused
from loop.feed import canonical, envelope, fields, trust
from loop.feed.asking import Asking, AskingPolicy, asking_bytes, decide, is_unsure
from loop.feed.document import MILLION
from loop.feed.trust import SeenAsking
from tests.feed.simulator import HOUR, NOW, Key, Publisher, key

SEED = 12
POLICIES = (
    AskingPolicy(300_000, 500_000, 10_000, True, 3),
    AskingPolicy(250_000, MILLION, 0, False, 3),
    AskingPolicy(0, MILLION, 1, True, 100),
    AskingPolicy(MILLION, 1, MILLION, True, 0),
    AskingPolicy(950_000, 123_457, 100, True, 1),
)
Plain = dict[str, Any]
SIGNED_AT = ("issued", "expires")


def best_of_ten() -> list[Plain]:
    """Ten probabilities, and their two best; null where they are none."""
    rng = np.random.default_rng(SEED)
    sound = [[round(float(p), 7) for p in rng.dirichlet(np.full(10, 0.2))] for _ in range(20)]
    even = [0.1] * 10
    bad = [even[:9], [*even, 0.0], [0.09] * 10, [0.2] * 10, [-0.1, 0.3, *even[2:]], [1.5, -0.5, *[0.0] * 8]]
    ties = [even, [0.0, 0.5, 0.0, 0.5, *[0.0] * 6], [*[0.0] * 9, 1.0], [0.9995, *[0.0] * 9], [0.998, *[0.0] * 9]]
    least = [[0.09991] * 10, [0.19, *[0.09] * 9], [0.1904, *[0.0899] * 9]]  # the two best say the least about the sum
    return [{"probabilities": each, "best": _best(each)} for each in (*sound, *ties, *bad, *least)]


def _best(probabilities: list[float]) -> Plain | None:
    try:
        return asdict(two_best(probabilities))
    except BadField:
        return None


def decisions() -> list[Plain]:
    """For each policy (its place in the list): at its limits, just beside them, and anywhere."""
    rng = np.random.default_rng(SEED)
    made = []
    for place, policy in enumerate(POLICIES):
        margin = policy.margin_ppm / MILLION
        pairs = [(0.5, 0.5), (1.0, 0.0), ((1 + margin) / 2, (1 - margin) / 2), (0.625, 0.375), (0.6, 0.35), (0.6, 0.3)]
        pairs += [tuple(sorted(rng.dirichlet(np.full(3, 0.5)).round(6).tolist())[:0:-1]) for _ in range(10)]
        for best, second in pairs:
            chance = policy.unsure_ppm if is_unsure(policy, best, second) else policy.other_ppm
            lots = {0, chance - 1, chance, MILLION - 1, int(rng.integers(MILLION))}
            for lot in sorted(lots & set(range(MILLION))):
                asked = int(rng.choice([0, max(0, policy.asked_a_day - 1), policy.asked_a_day]))
                made.append(_decision(place, best, second, lot, asked))
    return made


def _decision(place: int, best: float, second: float, lot: int, asked_today: int) -> Plain:
    policy = POLICIES[place]
    given = {"policy": place, "best": best, "second": second, "lot": lot, "asked_today": asked_today}
    found = asdict(decide(policy, best, second, lot, asked_today))
    return given | {"unsure": is_unsure(policy, best, second)} | found


def chains() -> list[list[bytes]]:
    """Chains of root documents: the app's alone, and one with a second root of a later epoch."""
    return [list(each.roots.values()) for each in _publishers()]


def _publishers() -> tuple[Publisher, Publisher]:
    first, rotated = Publisher(), Publisher()
    rotated.rotate(new_epoch=True)
    return first, rotated


def documents() -> Iterator[Plain]:
    """A file, the chain of roots and the policy that a device has seen before, and what it makes of the file."""
    honest = Asking(1, 5, NOW, NOW + HOUR, POLICIES[0])
    body = canonical.parse(asking_bytes(honest))
    later = {name: fields.when(NOW + 2 * HOUR) for name in SIGNED_AT}

    def grown(**members: Any) -> bytes:
        return canonical.encode(body | members)

    def without(member: str) -> bytes:
        return canonical.encode({name: each for name, each in body.items() if name != member})

    _, seen = _judge(0, None, signed(asking_bytes(honest)), NOW)
    other = asking_bytes(replace(honest, policy=POLICIES[1]))
    cases: list[tuple[str, int, SeenAsking | None, bytes, datetime]] = [
        ("honest", 0, None, signed(asking_bytes(honest)), NOW),
        ("honest, seen before", 0, seen, signed(asking_bytes(honest)), NOW),
        ("a later sequence", 0, seen, signed(asking_bytes(replace(honest, sequence=6, policy=POLICIES[1]))), NOW),
        ("an earlier sequence", 0, seen, signed(asking_bytes(replace(honest, sequence=4))), NOW),
        ("another of this sequence", 0, seen, signed(other), NOW),
        ("expired", 0, None, signed(asking_bytes(honest)), NOW + HOUR),
        ("not yet expired", 0, None, signed(asking_bytes(honest)), NOW + HOUR * 0.999),
        ("a stranger's key", 0, None, signed(asking_bytes(honest), key("a stranger")), NOW),
        ("another epoch", 0, None, signed(asking_bytes(replace(honest, epoch=2))), NOW),
        ("the old epoch", 1, seen, signed(asking_bytes(replace(honest, sequence=6))), NOW),
        ("a new epoch forgets sequences", 1, seen, signed(asking_bytes(replace(honest, epoch=2, sequence=1))), NOW),
        ("unknown members", 0, None, signed(grown(colour="blue", nested={"deep": [1, True]})), NOW),
        ("critical and known", 0, None, signed(grown(critical=["margin_ppm", "ask_user"])), NOW),
        ("critical and unknown", 0, None, signed(grown(colour="blue", critical=["colour"])), NOW),
        ("critical is text", 0, None, signed(grown(critical="margin_ppm")), NOW),
        ("critical is too long", 0, None, signed(grown(critical=["margin_ppm"] * 17)), NOW),
        ("format 2", 0, None, signed(grown(format=2)), NOW),
        ("a feed", 0, None, signed(grown(type="feed")), NOW),
        ("margin above a million", 0, None, signed(grown(margin_ppm=MILLION + 1)), NOW),
        ("a chance that is true", 0, None, signed(grown(unsure_ppm=True)), NOW),
        ("a chance that is text", 0, None, signed(grown(other_ppm="1")), NOW),
        ("ask_user is 1", 0, None, signed(grown(ask_user=1)), NOW),
        ("101 questions a day", 0, None, signed(grown(asked_a_day=101)), NOW),
        ("expires as it is issued", 0, None, signed(grown(expires=body["issued"])), NOW),
        ("issued later", 0, None, signed(grown(**later | {"expires": fields.when(NOW + 3 * HOUR)})), NOW),
        ("white space", 0, None, signed(asking_bytes(honest).replace(b":", b": ", 1)), NOW),
        ("a fraction", 0, None, signed(asking_bytes(honest).replace(b"300000", b"300000.5")), NOW),
        ("cut off", 0, None, signed(asking_bytes(honest))[:-1], NOW),
        ("too long", 0, None, b"[" * 70_000, NOW),
        *((f"without {name}", 0, None, signed(without(name)), NOW) for name in sorted(body)),
    ]
    for name, chain, before, data, now in cases:
        refusal, found = _judge(chain, before, data, now)
        yield {
            "name": name,
            "chain": chain,
            "seen": None if before is None else asdict(before),
            "now": fields.when(now),
            "file": data,
            "refusal": refusal,
            "seen_after": None if found is None else asdict(found),
        }


def signed(body: bytes, by: Key | None = None) -> bytes:
    """The bytes as a file that the feed's key has signed."""
    return envelope.seal(body, [by or key("feed-1")])


def _judge(chain: int, seen: SeenAsking | None, data: bytes, now: datetime) -> tuple[str | None, SeenAsking | None]:
    """The name of the refusal, or what the device has seen afterwards."""
    try:
        return None, trust.accept_asking(_publishers()[chain].trusted, seen, data, now)[0]
    except FeedRefused as error:
        return type(error).__name__, None
