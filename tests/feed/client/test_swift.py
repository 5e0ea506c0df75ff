"""The Swift file agrees with Python in constants, names, test vectors and preprocessing.

It cannot be compiled here, so its preprocessing is repeated below in Python, line by line.
"""

import json
import math
import re
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from loop import access
from loop.api import schemas
from loop.data import ink
from loop.evaluation.export_check import golden
from loop.feed import document, envelope, refusals, trust
from loop.feed.client import syncing
from tests.feed.simulator import CHANNEL, Publisher, id_of, key
from tests.helpers import stripes
from tests.helpers.paths import ROOT

SWIFT = (ROOT / "docs/ios/DigitLoop.swift").read_text(encoding="utf-8")
Line = list[float]


def constants() -> dict[str, str]:
    """The Swift file's `static let` constants."""
    return dict(re.findall(r"static let (\w+)(?:: \[Double\])? = #?\"?([^\"/\n]*[^\"/\n #])", SWIFT))


def struct(name: str) -> set[str]:
    """The stored properties of a struct, which are the names in its JSON."""
    found = re.search(rf"struct {name}: Codable[^{{]*{{(.*?)}}", SWIFT, re.S)
    assert found, name
    return {n.strip("`") for n in re.findall(r"(?<=\s)(`?\w+`?): [\[A-Z]", found[1].split("init")[0])}


def test_constants() -> None:
    """Both sides have the same constants."""
    found = constants()
    expected = {
        "format": document.FORMAT,
        "maxDocumentBytes": document.MAX_BYTES,
        "maxModelBytes": document.MAX_MODEL_BYTES,
        "maxGoldenBytes": document.MAX_GOLDEN_BYTES,
        "maxRoots": syncing.MAX_ROOTS,
        "side": ink.SIDE,
        "box": ink.BOX,
        "centre": ink.CENTRE,
        "minContrast": ink.MIN_CONTRAST,
        "weak": ink.WEAK,
        "strong": ink.STRONG,
        "full": ink.FULL_INK_QUANTILE,
    }
    assert {name: float(found[name]) for name in expected} == expected
    assert found["channel"] == CHANNEL
    assert ink.RESAMPLE is Image.Resampling.HAMMING


def test_every_rule_has_its_error() -> None:
    """The Swift error cases are the Python refusals, apart from the case of the first letter."""
    block = re.search(r"enum Refused: Error {(.*?)}", SWIFT, re.S)
    assert block
    cases = {
        re.sub(r"\(.*?\)", "", word).strip() for line in re.findall(r"case (.*)", block[1]) for word in line.split(",")
    }
    python = {name for name, value in vars(refusals).items() if isinstance(value, type) and name != "FeedRefused"}
    assert {case[0].upper() + case[1:] for case in cases} == python


def test_json_names() -> None:
    """Fields of documents, golden vectors and uploads have the same names on both sides."""
    p = Publisher()
    feed = document.canonical.parse(document.feed_bytes(p.feed(1)))
    root = document.canonical.parse(document.root_bytes(p.trusted.root))
    assert struct("Feed") == set(feed)
    assert struct("Release") == set(feed["channels"][CHANNEL])
    assert struct("Golden") == set(feed["channels"][CHANNEL]["golden"])
    assert struct("Root") == set(root)
    assert struct("RootRole") == set(root["root"]) == struct("FeedRole")
    assert struct("FeedKey") == set(next(iter(root["feed"]["keys"].values())))
    head = envelope.seal(b"{}", [key("x")]).partition(envelope.MIDDLE)[0] + envelope.TAIL
    assert struct("Signature") == set(document.canonical.parse(head)["signatures"][0])
    vectors = golden(stripes.image_model(), stripes.images(), np.arange(10, dtype=np.uint8))
    assert struct("Vector") == set(json.loads(vectors)["vectors"][0])
    assert struct("Correction") == set(schemas.Correction.model_fields)


def test_the_rules_have_the_same_order() -> None:
    """The Swift guards throw in the order of the Python checks, so both refuse a feed for the same reason."""
    body = re.search(r"static func feed\(.*?\n    }", SWIFT, re.S)
    assert body
    thrown = re.findall(r"throw Refused\.(\w+)", body[0])
    order = ["tooFewSignatures", "keyExpired", "otherEpoch", "rootWithheld", "rolledBack", "equivocated", "expired"]
    assert [name for name in thrown if name in order] == order
    assert len(trust.SIGNATURE_CHECKS) + len(trust.FEED_CHECKS) == len(order)


def test_vectors() -> None:
    """Python computes the Swift file's own test vectors."""
    found = constants()
    x = key("swift")
    assert found["publicKey"] == envelope.public_half(x)
    assert found["keyId"] == id_of(x)
    raw = re.search(r'static let envelope = #"(.*)"#', SWIFT)
    assert raw
    assert raw[1].encode() == envelope.seal(b'{"a":1}', [x])
    assert found["source"] == access.source_name(found["secret"])
    assert int(found["bucket"]) == trust.bucket(found["device"], found["digest"])
    listed = re.search(r"resampled: \[Double\] = \[(.*?)\]", SWIFT)
    assert listed
    expected = resample([0, 0, 1, 1, 0.5, 0, 0], 3)
    assert [float(each) for each in listed[1].split(",")] == pytest.approx(expected, abs=1e-6)


