"""Alembic's entry: the connection comes from the caller (``loop migrate``) or from the settings (``alembic``)."""

from typing import Literal

from alembic import context
from sqlalchemy import Connection

from loop.store.engine import Store
from loop.store.tables import Base, UtcDateTime


def plain_times(kind: str, item: object, autogen_context: object) -> str | Literal[False]:  # noqa: ARG001 (Alembic's signature)
    """Render times as plain SQLAlchemy types, since revisions must not import today's code."""
    return "sa.DateTime(timezone=True)" if kind == "type" and isinstance(item, UtcDateTime) else False


def migrate(connection: Connection) -> None:
    """Run the revisions on one connection, all or none."""
    context.configure(
        connection=connection, target_metadata=Base.metadata, render_as_batch=True, render_item=plain_times
    )
    with context.begin_transaction():
        context.run_migrations()


given = context.config.attributes.get("connection")
if given is not None:
    migrate(given)
else:
    from loop.home import settings

    with Store(settings.load().url).engine.begin() as own:
        migrate(own)
