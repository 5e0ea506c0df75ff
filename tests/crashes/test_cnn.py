"""The real network with a short training, killed and stalled while TensorFlow trains it."""

from pathlib import Path

import pytest

from tests.crashes.points import POINTS
from tests.crashes.site import Templates
from tests.crashes.test_everywhere import crash

CASES = (
    ("epoch/first", "killed", "postgresql"),
    ("epoch/middle", "stalled", "sqlite"),
    ("epoch/middle", "killed", "sqlite"),
    ("epoch/last", "surprised", "postgresql"),
)


@pytest.mark.campaign
@pytest.mark.parametrize(("point", "act", "backend"), CASES)
def test_a_network_in_training(templates: Templates, tmp_path: Path, point: str, act: str, backend: str) -> None:
    """After a crash during training the home is intact, has one champion, and the next night needs no help."""
    crash(templates, tmp_path, POINTS[point], act, backend, family="cnn")
