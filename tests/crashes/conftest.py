"""Homes for the crash tests."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.crashes.site import Templates


@pytest.fixture(scope="session")
def templates(tmp_path_factory: pytest.TempPathFactory, small_corpus: Path) -> Iterator[Templates]:
    """Founded homes, one a database, of which each case gets a copy."""
    made = Templates(tmp_path_factory.mktemp("templates"), small_corpus)
    with made.stack:
        yield made
