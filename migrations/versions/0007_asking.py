"""Ask for labels: drawings without one, questions, answers, who holds a question, and the phones' asking policies.

SQLite cannot change a table's constraints in place, so ``corrections`` is copied there, as in revision 0005.
"""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
TIME = sa.DateTime(timezone=True)

OLD_KINDS = "'correction', 'confirmation', 'not-a-digit', 'unreadable'"
KINDS = f"{OLD_KINDS}, 'drawing', 'asked'"
STATUSES = "'pending', 'accepted', 'quarantined', 'rejected', 'noted', 'superseded', 'withdrawn'"
CURRENT_WORD = "status NOT IN ('superseded', 'withdrawn')"
STANDING = "undone_at IS NULL"
FLAGS = "flag IN ('not-a-digit', 'unreadable', 'two-digits')"
OLD_COLUMNS = (
    "id, source_id, key, body_digest, digest, pixels, normalised, label, kind, status, predicted, confidence, version, "
    "rate, captured_at, received_at, preparation, supersedes, flag"
)
OLD_CHECKS = {
    "kind": f"kind IN ({OLD_KINDS})",
    "word": "(label IS NULL) = (kind IN ('not-a-digit', 'unreadable'))",
    "taught": "label IS NOT NULL OR status IN ('noted', 'superseded', 'withdrawn')",
}
CHECKS = {
    "kind": f"kind IN ({KINDS})",
    "word": "kind = 'drawing' OR (label IS NULL) = (kind IN ('not-a-digit', 'unreadable'))",
    "taught": "label IS NOT NULL OR status IN ('noted', 'superseded', 'withdrawn', 'pending')",
}
NEW_CHECKS = {
    "lottery": "lottery > 0 AND lottery <= 1",
    "runner_up": "runner_up BETWEEN 0 AND 9",
    "runner_up_confidence": "runner_up_confidence BETWEEN 0 AND 1",
}


def upgrade() -> None:
    """Forward."""
    if _sqlite():
        _copy_on_sqlite(CHECKS | NEW_CHECKS, _new_columns(), f"{OLD_COLUMNS}, NULL, NULL, NULL")
    else:
        for column in _new_columns():
            op.add_column("corrections", column)
        _replace(CHECKS)
        for name, rule in NEW_CHECKS.items():
            op.create_check_constraint(op.f(f"ck_corrections_{name}"), "corrections", rule)
    _questions()
    _answers()
    op.create_table(
        "asking_policies",
        sa.Column("id", ID, nullable=False),
        sa.Column("document", sa.JSON(), nullable=False),
        sa.Column("reasons", sa.JSON(), nullable=False),
        sa.Column("actor", sa.String(length=100), nullable=False),
        sa.Column("set_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_asking_policies")),
        sqlite_autoincrement=True,
    )


def downgrade() -> None:
    """Back. Drawings have no place there: answered ones become corrections, the others are deleted."""
    for table in ("asking_policies", "holds", "answers", "questions"):
        op.drop_table(table)
    unlabelled = "(SELECT id FROM corrections WHERE kind = 'drawing' AND label IS NULL)"
    op.execute(f"UPDATE corrections SET supersedes = NULL WHERE supersedes IN {unlabelled}")  # noqa: S608 (our own names)
    op.execute(f"DELETE FROM replays WHERE correction_id IN {unlabelled}")  # noqa: S608 (the same)
    op.execute("DELETE FROM corrections WHERE kind = 'drawing' AND label IS NULL")
    op.execute("UPDATE corrections SET kind = 'correction' WHERE kind IN ('drawing', 'asked')")
    if _sqlite():
        _copy_on_sqlite(OLD_CHECKS, (), OLD_COLUMNS)
        return
    for name in NEW_CHECKS:
        op.drop_constraint(op.f(f"ck_corrections_{name}"), "corrections")
    _replace(OLD_CHECKS)
    for column in _new_columns():
        op.drop_column("corrections", column.name)


def _sqlite() -> bool:
    return op.get_bind().dialect.name == "sqlite"


def _replace(checks: dict[str, str]) -> None:
    for name, rule in checks.items():
        op.drop_constraint(op.f(f"ck_corrections_{name}"), "corrections")
        op.create_check_constraint(op.f(f"ck_corrections_{name}"), "corrections", rule)


