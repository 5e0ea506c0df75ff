"""Create the tables of the scheduler and the operators: slots, events, webhooks, deliveries; chain the ledger."""

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
TIME = sa.DateTime(timezone=True)


SIGNED = ("family", "alias", "verb", "before", "after", "actor", "reason", "verdict", "override", "moved_at")


@contextmanager
def _unlocked() -> Iterator[None]:
    """Lift the ledger's triggers for an update in place; they are created again in the same transaction."""
    if op.get_bind().dialect.name == "sqlite":
        op.execute("DROP TRIGGER moves_no_update")
        yield
        op.execute(
            "CREATE TRIGGER moves_no_update BEFORE UPDATE ON moves "
            "BEGIN SELECT RAISE(ABORT, 'moves are append-only'); END"
        )
        return
    op.execute("ALTER TABLE moves DISABLE TRIGGER moves_append_only")
    yield
    op.execute("ALTER TABLE moves ENABLE TRIGGER moves_append_only")


def _chain() -> None:
    """Link the existing entries as ``store.nights.versions`` links new ones (the rule as of this revision)."""
    moves = sa.table("moves", sa.column("id"), sa.column("link"), *(_column(name) for name in SIGNED))
    versions = sa.table("versions", sa.column("number"), sa.column("artifact_digest"))
    lines = sa.select(moves, versions.c.artifact_digest).join(versions, versions.c.number == moves.c.after)
    last = ""
    for row in op.get_bind().execute(lines.order_by(moves.c.id)).mappings().all():
        line = {name: row[name] for name in SIGNED} | {"artifact": row["artifact_digest"]}
        line["moved_at"] = _utc(row["moved_at"]).isoformat()
        line["override"] = bool(row["override"])
        text = json.dumps(line, sort_keys=True, ensure_ascii=True, separators=(",", ":"))
        last = hashlib.sha256(f"{last}\n{text}".encode()).hexdigest()
        op.execute(moves.update().where(moves.c.id == row["id"]).values(link=last))


def _column(name: str) -> sa.ColumnClause:
    return sa.column(name, TIME) if name == "moved_at" else sa.column(name)


def _utc(moment: datetime) -> datetime:
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def upgrade() -> None:
    """Forward."""
    op.create_table(
        "slots",
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("family", sa.String(length=20), nullable=False),
        sa.Column("cause", sa.String(length=10), nullable=False),
        sa.Column("actor", sa.String(length=100), nullable=False),
        sa.Column("due_at", TIME, nullable=False),
        sa.Column("attempts", sa.Integer(), server_default="0", nullable=False),
        sa.Column("run_id", ID, nullable=True),
        sa.CheckConstraint("cause IN ('clock', 'volume', 'asked')", name=op.f("ck_slots_cause")),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name=op.f("fk_slots_run_id_runs")),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_slots")),
    )
    with op.batch_alter_table("slots", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_slots_due_at"), ["due_at"], unique=False)

    op.create_table(
        "events",
        sa.Column("id", ID, nullable=False),
        sa.Column("kind", sa.String(length=40), nullable=False),
        sa.Column("body", sa.JSON(), nullable=False),
        sa.Column("happened_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_events")),
        sqlite_autoincrement=True,
    )

    op.create_table(
        "hooks",
        sa.Column("id", ID, nullable=False),
        sa.Column("url", sa.String(length=500), nullable=False),
        sa.Column("secret", sa.String(length=100), nullable=False),
        sa.Column("kinds", sa.JSON(), nullable=False),
        sa.Column("since", sa.BigInteger(), nullable=False),
        sa.Column("actor", sa.String(length=100), nullable=False),
        sa.Column("added_at", TIME, nullable=False),
        sa.Column("removed_at", TIME, nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_hooks")),
        sqlite_autoincrement=True,
    )

    op.create_table(
        "deliveries",
        sa.Column("id", ID, nullable=False),
        sa.Column("event_id", ID, nullable=False),
        sa.Column("hook_id", ID, nullable=False),
        sa.Column("status", sa.String(length=10), nullable=False),
        sa.Column("attempts", sa.Integer(), server_default="0", nullable=False),
        sa.Column("next_at", TIME, nullable=False),
        sa.Column("answer", sa.String(length=200), nullable=True),
        sa.Column("tried_at", TIME, nullable=True),
        sa.CheckConstraint("status IN ('waiting', 'delivered', 'given-up')", name=op.f("ck_deliveries_status")),
        sa.ForeignKeyConstraint(["event_id"], ["events.id"], name=op.f("fk_deliveries_event_id_events")),
        sa.ForeignKeyConstraint(["hook_id"], ["hooks.id"], name=op.f("fk_deliveries_hook_id_hooks")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_deliveries")),
        sa.UniqueConstraint("event_id", "hook_id", name=op.f("uq_deliveries_event_id_hook_id")),
        sqlite_autoincrement=True,
    )
    with op.batch_alter_table("deliveries", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_deliveries_status_next_at"), ["status", "next_at"], unique=False)

    op.create_table(
        "beats",
        sa.Column("holder", sa.String(length=200), nullable=False),
        sa.Column("what", sa.String(length=20), nullable=False),
        sa.Column("beat_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("holder", "what", name=op.f("pk_beats")),
    )
    op.add_column("runs", sa.Column("slot", sa.String(length=100), nullable=True))
    op.add_column("runs", sa.Column("step", sa.String(length=100), nullable=True))
    op.add_column("runs", sa.Column("done", sa.Integer(), server_default="0", nullable=False))
    op.add_column("runs", sa.Column("total", sa.Integer(), server_default="0", nullable=False))
    op.create_index(op.f("ix_runs_slot"), "runs", ["slot"])
    op.add_column("moves", sa.Column("link", sa.String(length=64), server_default="", nullable=False))
    with _unlocked():
        _chain()


def downgrade() -> None:
    """Back; indexes go with their tables. Columns are dropped in place: a copied table would lose its triggers."""
    op.drop_column("moves", "link")
    op.drop_index(op.f("ix_runs_slot"), "runs")
    for column in ("total", "done", "step", "slot"):
        op.drop_column("runs", column)
    for table in ("beats", "deliveries", "hooks", "events", "slots"):
        op.drop_table(table)
