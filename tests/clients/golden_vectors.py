"""Golden files, good and bad, of one model: what a device makes of each. Built on a file with two vectors."""

import json
from collections.abc import Callable, Iterator
from typing import Any

from loop.errors import FeedRefused
from loop.feed import checks
from tests.feed.simulator import CHANNEL, model, release

VERSION = 2
Plain = dict[str, Any]
Change = Callable[[Plain], object]


def _pixels(golden: Plain, change: Callable[[str], str]) -> None:
    vector = golden["vectors"][1]
    vector["pixels"] = change(vector["pixels"])


CHANGES: dict[str, Change] = {
    "honest": lambda golden: None,
    "unknown members": lambda golden: golden.update(colour="blue", more=[None, 1.5]),
    "unknown members of a vector": lambda golden: golden["vectors"][0].update(writer="anna"),
    "label 0 as a fraction": lambda golden: golden["vectors"][0].update(label=0.0),
    "no tolerance is needed": lambda golden: golden.update(tolerance=0.000001),
    "format 2": lambda golden: golden.update(format=2),
    "format is true": lambda golden: golden.update(format=True),
    "without format": lambda golden: golden.pop("format"),
    "another model": lambda golden: golden.update(model="0" * 64),
    "tolerance is text": lambda golden: golden.update(tolerance="0.01"),
    "tolerance is negative": lambda golden: golden.update(tolerance=-0.01),
    "tolerance is NaN": lambda golden: golden.update(tolerance=float("nan")),
    "tolerance is infinite": lambda golden: golden.update(tolerance=float("inf")),
    "without tolerance": lambda golden: golden.pop("tolerance"),
    "no vectors": lambda golden: golden.update(vectors=[]),
    "vectors is an object": lambda golden: golden.update(vectors={}),
    "a vector is null": lambda golden: golden["vectors"].append(None),
    "783 pixels": lambda golden: _pixels(golden, lambda text: text[:-4]),
    "pixels with a line break": lambda golden: _pixels(golden, lambda text: text + "\n"),
    "pixels without padding": lambda golden: _pixels(golden, lambda text: text[:-2]),
    "pixels in base64url": lambda golden: _pixels(golden, lambda text: "_" + text[1:]),
    "nine probabilities": lambda golden: golden["vectors"][1]["probabilities"].pop(),
    "a probability is text": lambda golden: golden["vectors"][1]["probabilities"].__setitem__(9, "0"),
    "a probability is null": lambda golden: golden["vectors"][1]["probabilities"].__setitem__(9, None),
    "another label": lambda golden: golden["vectors"][1].update(label=7),
    "label is text": lambda golden: golden["vectors"][1].update(label="1"),
    "label is true": lambda golden: golden["vectors"][1].update(label=True),
    "a probability is off": lambda golden: golden["vectors"][1]["probabilities"].__setitem__(
        1, golden["vectors"][1]["probabilities"][1] - 0.02
    ),
}


def files() -> Iterator[tuple[str, bytes]]:
    """Names and bytes."""
    for name, change in CHANGES.items():
        plain = _plain()
        change(plain)
        yield name, json.dumps(plain, sort_keys=True, separators=(",", ":")).encode()
    honest = json.dumps(_plain()).encode()
    yield "white space and any order", honest
    yield "not JSON", honest[:-1]
    yield "a list", b"[" + honest + b"]"
    yield "not UTF-8", honest[:-1] + b',"writer":"\xff"}'
    yield "a byte order mark", b"\xef\xbb\xbf" + honest
    yield "nine levels", b'{"more":' + b"[" * 8 + b"]" * 8 + b"," + honest[1:]
    yield "a number beyond all bounds", honest.replace(b'"tolerance": 0.01', b'"tolerance": 1e999')


def judged() -> list[Plain]:
    """Each file with its refusal: the name of the rule, or None."""
    return [{"name": name, "file": data, "refusal": refusal(data)} for name, data in files()]


def refusal(golden: bytes) -> str | None:
    """What a device with the right digest of ``golden`` makes of it."""
    data, _ = model(VERSION)
    try:
        checks.check(checks.Files(CHANNEL, release(VERSION, data, golden), data, golden))
    except FeedRefused as error:
        return type(error).__name__
    return None


def _plain() -> Plain:
    plain: Plain = json.loads(model(VERSION)[1])
    plain["vectors"] = plain["vectors"][:2]
    return plain
