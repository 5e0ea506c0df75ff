"""Who may upload: when a source's device attested the app, with which key, and the open challenges."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Forward. SQLite adds a column that may be NULL without copying the table; an index makes the key unique."""
    op.add_column("sources", sa.Column("attested_at", TIME, nullable=True))
    op.add_column("sources", sa.Column("attested_key", sa.String(length=64), nullable=True))
    op.add_column("sources", sa.Column("attested_app", sa.String(length=200), nullable=True))
    op.create_index(op.f("ix_sources_attested_key"), "sources", ["attested_key"], unique=True)
    op.create_table(
        "challenges",
        sa.Column("source_name", sa.String(length=128), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("expires_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("source_name", name=op.f("pk_challenges")),
    )
    op.create_index(op.f("ix_challenges_expires_at"), "challenges", ["expires_at"])


def downgrade() -> None:
    """Back. That devices attested is forgotten."""
    op.drop_table("challenges")
    op.drop_index(op.f("ix_sources_attested_key"), "sources")
    for name in ("attested_app", "attested_key", "attested_at"):
        op.drop_column("sources", name)
