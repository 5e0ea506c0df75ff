"""Facts: values about this store as a whole, by name."""

from sqlalchemy import delete
from sqlalchemy.orm import Session

from loop.store import tables

MAX_CHARACTERS = 500  # the length of the column


def get(tx: Session, key: str) -> str | None:
    """A fact's value; None if it is not stored."""
    fact = tx.get(tables.Fact, key)
    return None if fact is None else fact.value


def put(tx: Session, key: str, value: str) -> None:
    """Store a fact, replacing its value. ``tx`` must be exclusive."""
    tx.merge(tables.Fact(key=key, value=value))


def drop(tx: Session, key: str) -> None:
    """Delete a fact."""
    tx.execute(delete(tables.Fact).where(tables.Fact.key == key))
