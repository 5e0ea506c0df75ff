"""Facts: what is true of this store as a whole, by name."""

from sqlalchemy import delete
from sqlalchemy.orm import Session

from loop.store import tables

MAX_CHARACTERS = 500  # characters: what the column holds


def get(tx: Session, key: str) -> str | None:
    """A fact, if it was ever written down."""
    fact = tx.get(tables.Fact, key)
    return None if fact is None else fact.value


def put(tx: Session, key: str, value: str) -> None:
    """Write a fact down, over what stood there. ``tx`` must be exclusive."""
    tx.merge(tables.Fact(key=key, value=value))


def drop(tx: Session, key: str) -> None:
    """A fact is one no longer."""
    tx.execute(delete(tables.Fact).where(tables.Fact.key == key))
