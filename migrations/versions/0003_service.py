"""Create the service's tables: keys, replays, live scores, erasures; add quotas."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Forward."""
    op.create_table(
        "keys",
        sa.Column("id", ID, nullable=False),
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("role", sa.String(length=10), nullable=False),
        sa.Column("secret_digest", sa.String(length=64), nullable=False),
        sa.Column("source", sa.String(length=128), nullable=True),
        sa.Column("actor", sa.String(length=100), nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("expires_at", TIME, nullable=True),
        sa.Column("revoked_at", TIME, nullable=True),
        sa.CheckConstraint("role IN ('app', 'reviewer', 'ops')", name=op.f("ck_keys_role")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_keys")),
        sa.UniqueConstraint("secret_digest", name=op.f("uq_keys_secret_digest")),
        sqlite_autoincrement=True,
    )

    op.create_table(
        "replays",
        sa.Column("source_id", ID, nullable=False),
        sa.Column("key", sa.String(length=200), nullable=False),
        sa.Column("body_digest", sa.String(length=64), nullable=False),
        sa.Column("correction_id", ID, nullable=False),
        sa.Column("answered_at", TIME, nullable=False),
        sa.ForeignKeyConstraint(
            ["correction_id"], ["corrections.id"], name=op.f("fk_replays_correction_id_corrections")
        ),
        sa.ForeignKeyConstraint(["source_id"], ["sources.id"], name=op.f("fk_replays_source_id_sources")),
        sa.PrimaryKeyConstraint("source_id", "key", name=op.f("pk_replays")),
    )
    with op.batch_alter_table("replays", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_replays_correction_id"), ["correction_id"], unique=False)

    op.create_table(
        "arrivals",
        sa.Column("correction_id", ID, autoincrement=False, nullable=False),
        sa.Column("version", sa.Integer(), nullable=True),
        sa.Column("said", sa.SmallInteger(), nullable=True),
        sa.Column("confidence", sa.Double(), nullable=True),
        sa.Column("scored_at", TIME, nullable=True),
        sa.CheckConstraint("said BETWEEN 0 AND 9", name=op.f("ck_arrivals_said")),
        sa.ForeignKeyConstraint(
            ["correction_id"], ["corrections.id"], name=op.f("fk_arrivals_correction_id_corrections")
        ),
        sa.ForeignKeyConstraint(["version"], ["versions.number"], name=op.f("fk_arrivals_version_versions")),
        sa.PrimaryKeyConstraint("correction_id", name=op.f("pk_arrivals")),
    )
    with op.batch_alter_table("arrivals", schema=None) as batch_op:
        batch_op.create_index(
            "ix_arrivals_waiting",
            ["correction_id"],
            unique=False,
            sqlite_where=sa.text("scored_at IS NULL"),
            postgresql_where=sa.text("scored_at IS NULL"),
        )

    op.create_table(
        "erasures",
        sa.Column("id", ID, nullable=False),
        sa.Column("name_digest", sa.String(length=64), nullable=False),
        sa.Column("uploads", sa.Integer(), nullable=False),
        sa.Column("actor", sa.String(length=100), nullable=False),
        sa.Column("erased_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_erasures")),
        sqlite_autoincrement=True,
    )
    with op.batch_alter_table("erasures", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_erasures_name_digest"), ["name_digest"], unique=False)
    op.add_column("snapshots", sa.Column("erased", sa.Integer(), server_default="0", nullable=False))
    op.add_column("sources", sa.Column("quota_day", sa.Date(), nullable=True))
    op.add_column("sources", sa.Column("quota_used", sa.Integer(), server_default="0", nullable=False))


def downgrade() -> None:
    """Back; indexes go with their tables. Columns are dropped in place: a copied table would lose its triggers."""
    op.drop_column("sources", "quota_used")
    op.drop_column("sources", "quota_day")
    op.drop_column("snapshots", "erased")
    for table in ("erasures", "arrivals", "replays", "keys"):
        op.drop_table(table)
