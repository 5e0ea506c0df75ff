"""Create the tables: sources, corrections, snapshots, runs, versions, verdicts, the alias ledger.

Triggers make two of them append-only in the database itself: no connection can change or delete a version or a ledger
entry.
"""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


APPEND_ONLY = ("versions", "moves")
ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
TIME = sa.DateTime(timezone=True)


def forbid_changes(table: str) -> None:
    """Refuse UPDATE and DELETE on the table."""
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
        "facts",
        sa.Column("key", sa.String(length=50), nullable=False),
        sa.Column("value", sa.String(length=500), nullable=False),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_facts")),
    )
    op.create_table(
        "snapshots",
        sa.Column("id", ID, nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("corpus_digest", sa.String(length=64), nullable=False),
        sa.Column("size", sa.Integer(), nullable=False),
        sa.Column("frozen_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_snapshots")),
        sa.UniqueConstraint("digest", name=op.f("uq_snapshots_digest")),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "sources",
        sa.Column("id", ID, nullable=False),
        sa.Column("name", sa.String(length=128), nullable=False),
        sa.Column("role", sa.String(length=10), nullable=False),
        sa.Column("seen_at", TIME, nullable=False),
        sa.CheckConstraint("role IN ('train', 'holdout')", name=op.f("ck_sources_role")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_sources")),
        sa.UniqueConstraint("name", name=op.f("uq_sources_name")),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "corrections",
        sa.Column("id", ID, nullable=False),
        sa.Column("source_id", ID, nullable=False),
        sa.Column("key", sa.String(length=200), nullable=False),
        sa.Column("body_digest", sa.String(length=64), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("pixels", sa.LargeBinary(), nullable=False),
        sa.Column("normalised", sa.Boolean(), nullable=False),
        sa.Column("label", sa.SmallInteger(), nullable=False),
        sa.Column("kind", sa.String(length=12), nullable=False),
        sa.Column("status", sa.String(length=12), nullable=False),
        sa.Column("predicted", sa.SmallInteger(), nullable=True),
        sa.Column("confidence", sa.Double(), nullable=True),
        sa.Column("version", sa.Integer(), nullable=True),
        sa.Column("rate", sa.Double(), nullable=False),
        sa.Column("captured_at", TIME, nullable=True),
        sa.Column("received_at", TIME, nullable=False),
        sa.CheckConstraint("kind IN ('correction', 'confirmation')", name=op.f("ck_corrections_kind")),
        sa.CheckConstraint(
            "status IN ('pending', 'accepted', 'quarantined', 'rejected')", name=op.f("ck_corrections_status")
        ),
        sa.CheckConstraint("confidence BETWEEN 0 AND 1", name=op.f("ck_corrections_confidence")),
        sa.CheckConstraint("label BETWEEN 0 AND 9", name=op.f("ck_corrections_label")),
        sa.CheckConstraint("length(pixels) = 784", name=op.f("ck_corrections_pixels")),
        sa.CheckConstraint("predicted BETWEEN 0 AND 9", name=op.f("ck_corrections_predicted")),
        sa.CheckConstraint("rate > 0 AND rate <= 1", name=op.f("ck_corrections_rate")),
        sa.ForeignKeyConstraint(["source_id"], ["sources.id"], name=op.f("fk_corrections_source_id_sources")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_corrections")),
        sa.UniqueConstraint("source_id", "digest", "label", name=op.f("uq_corrections_source_id_digest_label")),
        sa.UniqueConstraint("source_id", "key", name=op.f("uq_corrections_source_id_key")),
        sqlite_autoincrement=True,
    )
    with op.batch_alter_table("corrections", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_corrections_digest"), ["digest"], unique=False)
        batch_op.create_index(batch_op.f("ix_corrections_status_id"), ["status", "id"], unique=False)

    op.create_table(
        "runs",
        sa.Column("id", ID, nullable=False),
        sa.Column("family", sa.String(length=20), nullable=False),
        sa.Column("kind", sa.String(length=10), nullable=False),
        sa.Column("status", sa.String(length=10), nullable=False),
        sa.Column("reason", sa.String(length=1000), nullable=True),
        sa.Column("reserved", sa.Integer(), nullable=True),
        sa.Column("snapshot_id", ID, nullable=True),
        sa.Column("holder", sa.String(length=200), nullable=False),
        sa.Column("lease_until", TIME, nullable=False),
        sa.Column("started_at", TIME, nullable=False),
        sa.Column("finished_at", TIME, nullable=True),
        sa.Column("seconds", sa.JSON(), nullable=False),
        sa.CheckConstraint("kind IN ('base', 'night', 'dry-run')", name=op.f("ck_runs_kind")),
        sa.CheckConstraint("status IN ('running', 'finished', 'skipped', 'failed')", name=op.f("ck_runs_status")),
        sa.ForeignKeyConstraint(["snapshot_id"], ["snapshots.id"], name=op.f("fk_runs_snapshot_id_snapshots")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_runs")),
        sa.UniqueConstraint("reserved", name=op.f("uq_runs_reserved")),
        sqlite_autoincrement=True,
    )
    with op.batch_alter_table("runs", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_runs_status"), ["status"], unique=False)

    op.create_table(
        "snapshot_items",
        sa.Column("snapshot_id", ID, nullable=False),
        sa.Column("correction_id", ID, nullable=False),
        sa.Column("label", sa.SmallInteger(), nullable=False),
        sa.Column("weight", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(
            ["correction_id"], ["corrections.id"], name=op.f("fk_snapshot_items_correction_id_corrections")
        ),
        sa.ForeignKeyConstraint(
            ["snapshot_id"], ["snapshots.id"], name=op.f("fk_snapshot_items_snapshot_id_snapshots")
        ),
        sa.PrimaryKeyConstraint("snapshot_id", "correction_id", name=op.f("pk_snapshot_items")),
    )
    with op.batch_alter_table("snapshot_items", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_snapshot_items_correction_id"), ["correction_id"], unique=False)

    op.create_table(
        "versions",
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("family", sa.String(length=20), nullable=False),
        sa.Column("run_id", ID, nullable=False),
        sa.Column("snapshot_id", ID, nullable=True),
        sa.Column("champion", sa.Integer(), nullable=True),
        sa.Column("artifact_digest", sa.String(length=64), nullable=False),
        sa.Column("artifact_bytes", sa.Integer(), nullable=False),
        sa.Column("weights_digest", sa.String(length=64), nullable=False),
        sa.Column("base_digest", sa.String(length=64), nullable=False),
        sa.Column("report_digest", sa.String(length=64), nullable=False),
        sa.Column("golden_digest", sa.String(length=64), nullable=False),
        sa.Column("mlpackage_digest", sa.String(length=64), nullable=True),
        sa.Column("recipe_digest", sa.String(length=64), nullable=False),
        sa.Column("recipe", sa.JSON(), nullable=False),
        sa.Column("seed", sa.BigInteger(), nullable=False),
        sa.Column("summary", sa.JSON(), nullable=False),
        sa.Column("registered_at", TIME, nullable=False),
        sa.ForeignKeyConstraint(["champion"], ["versions.number"], name=op.f("fk_versions_champion_versions")),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name=op.f("fk_versions_run_id_runs")),
        sa.ForeignKeyConstraint(["snapshot_id"], ["snapshots.id"], name=op.f("fk_versions_snapshot_id_snapshots")),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_versions")),
        sa.UniqueConstraint("run_id", name=op.f("uq_versions_run_id")),
    )
    op.create_table(
        "moves",
        sa.Column("id", ID, nullable=False),
        sa.Column("family", sa.String(length=20), nullable=False),
        sa.Column("alias", sa.String(length=12), nullable=False),
        sa.Column("verb", sa.String(length=10), nullable=False),
        sa.Column("before", sa.Integer(), nullable=True),
        sa.Column("after", sa.Integer(), nullable=False),
        sa.Column("actor", sa.String(length=100), nullable=False),
        sa.Column("reason", sa.String(length=1000), nullable=False),
        sa.Column("verdict", sa.String(length=12), nullable=False),
        sa.Column("override", sa.Boolean(), nullable=False),
        sa.Column("moved_at", TIME, nullable=False),
        sa.CheckConstraint("alias IN ('champion', 'challenger')", name=op.f("ck_moves_alias")),
        sa.CheckConstraint("verb IN ('register', 'promote', 'rollback')", name=op.f("ck_moves_verb")),
        sa.ForeignKeyConstraint(["after"], ["versions.number"], name=op.f("fk_moves_after_versions")),
        sa.ForeignKeyConstraint(["before"], ["versions.number"], name=op.f("fk_moves_before_versions")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_moves")),
        sqlite_autoincrement=True,
    )
    with op.batch_alter_table("moves", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_moves_family_alias_id"), ["family", "alias", "id"], unique=False)

    op.create_table(
        "verdicts",
        sa.Column("id", ID, nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("question", sa.String(length=20), nullable=False),
        sa.Column("outcome", sa.String(length=12), nullable=False),
        sa.Column("document", sa.JSON(), nullable=False),
        sa.Column("given_at", TIME, nullable=False),
        sa.CheckConstraint("outcome IN ('passed', 'failed', 'inconclusive')", name=op.f("ck_verdicts_outcome")),
        sa.CheckConstraint("question IN ('good enough', 'loads and runs')", name=op.f("ck_verdicts_question")),
        sa.ForeignKeyConstraint(["version"], ["versions.number"], name=op.f("fk_verdicts_version_versions")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_verdicts")),
        sa.UniqueConstraint("version", "question", name=op.f("uq_verdicts_version_question")),
        sqlite_autoincrement=True,
    )
    if op.get_bind().dialect.name == "postgresql":
        op.execute(
            "CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS "
            "$$ BEGIN RAISE EXCEPTION '% are append-only', TG_TABLE_NAME; END $$"
        )
    for table in APPEND_ONLY:
        forbid_changes(table)


def downgrade() -> None:
    """Back to an empty database; the triggers go with their tables."""
    for table in (
        "verdicts",
        "moves",
        "versions",
        "snapshot_items",
        "runs",
        "corrections",
        "sources",
        "snapshots",
        "facts",
    ):
        op.drop_table(table)
    if op.get_bind().dialect.name == "postgresql":
        op.execute("DROP FUNCTION refuse_change()")