def _new_columns() -> tuple[sa.Column, ...]:
    return (
        sa.Column("runner_up", sa.SmallInteger(), nullable=True),
        sa.Column("runner_up_confidence", sa.Double(), nullable=True),
        sa.Column("lottery", sa.Double(), nullable=True),
    )


def _questions() -> None:
    op.create_table(
        "questions",
        sa.Column("id", ID, nullable=False),
        sa.Column("correction_id", ID, nullable=True),
        sa.Column("pixels", sa.LargeBinary(), nullable=True),
        sa.Column("known", sa.SmallInteger(), nullable=True),
        sa.Column("arm", sa.String(length=12), nullable=False),
        sa.Column("strategy", sa.String(length=20), nullable=False),
        sa.Column("score", sa.Double(), nullable=False),
        sa.Column("chance", sa.Double(), nullable=True),
        sa.Column("reason", sa.String(length=200), nullable=False),
        sa.Column("seed", ID, nullable=False),
        sa.Column("pool_digest", sa.String(length=64), nullable=False),
        sa.Column("version", sa.Integer(), nullable=True),
        sa.Column("quorum", sa.SmallInteger(), nullable=False),
        sa.Column("status", sa.String(length=10), nullable=False),
        sa.Column("label", sa.SmallInteger(), nullable=True),
        sa.Column("flag", sa.String(length=12), nullable=True),
        sa.Column("asked_at", TIME, nullable=False),
        sa.Column("closed_at", TIME, nullable=True),
        sa.CheckConstraint(
            "arm IN ('random', 'asked', 'disputed', 'quarantine', 'gold')", name=op.f("ck_questions_arm")
        ),
        sa.CheckConstraint("status IN ('open', 'answered', 'disputed', 'dropped')", name=op.f("ck_questions_status")),
        sa.CheckConstraint(FLAGS, name=op.f("ck_questions_flag")),
        sa.CheckConstraint("label BETWEEN 0 AND 9", name=op.f("ck_questions_label")),
        sa.CheckConstraint("known BETWEEN 0 AND 9", name=op.f("ck_questions_known")),
        sa.CheckConstraint("chance > 0 AND chance <= 1", name=op.f("ck_questions_chance")),
        sa.CheckConstraint("(arm = 'gold') = (correction_id IS NULL)", name=op.f("ck_questions_gold")),
        sa.CheckConstraint(
            "(arm = 'gold') = (pixels IS NOT NULL AND known IS NOT NULL)", name=op.f("ck_questions_gold_digit")
        ),
        sa.ForeignKeyConstraint(
            ["correction_id"], ["corrections.id"], name=op.f("fk_questions_correction_id_corrections")
        ),
        sa.ForeignKeyConstraint(["version"], ["versions.number"], name=op.f("fk_questions_version_versions")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_questions")),
        sa.UniqueConstraint("correction_id", name=op.f("uq_questions_correction_id")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_questions_status_id"), "questions", ["status", "id"])


def _answers() -> None:
    op.create_table(
        "answers",
        sa.Column("id", ID, nullable=False),
        sa.Column("question_id", ID, nullable=False),
        sa.Column("reviewer", sa.String(length=100), nullable=False),
        sa.Column("label", sa.SmallInteger(), nullable=True),
        sa.Column("flag", sa.String(length=12), nullable=True),
        sa.Column("seconds", sa.Double(), nullable=True),
        sa.Column("answered_at", TIME, nullable=False),
        sa.Column("undone_at", TIME, nullable=True),
        sa.CheckConstraint(FLAGS, name=op.f("ck_answers_flag")),
        sa.CheckConstraint("label BETWEEN 0 AND 9", name=op.f("ck_answers_label")),
        sa.CheckConstraint("label IS NULL OR flag IS NULL", name=op.f("ck_answers_one_word")),
        sa.ForeignKeyConstraint(["question_id"], ["questions.id"], name=op.f("fk_answers_question_id_questions")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_answers")),
        sqlite_autoincrement=True,
    )
    op.create_index(
        "ix_answers_standing",
        "answers",
        ["question_id", "reviewer"],
        unique=True,
        sqlite_where=sa.text(STANDING),
        postgresql_where=sa.text(STANDING),
    )
    op.create_index(op.f("ix_answers_reviewer_id"), "answers", ["reviewer", "id"])
    op.create_table(
        "holds",
        sa.Column("question_id", ID, nullable=False),
        sa.Column("reviewer", sa.String(length=100), nullable=False),
        sa.Column("expires_at", TIME, nullable=False),
        sa.ForeignKeyConstraint(["question_id"], ["questions.id"], name=op.f("fk_holds_question_id_questions")),
        sa.PrimaryKeyConstraint("question_id", "reviewer", name=op.f("pk_holds")),
    )
    op.create_index(op.f("ix_holds_reviewer"), "holds", ["reviewer"])


def _copy_on_sqlite(checks: dict[str, str], more: tuple[sa.Column, ...], columns: str) -> None:
    """Make ``corrections`` anew from its own rows. The highest id that was ever given stays known."""
    given = op.get_bind().scalar(sa.text("SELECT seq FROM sqlite_sequence WHERE name = 'corrections'"))
    op.execute("PRAGMA defer_foreign_keys = ON")
    op.execute("CREATE TEMPORARY TABLE kept AS SELECT * FROM corrections")
    op.drop_table("corrections")
    _table(checks, more)
    op.execute(f"INSERT INTO corrections SELECT {columns} FROM kept ORDER BY id")  # noqa: S608 (our own names)
    op.execute("DROP TABLE kept")
    if given is not None:
        op.execute("DELETE FROM sqlite_sequence WHERE name = 'corrections'")
        op.execute(sa.text("INSERT INTO sqlite_sequence VALUES ('corrections', :seq)").bindparams(seq=given))
    _indexes()


def _indexes() -> None:
    op.create_index(op.f("ix_corrections_status_id"), "corrections", ["status", "id"])
    op.create_index(
        "ix_corrections_current_word",
        "corrections",
        ["source_id", "digest"],
        unique=True,
        sqlite_where=sa.text(CURRENT_WORD),
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
    )


def _table(checks: dict[str, str], more: tuple[sa.Column, ...]) -> None:
    rules = {
        "status": f"status IN ({STATUSES})",
        "confidence": "confidence BETWEEN 0 AND 1",
        "label": "label BETWEEN 0 AND 9",
        "pixels": "length(pixels) = 784",
        "predicted": "predicted BETWEEN 0 AND 9",
        "rate": "rate > 0 AND rate <= 1",
    } | checks
    op.create_table(
        "corrections",
        sa.Column("id", ID, nullable=False),
        sa.Column("source_id", ID, nullable=False),
        sa.Column("key", sa.String(length=200), nullable=False),
        sa.Column("body_digest", sa.String(length=64), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("pixels", sa.LargeBinary(), nullable=False),
        sa.Column("normalised", sa.Boolean(), nullable=False),
        sa.Column("label", sa.SmallInteger(), nullable=True),
        sa.Column("kind", sa.String(length=12), nullable=False),
        sa.Column("status", sa.String(length=12), nullable=False),
        sa.Column("predicted", sa.SmallInteger(), nullable=True),
        sa.Column("confidence", sa.Double(), nullable=True),
        sa.Column("version", sa.Integer(), nullable=True),
        sa.Column("rate", sa.Double(), nullable=False),
        sa.Column("captured_at", TIME, nullable=True),
        sa.Column("received_at", TIME, nullable=False),
        sa.Column("preparation", sa.String(length=160), nullable=True),
        sa.Column("supersedes", ID, nullable=True),
        sa.Column("flag", sa.String(length=24), nullable=True),
        *more,
        *(sa.CheckConstraint(rule, name=op.f(f"ck_corrections_{name}")) for name, rule in rules.items()),
        sa.ForeignKeyConstraint(["source_id"], ["sources.id"], name=op.f("fk_corrections_source_id_sources")),
        sa.ForeignKeyConstraint(["supersedes"], ["corrections.id"], name=op.f("fk_corrections_supersedes_corrections")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_corrections")),
        sa.UniqueConstraint("source_id", "key", name=op.f("uq_corrections_source_id_key")),
        sqlite_autoincrement=True,
    )
