"""``loop import`` and ``loop replay``: labelled handwriting into the store."""

from collections import Counter
from pathlib import Path
from typing import Annotated

import typer

from loop import handwriting, intake, lease
from loop.cli.output import Json, console, emit, open_home
from loop.errors import ClientError

Paths = Annotated[
    list[Path], typer.Argument(help="Folders or zips of <digit>/*.png, or IDX files.", show_default=False)
]


def import_(
    paths: Paths,
    source: Annotated[str, typer.Option(help="Whose hand this is: one pseudonymous id.")],
    as_json: Json = False,
) -> None:
    """Store labelled handwriting as corrections of one source.

    Prints what was accepted, what was there already, and what was refused and why. Fails only if nothing was taken.
    """
    home = open_home()
    refused: Counter[str] = Counter()
    uploads: list[intake.Upload] = []
    for person in handwriting.people(paths):
        for sample in person.samples():
            if sample.reason is not None:
                refused[sample.reason] += 1
            else:
                uploads.append(intake.Upload(source, sample.data, sample.label))
    answers = intake.accept_many(home.store, uploads, home.settings.holdout_share, lease.utc_now())
    refused.update(str(answer) for answer in answers if isinstance(answer, ClientError))
    receipts = [answer for answer in answers if isinstance(answer, intake.Receipt)]
    duplicates = sum(receipt.duplicate for receipt in receipts)
    counts = {"accepted": len(receipts) - duplicates, "duplicate": duplicates, "refused": sum(refused.values())}
    if as_json:
        emit({"source": source, **counts, "reasons": dict(refused)})
    else:
        console.print(", ".join(f"{count} {name}" for name, count in counts.items()))
        for reason, count in refused.most_common(20):
            console.print(f"  {count} × {reason}", markup=False)
    if not receipts:
        raise typer.Exit(1)
