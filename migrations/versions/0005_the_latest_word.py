"""Let a source change its mind: one current word per image, more kinds and statuses; tombstones refuse late uploads.

SQLite cannot change a table's constraints in place, so ``corrections`` is copied there. Other tables point at it: their
keys are checked at the commit, when its rows are back.
"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
TIME = sa.DateTime(timezone=True)

OLD_KINDS, OLD_STATUSES = "'correction', 'confirmation'", "'pending', 'accepted', 'quarantined', 'rejected'"
LABELLESS = "'not-a-digit', 'unreadable'"
KINDS, STATUSES = f"{OLD_KINDS}, {LABELLESS}", f"{OLD_STATUSES}, 'noted', 'superseded', 'withdrawn'"
CURRENT_WORD = "status NOT IN ('superseded', 'withdrawn')"
OLD_COLUMNS = (
    "id, source_id, key, body_digest, digest, pixels, normalised, label, kind, status, predicted, confidence, version, "
    "rate, captured_at, received_at"
)
CHECKS = {
    "word": f"(label IS NULL) = (kind IN ({LABELLESS}))",
    "taught": "label IS NOT NULL OR status IN ('noted', 'superseded', 'withdrawn')",
}


def upgrade() -> None:
    """Forward. Of several labels for one image of one source, the last stays; the others become history."""
    op.add_column("sources", sa.Column("erased_at", TIME, nullable=True))
    if _sqlite():
        _copy_on_sqlite(_new_table, f"{OLD_COLUMNS}, NULL, NULL")
    else:
        op.add_column("corrections", sa.Column("preparation", sa.String(length=160), nullable=True))
        op.add_column("corrections", sa.Column("supersedes", ID, nullable=True))
        op.create_foreign_key(
            op.f("fk_corrections_supersedes_corrections"), "corrections", "corrections", ["supersedes"], ["id"]
        )
        op.alter_column("corrections", "label", nullable=True)
        op.drop_constraint(op.f("uq_corrections_source_id_digest_label"), "corrections")
        op.drop_index(op.f("ix_corrections_digest"), "corrections")
        _check("kind", f"kind IN ({KINDS})")
        _check("status", f"status IN ({STATUSES})")
        for name, rule in CHECKS.items():
            op.create_check_constraint(op.f(f"ck_corrections_{name}"), "corrections", rule)
    _link_words()
    _new_indexes()


def downgrade() -> None:
    """Back. Words without a label have no place there; superseded and withdrawn ones become ``rejected``."""
    op.execute("DELETE FROM replays WHERE correction_id IN (SELECT id FROM corrections WHERE label IS NULL)")
    op.execute("UPDATE corrections SET supersedes = NULL WHERE supersedes IS NOT NULL")
    op.execute("DELETE FROM corrections WHERE label IS NULL")
    _merge_repeated_words()
    for name in ("current_word", "digest_source_id_status_id", "source_id_id", "supersedes"):
        op.drop_index(f"ix_corrections_{name}", "corrections")
    if _sqlite():
        op.execute("UPDATE corrections SET status = 'rejected' WHERE status IN ('superseded', 'withdrawn')")
        _copy_on_sqlite(_old_table, OLD_COLUMNS)
    else:
        op.execute("UPDATE corrections SET status = 'rejected' WHERE status IN ('superseded', 'withdrawn')")
        for name in CHECKS:
            op.drop_constraint(op.f(f"ck_corrections_{name}"), "corrections")
        _check("kind", f"kind IN ({OLD_KINDS})")
        _check("status", f"status IN ({OLD_STATUSES})")
        op.alter_column("corrections", "label", nullable=False)
        op.create_unique_constraint(
            op.f("uq_corrections_source_id_digest_label"), "corrections", ["source_id", "digest", "label"]
        )
        op.drop_column("corrections", "supersedes")
        op.drop_column("corrections", "preparation")
    op.create_index(op.f("ix_corrections_digest"), "corrections", ["digest"])
    op.drop_column("sources", "erased_at")


def _sqlite() -> bool:
    return op.get_bind().dialect.name == "sqlite"


def _check(column: str, rule: str) -> None:
    op.drop_constraint(op.f(f"ck_corrections_{column}"), "corrections")
    op.create_check_constraint(op.f(f"ck_corrections_{column}"), "corrections", rule)


def _link_words() -> None:
    """Each label of a source for an image supersedes the one before."""
    op.execute(
        "UPDATE corrections SET supersedes = (SELECT max(earlier.id) FROM corrections AS earlier "
        "WHERE earlier.source_id = corrections.source_id AND earlier.digest = corrections.digest "
        "AND earlier.id < corrections.id) "
        "WHERE EXISTS (SELECT 1 FROM corrections AS earlier WHERE earlier.source_id = corrections.source_id "
        "AND earlier.digest = corrections.digest AND earlier.id < corrections.id)"
    )
    op.execute(
        "UPDATE corrections SET status = 'superseded' "
        "WHERE id IN (SELECT supersedes FROM corrections WHERE supersedes IS NOT NULL)"
    )


def _merge_repeated_words() -> None:
    """Keep the last of the rows with one label for one image, as the old schema does; references follow it."""
    op.execute(
        "CREATE TEMPORARY TABLE repeated AS SELECT id, last FROM (SELECT id, max(id) OVER "
        "(PARTITION BY source_id, digest, label) AS last FROM corrections) AS words WHERE id <> last"
    )
    last = "(SELECT last FROM repeated WHERE repeated.id = correction_id)"
    for table in ("snapshot_items", "replays"):
        op.execute(
            f"UPDATE {table} SET correction_id = {last} WHERE correction_id IN (SELECT id FROM repeated)"  # noqa: S608 (our own names)
        )
    op.execute("DELETE FROM arrivals WHERE correction_id IN (SELECT id FROM repeated)")
    op.execute(
        "INSERT INTO replays (source_id, key, body_digest, correction_id, answered_at) "
        "SELECT source_id, key, body_digest, repeated.last, received_at FROM corrections "
        "JOIN repeated ON repeated.id = corrections.id"
    )
    op.execute("DELETE FROM corrections WHERE id IN (SELECT id FROM repeated)")
    op.execute("DROP TABLE repeated")


def _copy_on_sqlite(create, columns: str) -> None:
    """Make ``corrections`` anew from its own rows. The highest id that was ever given stays known."""
    given = op.get_bind().scalar(sa.text("SELECT seq FROM sqlite_sequence WHERE name = 'corrections'"))
    op.execute("PRAGMA defer_foreign_keys = ON")
    op.execute("CREATE TEMPORARY TABLE kept AS SELECT * FROM corrections")
    op.drop_table("corrections")
    create()
    op.execute(f"INSERT INTO corrections SELECT {columns} FROM kept ORDER BY id")  # noqa: S608 (our own names)
    op.execute("DROP TABLE kept")
    if given is not None:
        op.execute("DELETE FROM sqlite_sequence WHERE name = 'corrections'")
        op.execute(sa.text("INSERT INTO sqlite_sequence VALUES ('corrections', :seq)").bindparams(seq=given))
    op.create_index(op.f("ix_corrections_status_id"), "corrections", ["status", "id"])


def _new_indexes() -> None:
    op.create_index(
        "ix_corrections_current_word",
        "corrections",
        ["source_id", "digest"],
        unique=True,
        sqlite_where=sa.text(CURRENT_WORD),
        postgresql_where=sa.text(CURRENT_WORD),
    )
    op.create_index(
        op.f("ix_corrections_digest_source_id_status_id"), "corrections", ["digest", "source_id", "status", "id"]
    )
    op.create_index(op.f("ix_corrections_source_id_id"), "corrections", ["source_id", "id"])
    op.create_index(
        "ix_corrections_supersedes",
        "corrections",
        ["supersedes"],
        sqlite_where=sa.text("supersedes IS NOT NULL"),
        postgresql_where=sa.text("supersedes IS NOT NULL"),
    )


def _new_table() -> None:
    _table(
        KINDS,
        STATUSES,
        True,
        sa.Column("preparation", sa.String(length=160), nullable=True),
        sa.Column("supersedes", ID, nullable=True),
        *(sa.CheckConstraint(rule, name=op.f(f"ck_corrections_{name}")) for name, rule in CHECKS.items()),
        sa.ForeignKeyConstraint(["supersedes"], ["corrections.id"], name=op.f("fk_corrections_supersedes_corrections")),
    )


def _old_table() -> None:
    unique = ("source_id", "digest", "label")
    _table(
        OLD_KINDS,
        OLD_STATUSES,
        False,
        sa.UniqueConstraint(*unique, name=op.f("uq_corrections_source_id_digest_label")),
    )


def _table(kinds: str, statuses: str, unlabelled: bool, *more: sa.schema.SchemaItem) -> None:
    op.create_table(
        "corrections",
        sa.Column("id", ID, nullable=False),
        sa.Column("source_id", ID, nullable=False),
        sa.Column("key", sa.String(length=200), nullable=False),
        sa.Column("body_digest", sa.String(length=64), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("pixels", sa.LargeBinary(), nullable=False),
        sa.Column("normalised", sa.Boolean(), nullable=False),
        sa.Column("label", sa.SmallInteger(), nullable=unlabelled),
        sa.Column("kind", sa.String(length=12), nullable=False),
        sa.Column("status", sa.String(length=12), nullable=False),
        sa.Column("predicted", sa.SmallInteger(), nullable=True),
        sa.Column("confidence", sa.Double(), nullable=True),
        sa.Column("version", sa.Integer(), nullable=True),
        sa.Column("rate", sa.Double(), nullable=False),
        sa.Column("captured_at", TIME, nullable=True),
        sa.Column("received_at", TIME, nullable=False),
        *(column for column in more if isinstance(column, sa.Column)),
        sa.CheckConstraint(f"kind IN ({kinds})", name=op.f("ck_corrections_kind")),
        sa.CheckConstraint(f"status IN ({statuses})", name=op.f("ck_corrections_status")),
        sa.CheckConstraint("confidence BETWEEN 0 AND 1", name=op.f("ck_corrections_confidence")),
        sa.CheckConstraint("label BETWEEN 0 AND 9", name=op.f("ck_corrections_label")),
        sa.CheckConstraint("length(pixels) = 784", name=op.f("ck_corrections_pixels")),
        sa.CheckConstraint("predicted BETWEEN 0 AND 9", name=op.f("ck_corrections_predicted")),
        sa.CheckConstraint("rate > 0 AND rate <= 1", name=op.f("ck_corrections_rate")),
        *(item for item in more if not isinstance(item, sa.Column)),
        sa.ForeignKeyConstraint(["source_id"], ["sources.id"], name=op.f("fk_corrections_source_id_sources")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_corrections")),
        sa.UniqueConstraint("source_id", "key", name=op.f("uq_corrections_source_id_key")),
        sqlite_autoincrement=True,
    )
