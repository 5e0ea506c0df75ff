"""Failures of the database are raised as errors of this project."""

from contextlib import ExitStack

import pytest

from loop.errors import StoreUnavailable
from loop.store import Store


def test_more_at_once_than_there_are_connections(store: Store) -> None:
    """A caller that gets no connection in time gets an error, and the next caller is served."""
    store.engine.pool._timeout = 0.1  # type: ignore[attr-defined]  # half a minute would be long for a test
    with ExitStack() as held:
        for _ in range(15):  # the pool's five and its ten
            held.enter_context(store.engine.connect())
        with pytest.raises(StoreUnavailable, match="every connection is busy"), store.read() as tx:
            tx.connection()
    with store.read() as tx:
        assert tx.connection()
