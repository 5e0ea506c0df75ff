"""Homes for the crash tests."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.crashes.site import Templates


@pytest.fixture(scope="session")
def templates(tmp_path_factory: pytest.TempPathFactory, small_corpus: Path) -> Iterator[Templates]:
    """Homes with a base, one per database; each case gets a copy."""
    made = Templates(tmp_path_factory.mktemp("templates"), small_corpus)
    with made.stack:
        yield made
