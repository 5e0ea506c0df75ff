"""Create the feed's tables: roots, signed feeds, withdrawals; all append-only."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


TABLES = ("feed_roots", "feed_entries", "withdrawals")
TIME = sa.DateTime(timezone=True)


def forbid_changes(table: str) -> None:
    """Refuse UPDATE and DELETE on the table; on PostgreSQL with the function of the first migration."""
    if op.get_bind().dialect.name == "sqlite":
        for verb in ("UPDATE", "DELETE"):
            op.execute(
                f"CREATE TRIGGER {table}_no_{verb.lower()} BEFORE {verb} ON {table} "
                f"BEGIN SELECT RAISE(ABORT, '{table} are append-only'); END"
            )
        return
    op.execute(
        f"CREATE TRIGGER {table}_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON {table} "
        "FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"
    )


def upgrade() -> None:
    """Forward."""
    op.create_table(
        "feed_roots",
        sa.Column("version", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("document", sa.Text(), nullable=False),
        sa.Column("actor", sa.String(length=100), nullable=False),
        sa.Column("reason", sa.String(length=1000), nullable=False),
        sa.Column("added_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("version", name=op.f("pk_feed_roots")),
    )
    op.create_table(
        "feed_entries",
        sa.Column("epoch", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("sequence", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("document", sa.Text(), nullable=False),
        sa.Column("actor", sa.String(length=100), nullable=False),
        sa.Column("signed_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("epoch", "sequence", name=op.f("pk_feed_entries")),
    )
    op.create_table(
        "withdrawals",
        sa.Column("version", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("actor", sa.String(length=100), nullable=False),
        sa.Column("reason", sa.String(length=1000), nullable=False),
        sa.Column("withdrawn_at", TIME, nullable=False),
        sa.ForeignKeyConstraint(["version"], ["versions.number"], name=op.f("fk_withdrawals_version_versions")),
        sa.PrimaryKeyConstraint("version", name=op.f("pk_withdrawals")),
    )
    for table in TABLES:
        forbid_changes(table)


def downgrade() -> None:
    """Back; the triggers go with their tables."""
    for table in reversed(TABLES):
        op.drop_table(table)
