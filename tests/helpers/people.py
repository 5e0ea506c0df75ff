"""Sources with a past: seen on enough days to be trusted with a lesson and with a verdict."""

from datetime import timedelta

from sqlalchemy import update

from loop.store import Store, tables


def season(store: Store, days: int = 30, *names: str) -> None:
    """Make these sources (default: all) look as if they had sent uploads on each of the last ``days`` days."""
    sources = tables.Base.metadata.tables["sources"]
    with store.exclusive() as tx:
        for name, seen_at in tx.execute(sources.select().with_only_columns(sources.c.name, sources.c.seen_at)).all():
            if not names or name in names:
                row = update(sources).where(sources.c.name == name)
                tx.execute(row.values(seen_at=seen_at - timedelta(days=days), days_seen=days))
