"""The ids that the database gives to new rows: read, and raised past those given elsewhere; never lowered."""

from sqlalchemy import Table, func, select, text
from sqlalchemy.orm import Session

from loop.store.tables import Base


def numbered() -> list[Table]:
    """The tables whose ids the database gives."""
    return [table for table in Base.metadata.sorted_tables if table.autoincrement_column is not None]


def last(tx: Session) -> dict[str, int]:
    """The last id given, by table; 0 if none was."""
    if _sqlite(tx):
        given = {str(name): int(seq) for name, seq in tx.execute(text("SELECT name, seq FROM sqlite_sequence"))}
        return {table.name: given.get(table.name, 0) for table in numbered()}
    found = "SELECT pg_sequence_last_value(pg_get_serial_sequence(:table, :column)::regclass)"
    return {table.name: tx.scalar(text(found), _named(table)) or 0 for table in numbered()}


def raise_to(tx: Session, wanted: dict[str, int]) -> None:
    """Make the next id of each table higher than ``wanted``, than any id given, and than any id in the table."""
    given = last(tx)
    for table in numbered():
        there = tx.scalar(select(func.max(table.autoincrement_column))) or 0
        number = max(given[table.name], wanted.get(table.name, 0), there)
        if number == 0:
            continue
        if _sqlite(tx):
            tx.execute(text("DELETE FROM sqlite_sequence WHERE name = :table"), {"table": table.name})
            tx.execute(text("INSERT INTO sqlite_sequence VALUES (:table, :n)"), {"table": table.name, "n": number})
        else:
            tx.execute(
                text("SELECT setval(pg_get_serial_sequence(:table, :column), :n)"), _named(table) | {"n": number}
            )


def _named(table: Table) -> dict[str, object]:
    column = table.autoincrement_column
    return {"table": table.name, "column": None if column is None else column.name}


def _sqlite(tx: Session) -> bool:
    return tx.get_bind().dialect.name == "sqlite"
