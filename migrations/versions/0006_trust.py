"""Trust with a history: on how many days a source was seen, who vouches for it, how far it is trusted; quarantine;
quotas that outlive an erasure; uploads that are never weighed. A webhook's secret is sealed, and longer for it: what is
stored is sealed by ``loop.home.migrate``, because a revision has no key.
"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Forward. The days on which a source was seen are counted from its uploads."""
    op.add_column("sources", sa.Column("days_seen", sa.SmallInteger(), server_default="0", nullable=False))
    op.add_column("sources", sa.Column("vouched_at", TIME, nullable=True))
    op.add_column("corrections", sa.Column("flag", sa.String(length=24), nullable=True))
    _count_days()
    _resize_secrets(100, 300)
    op.create_table(
        "quarantines",
        sa.Column("correction_id", ID, autoincrement=False, nullable=False),
        sa.Column("run_id", ID, nullable=True),
        sa.Column("reasons", sa.JSON(), nullable=False),
        sa.Column("found_at", TIME, nullable=False),
        sa.Column("decision", sa.String(length=10), nullable=True),
        sa.Column("decided_at", TIME, nullable=True),
        sa.Column("decided_by", sa.String(length=100), nullable=True),
        sa.CheckConstraint("decision IN ('accepted', 'rejected')", name=op.f("ck_quarantines_decision")),
        sa.ForeignKeyConstraint(
            ["correction_id"], ["corrections.id"], name=op.f("fk_quarantines_correction_id_corrections")
        ),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name=op.f("fk_quarantines_run_id_runs")),
        sa.PrimaryKeyConstraint("correction_id", name=op.f("pk_quarantines")),
    )
    op.create_table(
        "trust",
        sa.Column("source_id", ID, autoincrement=False, nullable=False),
        sa.Column("value", sa.Double(), nullable=False),
        sa.Column("reasons", sa.JSON(), nullable=False),
        sa.Column("assessed_at", TIME, nullable=False),
        sa.CheckConstraint("value BETWEEN 0 AND 1", name=op.f("ck_trust_value")),
        sa.ForeignKeyConstraint(["source_id"], ["sources.id"], name=op.f("fk_trust_source_id_sources")),
        sa.PrimaryKeyConstraint("source_id", name=op.f("pk_trust")),
    )
    op.create_table(
        "quotas",
        sa.Column("name_digest", sa.String(length=64), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("used", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("name_digest", "day", name=op.f("pk_quotas")),
    )


def downgrade() -> None:
    """Back. Uploads in quarantine were accepted before there was one; rejected ones stay rejected.

    Refused once secrets are sealed: the code of that time would take the sealed salt for the salt.
    """
    columns = "SELECT value FROM facts UNION ALL SELECT secret FROM hooks"
    if op.get_bind().scalar(sa.text(f"SELECT count(*) FROM ({columns}) AS secrets WHERE value LIKE 'sealed:%'")):  # noqa: S608 (our own names)
        raise RuntimeError("the secrets of this database are sealed; restore a backup from before revision 0006")
    _resize_secrets(300, 100)
    op.execute("UPDATE corrections SET status = 'accepted' WHERE status = 'quarantined'")
    for table in ("quotas", "trust", "quarantines"):
        op.drop_table(table)
    op.drop_column("corrections", "flag")
    op.drop_column("sources", "vouched_at")
    op.drop_column("sources", "days_seen")


def _resize_secrets(before: int, after: int) -> None:
    """On SQLite the table is made anew from its own rows, so that those of the deliveries find their webhooks again."""
    if op.get_bind().dialect.name != "sqlite":
        op.alter_column("hooks", "secret", existing_type=sa.String(before), type_=sa.String(after))
        return
    given = op.get_bind().scalar(sa.text("SELECT seq FROM sqlite_sequence WHERE name = 'hooks'"))
    op.execute("PRAGMA defer_foreign_keys = ON")
    op.execute("CREATE TEMPORARY TABLE kept AS SELECT * FROM hooks")
    op.drop_table("hooks")
    op.create_table(
        "hooks",
        sa.Column("id", ID, nullable=False),
        sa.Column("url", sa.String(length=500), nullable=False),
        sa.Column("secret", sa.String(length=after), nullable=False),
        sa.Column("kinds", sa.JSON(), nullable=False),
        sa.Column("since", sa.BigInteger(), nullable=False),
        sa.Column("actor", sa.String(length=100), nullable=False),
        sa.Column("added_at", TIME, nullable=False),
        sa.Column("removed_at", TIME, nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_hooks")),
        sqlite_autoincrement=True,
    )
    op.execute("INSERT INTO hooks SELECT * FROM kept ORDER BY id")
    op.execute("DROP TABLE kept")
    if given is not None:
        op.execute("DELETE FROM sqlite_sequence WHERE name = 'hooks'")
        op.execute(sa.text("INSERT INTO sqlite_sequence VALUES ('hooks', :seq)").bindparams(seq=given))


def _count_days() -> None:
    on_sqlite = op.get_bind().dialect.name == "sqlite"
    day = "date(received_at)" if on_sqlite else "(received_at AT TIME ZONE 'UTC')::date"
    its = "FROM corrections WHERE corrections.source_id = sources.id"
    op.execute(f"UPDATE sources SET days_seen = (SELECT count(DISTINCT {day}) {its})")  # noqa: S608 (our own names)
    op.execute(f"UPDATE sources SET quota_day = (SELECT max({day}) {its}) WHERE quota_day IS NULL")  # noqa: S608 (the same)