def test_the_filter_is_pillows() -> None:
    """The Swift file's resampling equals Pillow's, for enlarging and shrinking."""
    rng = np.random.default_rng(0)
    for length, to in ((7, 3), (100, 20), (9, 20), (20, 20), (33, 1)):
        line = rng.random(length).astype(np.float32)
        pillow = np.asarray(Image.fromarray(line[None]).resize((to, 1), ink.RESAMPLE))[0]
        assert resample([float(v) for v in line], to) == pytest.approx(pillow.tolist(), abs=1e-5)


@pytest.mark.parametrize("width", [6, 12, 20])
@pytest.mark.parametrize("draw", ["seven", "one", "zero", "corner"])
def test_a_drawing_comes_out_as_in_python(draw: str, width: int) -> None:
    """For clean drawings on a black canvas, the phone's 28×28 and ink.normalise differ by at most one grey level."""
    grey = drawing(draw, width)
    ours = ink.normalise(grey)
    theirs = normalise(grey)
    assert np.abs(ours.astype(int) - theirs).max() <= 1


def test_control_the_comparison_can_fail() -> None:
    """Control: the comparison above detects another centre, filter or box."""
    grey = drawing("seven", 12)
    shifted = np.roll(normalise(grey), 1, axis=0)
    assert np.abs(ink.normalise(grey).astype(int) - shifted).max() > 50


def drawing(what: str, width: int) -> NDArray[np.uint8]:
    """An anti-aliased stroke on a canvas of 200×240, as in an app."""
    big = Image.new("L", (800, 960), 0)
    pen = ImageDraw.Draw(big)
    paths: dict[str, Callable[[], None]] = {
        "seven": lambda: pen.line([(200, 200), (560, 220), (360, 760)], 255, 4 * width, joint="curve"),
        "one": lambda: pen.line([(420, 120), (400, 800)], 255, 4 * width),
        "zero": lambda: pen.ellipse([220, 180, 560, 700], outline=255, width=4 * width),
        "corner": lambda: pen.line([(20, 20), (20, 300), (160, 300)], 255, 4 * width),
    }
    paths[what]()
    return np.asarray(big.resize((200, 240), Image.Resampling.BOX))


# The Swift preprocessing, in Python


def normalise(grey: NDArray[np.uint8]) -> NDArray[np.int64]:
    """``Digit.normalise``."""
    c = {
        name: float(constants()[name])
        for name in ("minContrast", "weak", "full", "inkQuantile", "box", "centre", "side")
    }
    rise = grey.astype(float)
    level = quantile(rise[rise > c["minContrast"]].tolist(), c["inkQuantile"])
    inked = rise > c["weak"] * level
    rows, columns = np.nonzero(inked)
    top, bottom, left, right = rows.min(), rows.max(), columns.min(), columns.max()
    crop: list[Line] = []
    for y in range(top, bottom + 1):
        line: Line = []
        for x in range(left, right + 1):
            near = inked[max(0, y - 1) : y + 2, max(0, x - 1) : x + 2].any()
            line.append(min(1.0, rise[y, x] / level) if near else 0.0)
        crop.append(line)
    scale = c["box"] / max(len(crop), len(crop[0]))
    across, down = max(1, round(len(crop[0]) * scale)), max(1, round(len(crop) * scale))
    narrow = [resample(line, across) for line in crop]
    turned = [resample([line[x] for line in narrow], down) for x in range(across)]
    fitted = np.array([[max(0.0, turned[x][y]) for x in range(across)] for y in range(down)])
    full = quantile(fitted[fitted > 0.5 * fitted.max()].tolist(), c["full"])
    fitted = np.minimum(fitted / full, 1)
    row = float((fitted.sum(1) * np.arange(down)).sum() / fitted.sum())
    column = float((fitted.sum(0) * np.arange(across)).sum() / fitted.sum())
    side = int(c["side"])
    y0, x0 = min(max(round(c["centre"] - row), 0), side - down), min(max(round(c["centre"] - column), 0), side - across)
    frame = np.zeros((side, side), np.int64)
    frame[y0 : y0 + down, x0 : x0 + across] = np.rint(fitted * 255)
    return frame


def resample(line: Line, length: int) -> Line:
    """``Digit.resample``."""
    scale = len(line) / length
    spread = max(scale, 1.0)
    out: Line = []
    for i in range(length):
        middle = (i + 0.5) * scale
        first, last = max(0, int(middle - spread + 0.5)), min(len(line), int(middle + spread + 0.5))
        weights = [hamming((j - middle + 0.5) / spread) for j in range(first, last)]
        out.append(sum(w * v for w, v in zip(weights, line[first:last], strict=True)) / sum(weights))
    return out


def hamming(x: float) -> float:
    """``Digit.hamming``."""
    if x == 0:
        return 1.0
    return 0.0 if abs(x) >= 1 else math.sin(math.pi * x) / (math.pi * x) * (0.54 + 0.46 * math.cos(math.pi * x))


def quantile(values: Line, share: float) -> float:
    """``Digit.quantile``."""
    ordered = sorted(values)
    place = share * (len(ordered) - 1)
    low = int(place)
    return ordered[low] + (ordered[min(low + 1, len(ordered) - 1)] - ordered[low]) * (place - low)
