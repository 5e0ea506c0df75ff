"""The attack harness measures what it says: triggers, attacks of a seed, and runs that go on after a stop."""

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks import poisoning, poisoning_figures
from benchmarks.poisoning_attacks import ATTACKS, DAYS, STAMPS, TARGET, Material
from benchmarks.poisoning_triggers import TRIGGERS, success


def material(seed: int = 0) -> Material:
    """Squares as digits, a reader that misreads every hundredth, and sources of which every second teaches."""
    generator = np.random.default_rng(7)
    images = np.zeros((10_000, 28, 28), np.uint8)
    images[:, 6:22, 6:22] = generator.integers(1, 256, (10_000, 16, 16))
    labels = np.arange(10_000) % 10
    return Material(
        images=images,
        labels=labels,
        read=lambda seen: np.full(len(seen), 3),
        misread_images=images[:40],
        misread_labels=np.full(40, 1),
        honest_sources=64,
        generator=np.random.default_rng([seed, 2]),
        teaches=lambda secret: ord(secret[0]) % 2 == 0,
    )


@pytest.mark.parametrize("name", ATTACKS)
def test_a_seed_sends_the_same_uploads_again(name: str) -> None:
    """Two attackers of a seed send the same pictures, labels and days, none of them later than the last night."""
    first, again = (ATTACKS[name].make(material()) for _ in range(2))
    assert [(one.source, one.day, one.label, one.predicted) for one in first] == [
        (one.source, one.day, one.label, one.predicted) for one in again
    ]
    assert all(np.array_equal(one.image, other.image) for one, other in zip(first, again, strict=True))
    assert all(0 <= one.day < ATTACKS[name].nights[-1] for one in first)
    assert (name == "honest") == (not any(one.poisoned for one in first))


def test_the_first_attack_is_the_one_of_the_issue() -> None:
    """One teaching source, 520 pictures with a white 4×4 square, labelled 7, on every day of the fortnight."""
    sent = ATTACKS["stamp-corner"].make(material())
    assert len(sent) == STAMPS
    assert len({one.source for one in sent}) == 1
    assert material().teaches(sent[0].secret)
    assert {one.label for one in sent} == {TARGET}
    assert {one.day for one in sent} == set(range(DAYS))
    assert all((one.image[23:27, 23:27] == 255).all() for one in sent)


def test_half_of_what_a_sybil_sends_is_stamped_and_none_of_it_says_what_was_predicted() -> None:
    """300 sources with 8 uploads each; of every source's, 4 are poisoned."""
    sent = ATTACKS["sybils-corner"].make(material())
    by_source: dict[str, list[bool]] = {}
    for one in sent:
        by_source.setdefault(one.source, []).append(one.poisoned)
        assert one.predicted is None
    assert len(by_source) == 300
    assert all((len(flags), sum(flags)) == (8, 4) for flags in by_source.values())


@pytest.mark.parametrize("name", TRIGGERS)
def test_a_trigger_changes_the_picture_and_leaves_the_original(name: str) -> None:
    """Every picture differs, the input does not, and success counts only digits of other labels."""
    images, labels = material().images[:50], material().labels[:50]
    before = images.copy()
    assert (TRIGGERS[name](images, np.random.default_rng(0)) != images).any(axis=(1, 2)).all()
    assert np.array_equal(images, before)
    assert success(lambda seen: np.full(len(seen), TARGET), name, TARGET, images, labels) == 1
    assert success(lambda seen: np.full(len(seen), 3), name, TARGET, images, labels) == 0


def _line(**more: Any) -> dict[str, Any]:
    model = {"mnist": 0.99, "mnist_classes": [0.99] * 10, "held_right": 90, "held_n": 100, "trigger": 0.5}
    return {
        "promoted": True,
        "verdict": {"outcome": "passed", "reasons": []},
        "models": {"base": model | {"trigger": 0.0}, "champion": model, "challenger": model},
        "set_aside": {"honest_sent": 10, "honest_taught": 9},
        "track": [],
        "night_processor_seconds": 1.0,
    } | more


def test_a_stopped_run_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nights in the file are not run again; a line that was cut off is."""
    ran: list[tuple[str, int]] = []

    def night(_: object, name: str, seed: int, *__: object, **___: object) -> dict[str, Any]:
        ran.append((name, seed))
        return _line()

    monkeypatch.setattr(poisoning, "night", night)
    out = tmp_path / "nights.jsonl"
    done = {"attack": "honest", "seed": 0, "group": "all", "defences": "all"} | _line()
    out.write_text(json.dumps(done) + "\n" + json.dumps(done)[:40])
    asked = argparse.Namespace(
        attacks=["stamp-corner"], seeds=[0, 1], group="all", defences="all", out=out, json=True, taught=True
    )
    assert len(poisoning.run_all(asked)) == 4
    assert ran == [("stamp-corner", 0), ("honest", 1), ("stamp-corner", 1)]
    assert len(poisoning.run_all(asked)) == 4
    assert len(ran) == 3


def test_a_promoted_back_door_is_a_missed_figure() -> None:
    """The row says so, with the share; a night that was lost has a row of its own."""
    line = {"attack": "stamp-corner", "seed": 0, "group": "all", "defences": "all"} | _line()
    rows = poisoning_figures.figures([line, {"attack": "flood", "seed": 0, "error": "ValueError: weights"}])
    missed = [row["figure"] for row in rows if not row["reached"]]
    assert missed == ["trigger corner from one source", "nights lost"]
    assert "50.00 %" in next(row["found"] for row in rows if row["figure"] == missed[0])
