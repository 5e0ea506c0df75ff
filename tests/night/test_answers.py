"""What a version answered is kept: a later night scores only what is new, and a damaged file only costs time."""

from dataclasses import replace

import numpy as np
import pytest

from loop import registry
from loop.evaluation import digit_classifier, scoring
from loop.evaluation.scoring import Report, Slice
from loop.home import Home
from loop.night import answers, publishing
from loop.store.values import Version
from tests.evaluation.test_reports import keyed, same
from tests.night.test_retrain import home

__all__ = ["home"]  # the fixture


def champion(home: Home) -> Version:
    """The base, which is champion."""
    found = registry.champion(home, "cnn")
    assert found is not None
    return found


class Scored:
    """Counts the images that are scored."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._evaluate, self.images = publishing.evaluate, 0
        monkeypatch.setattr(publishing, "evaluate", self._counted)

    def _counted(self, data: bytes, slices: tuple[Slice, ...]) -> Report:
        self.images += sum(len(part.labels) for part in slices)
        return self._evaluate(data, slices)


def slices(n: int) -> tuple[Slice, Slice]:
    """A base slice, and ``n`` items of feedback."""
    return keyed(np.arange(40), "base", keys=False), keyed(np.arange(100, 100 + n))


def test_growth_is_scored_once(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first night scores all, the next one what is new, the one after it nothing."""
    version, scored = champion(home), Scored(monkeypatch)
    publishing.report_of(home, version, slices(50))
    assert scored.images == 90
    report = publishing.report_of(home, version, slices(55))
    assert scored.images == 95
    same(publishing.report_of(home, version, slices(55)), report)
    assert scored.images == 95
    same(report, publishing.evaluate(home.artifacts.get(version.artifact_digest, ".mlmodel"), slices(55)))


def test_a_damaged_or_outdated_file_is_measured_again(
    home: Home, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A flipped byte is noticed and named; answers of another runtime are not reused."""
    version, scored = champion(home), Scored(monkeypatch)
    report = publishing.report_of(home, version, slices(50))
    path = answers.folder(home) / version.artifact_digest
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    same(publishing.report_of(home, version, slices(50)), report)
    assert scored.images == 180
    assert "measured again" in caplog.text
    monkeypatch.setattr(digit_classifier, "runtime", lambda: "another")
    same(publishing.report_of(home, version, slices(50)), report)
    assert scored.images == 270


def test_the_file_of_another_model_is_not_believed(home: Home) -> None:
    """A file under another model's name contains that model's digest."""
    version = champion(home)
    publishing.report_of(home, version, slices(5))
    other = replace(version, artifact_digest="f" * 64, summary={})
    (answers.folder(home) / version.artifact_digest).rename(answers.folder(home) / other.artifact_digest)
    assert answers.load(home, other) is None


def test_the_answers_contain_neither_images_nor_names(home: Home) -> None:
    """An item is named by its key alone."""
    report = publishing.report_of(home, champion(home), slices(5))
    feedback = report.on("feedback")
    assert feedback is not None
    assert {name for name in scoring.Score.__slots__ if getattr(feedback, name) is not None} == {
        *("name", "digest", "labels", "predictions", "weights", "confidences", "margins"),
        *("sources", "confirmed", "keys"),
    }
