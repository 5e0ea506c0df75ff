"""``loop export``: the stored uploads as files for study elsewhere."""

from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, TypeVar

import typer

from loop.cli.output import Json, emit, open_home, say
from loop.errors import BadSettings
from loop.operations import export as exporting
from loop.store.asking.values import Arm
from loop.store.feedback.exported import Filter
from loop.store.values import Kind, Status

ANY = "any"
Word = TypeVar("Word", Status, Kind, Arm)


def export(
    target: Annotated[Path, typer.Argument(help="File to write; for IDX, the beginning of two files' names.")],
    form: Annotated[str, typer.Option("--format", help="idx, npz or parquet.")] = "npz",
    status: Annotated[list[str] | None, typer.Option(help="Only these statuses; default: accepted. any: all.")] = None,
    kind: Annotated[list[str] | None, typer.Option(help="Only these kinds, such as drawing or correction.")] = None,
    arm: Annotated[list[str] | None, typer.Option(help="Only answers to questions of these arms.")] = None,
    version: Annotated[int | None, typer.Option(min=1, help="Only uploads about this version of the model.")] = None,
    since: Annotated[str | None, typer.Option(metavar="DATE", help="Only uploads from this UTC day on.")] = None,
    until: Annotated[str | None, typer.Option(metavar="DATE", help="Only uploads until the end of this day.")] = None,
    with_sources: Annotated[bool, typer.Option("--with-sources", help="Also the pseudonyms of sources.")] = False,
    as_json: Json = False,
) -> None:
    """Export stored uploads with their pictures: IDX, npz or Parquet.

    Pseudonyms are left out unless you ask for them. Nothing says which sources teach and which judge.
    """
    statuses = ["accepted"] if not status else [] if status == [ANY] else status
    last = _day("until", until)
    wanted = Filter(
        tuple(_one(Status, "status", each) for each in statuses),
        tuple(_one(Kind, "kind", each) for each in kind or []),
        tuple(_one(Arm, "arm", each) for each in arm or []),
        version,
        _day("since", since),
        None if last is None else last + timedelta(days=1),
    )
    done = exporting.export(open_home(), target, form, wanted, with_sources=with_sources)
    if as_json:
        emit(asdict(done))
        return
    for file in done.files:
        say(str(file))
    say(f"{done.uploads:,} uploads, {done.labelled:,} with a label")


def _one(values: type[Word], name: str, text: str) -> Word:
    try:
        return values(text)
    except ValueError:
        raise BadSettings(f"{name}: expected one of {', '.join(values)}, got {text[:40]!r}; correct it") from None


def _day(name: str, text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        return datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC)
    except ValueError:
        raise BadSettings(f"{name}: expected a date such as 2026-05-03, got {text[:40]!r}; correct it") from None
