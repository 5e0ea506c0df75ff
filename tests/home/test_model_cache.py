"""One cache of loaded models for all that read digits with published files."""

from pathlib import Path

import pytest

from loop.errors import ArtifactCorrupt
from loop.home.artifacts import Artifacts
from loop.home.model_cache import CACHED_MODELS, ModelCache
from tests.intake.test_live_accuracy import stubborn


def test_few_models_are_kept_loaded(tmp_path: Path) -> None:
    """The least recently used model goes first; asking for it again loads it again."""
    artifacts = Artifacts(tmp_path)
    models = ModelCache(artifacts)
    digests = [artifacts.put(stubborn(digit), ".mlmodel") for digit in range(CACHED_MODELS + 1)]
    first = models.get(digests[0])
    for each in digests[1:-1]:
        models.get(each)
    assert models.get(digests[0]) is first  # now the most recently used
    second = models.get(digests[1])
    models.get(digests[-1])
    assert len(models._loaded) == CACHED_MODELS
    assert models.get(digests[1]) is second
    assert models.get(digests[0]) is first
    assert digests[2] not in models._loaded


def test_a_file_that_is_damaged_is_not_remembered(tmp_path: Path) -> None:
    """A model that could not be read is read again at the next call."""
    artifacts = Artifacts(tmp_path)
    models = ModelCache(artifacts)
    digest = artifacts.put(stubborn(3), ".mlmodel")
    path = artifacts.path(digest, ".mlmodel")
    sound = path.read_bytes()
    path.unlink()
    with pytest.raises(ArtifactCorrupt):
        models.get(digest)
    path.write_bytes(sound)
    assert models.get(digest).label_only is False
