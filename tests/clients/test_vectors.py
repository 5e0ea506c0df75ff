"""``clients/vectors`` is what the Python side computes today, and covers what other clients must get right."""

import base64
import json
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from loop.data import digits, ink
from loop.data.two_best import most_in_sum
from loop.feed import refusals
from loop.intake.upload import Upload, prepare
from loop.store.values import Kind
from tests.clients import scenarios, vectors
from tests.conftest import NOW
from tests.feed.client import app_updates, attacks

MAX_BYTES = 1_000_000
PICTURE = digits.digit(np.pad(np.full((16, 4), 200, np.uint8), ((6, 6), (12, 12))))


@pytest.fixture(scope="module")
def made() -> dict[str, bytes]:
    """The vectors as they would be written now."""
    return vectors.every()


def committed(name: str) -> Any:
    """A committed file."""
    return json.loads((vectors.FOLDER / name).read_bytes())


def pixels(runs: str) -> NDArray[np.uint8]:
    """The levels of ``vectors.runs``."""
    pairs = np.frombuffer(base64.b64decode(runs), np.uint8).reshape(-1, 2)
    return np.repeat(pairs[:, 1], pairs[:, 0])


@pytest.mark.slow
def test_they_are_current(made: dict[str, bytes]) -> None:
    """Each committed file has the bytes that ``python -m tests.clients.vectors`` writes."""
    assert sorted(made) == sorted(path.name for path in vectors.FOLDER.iterdir())
    for name, data in made.items():
        assert (vectors.FOLDER / name).read_bytes() == data, f"{name}: run python -m tests.clients.vectors"


def test_they_are_small() -> None:
    """All files together stay below a megabyte."""
    assert sum(path.stat().st_size for path in vectors.FOLDER.iterdir()) < MAX_BYTES


def test_pictures_cover_the_recipe() -> None:
    """At least 200 pictures, of odd, small and large sizes; their runs unpack to 784 bytes that ``ink`` makes."""
    listed = committed("pictures.json")
    assert len(listed) >= 200
    assert {each["width"] % 2 for each in listed} == {each["height"] % 2 for each in listed} == {0, 1}
    assert max(each["width"] for each in listed) > ink.WORKING_SIDE
    assert sum(each["pixels"] is None for each in listed) >= 4
    for each in [each for each in listed[::10] if each["pixels"]]:
        grey = pixels(each["grey"]).reshape(each["height"], each["width"])
        assert np.array_equal(ink.normalise(grey).ravel(), pixels(each["pixels"]))


def test_every_attack_is_a_scenario() -> None:
    """Each attack on the feed is there, with the refusal that the Python client raises; so are honest devices."""
    played = {each["name"]: each["steps"][-1]["refusal"] for each in committed("feed.json")["scenarios"]}
    named = {attack.name: attack.refusal.__name__ for attack in attacks.every()}
    assert len(named) >= 65
    assert {name: played[name] for name in named} == named
    assert set(played) - set(named) == {live.__name__ for live in scenarios.LIVES}


def test_every_update_of_an_app_is_there() -> None:
    """Each update of tests/feed/client/app_updates.py, with its refusal; in each the built-in root changes."""
    updates = committed("feed.json")["updates"]
    expected = {name: None if kind is None else kind.__name__ for name, kind in app_updates.REFUSALS.items()}
    assert {each["name"]: each["steps"][-1]["refusal"] for each in updates} == expected
    assert all(len({step["built_in"] for step in each["steps"]}) > 1 for each in updates)


def test_every_rule_of_trust_is_refused_somewhere() -> None:
    """The scenarios break every rule that a device can meet without a slow server or a damaged disk."""
    met = {step["refusal"] for each in committed("feed.json")["scenarios"] for step in each["steps"]}
    every = {name for name, kind in vars(refusals).items() if isinstance(kind, type) and name != "FeedRefused"}
    assert every - met == {"TooSlow", "Truncated", "StateUnreadable"}


def test_asking_covers_every_refusal_and_decision() -> None:
    """Bad policies are refused by each rule of the document; decisions lie at and beside every limit."""
    asking = committed("asking.json")
    met = {each["refusal"] for each in asking["documents"]}
    assert met >= {None, "UnknownFormat", "BadDocument", "NotCanonical", "TooFewSignatures", "Expired", "OtherEpoch"}
    kinds = {(each["unsure"], each["send"], each["ask"]) for each in asking["decisions"]}
    assert kinds == {(True, True, True), *((unsure, send, False) for unsure in (True, False) for send in (True, False))}
    assert {each["best"] is None for each in asking["two_best"]} == {True, False}


def test_the_server_takes_the_two_best_that_a_client_finds() -> None:
    """Some lie near the least sum that it takes."""
    least = 1.0
    for best in (each["best"] for each in committed("asking.json")["two_best"]):
        if best is None:
            continue
        named = {"predicted": best["digit"], "confidence": best["share"]}
        second = {"runner_up": best["second"], "runner_up_confidence": best["second_share"]}
        prepare(Upload("a phone", PICTURE, None, kind=Kind.DRAWING, **named, **second), NOW)
        least = min(least, most_in_sum(best["share"], best["second_share"]))
    assert least < 1


def test_decisions_are_what_the_page_says() -> None:
    """Computed again from docs/feed.md with exact fractions, except where a margin is within rounding of its limit."""
    asking, exact = committed("asking.json"), 0
    for each in asking["decisions"]:
        policy = asking["policies"][each["policy"]]
        apart = (Fraction(each["best"]) - Fraction(each["second"])) * 1_000_000 - policy["margin_ppm"]
        if abs(apart) < Fraction(1, 1_000):
            continue
        exact += 1
        chance = policy["unsure_ppm" if apart < 0 else "other_ppm"]
        assert each["unsure"] == (apart < 0)
        assert each["send"] == (each["lot"] < chance)
        assert each["rate"] == chance / 1_000_000
        may = policy["ask_user"] and each["asked_today"] < policy["asked_a_day"]
        assert each["ask"] == (each["send"] and each["unsure"] and may)
    assert exact > len(asking["decisions"]) * 0.8


def test_a_stored_png_is_read_bit_for_bit() -> None:
    """The PNG that a client writes without compression is the 28×28 that it saw."""
    png = committed("small.json")["png"]
    read = digits.read(base64.b64decode(png["file"]))
    assert not read.normalised
    assert np.array_equal(read.pixels.ravel(), pixels(png["pixels"]))


def test_runs_and_file_texts_lose_nothing() -> None:
    """Control: runs of more than 255, and files of any bytes, come back as they were."""
    levels = np.array([0] * 600 + [7, 8, 8] + [255] * 255, np.uint8)
    assert np.array_equal(pixels(vectors.runs(levels)), levels)
    data = bytes(range(256)) + b"\n" * 300 + b"x"
    parts = [part if isinstance(part, str) else part[0] * part[1] for part in vectors.file_text(data)]
    assert "".join(parts).encode("latin-1") == data
