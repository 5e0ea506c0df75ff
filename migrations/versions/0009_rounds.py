"""Rounds of asking: what their choices depended on, so that they can be computed again."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Forward. SQLite adds a column that may be NULL without copying the table; questions of before have no round."""
    op.create_table(
        "rounds",
        sa.Column("id", ID, nullable=False),
        sa.Column("family", sa.String(length=20), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("models", sa.JSON(), nullable=False),
        sa.Column("rules", sa.JSON(), nullable=False),
        sa.Column("seed", ID, nullable=False),
        sa.Column("quorum", sa.SmallInteger(), nullable=False),
        sa.Column("questions", sa.Integer(), nullable=False),
        sa.Column("pool_digest", sa.String(length=64), nullable=False),
        sa.Column("pool", sa.LargeBinary(), nullable=False),
        sa.Column("asked_at", TIME, nullable=False),
        sa.CheckConstraint("questions > 0", name=op.f("ck_rounds_questions")),
        sa.ForeignKeyConstraint(["version"], ["versions.number"], name=op.f("fk_rounds_version_versions")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_rounds")),
        sqlite_autoincrement=True,
    )
    round_of = sa.ForeignKey("rounds.id", name=op.f("fk_questions_round_id_rounds"))
    op.add_column("questions", sa.Column("round_id", ID, round_of, nullable=True), inline_references=True)
    op.create_index(op.f("ix_questions_round_id"), "questions", ["round_id"])


def downgrade() -> None:
    """Back. How questions were chosen can no longer be computed."""
    op.drop_index(op.f("ix_questions_round_id"), "questions")
    op.drop_column("questions", "round_id")
    op.drop_table("rounds")
