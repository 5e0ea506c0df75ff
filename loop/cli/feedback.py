"""``loop import`` and ``loop replay``: store labelled handwriting."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from loop import intake
from loop.cli.output import FamilyName, Json, console, emit, open_home, percent, print_table, progress, say, table
from loop.cli.reading_options import ReadAs, print_preparations
from loop.cli.setup import known_family
from loop.clock import utc_now
from loop.data import convention_check, handwriting, reading_options
from loop.errors import BadImage, ClientError
from loop.intake import replay as replaying
from loop.intake.replay import Replayed
from loop.store.values import Role
from models.family import Progress

MAX_REASONS = 20  # distinct reasons that are printed
Paths = Annotated[
    list[Path],
    typer.Argument(
        help="Folders or zips of <digit>/*.png, IDX files or a zip of them, .npz, CSV, optdigits, Semeion.",
        show_default=False,
    ),
]


def import_(
    paths: Paths,
    source: Annotated[str, typer.Option(help="Pseudonymous id of the person that wrote these digits.")],
    as_json: Json = False,
    read_as: ReadAs = "",
) -> None:
    """Store labelled handwriting as corrections of one source.

    Prints how many were accepted, were stored before, and were refused, with reasons. Fails only if every picture was
    refused.
    """
    home = open_home()
    refused: Counter[str] = Counter()
    preparations: Counter[str] = Counter()
    people = [person for path in paths for person in checked_people([path], read_as)]
    with progress(quiet=as_json) as report:
        uploads = _uploads(people, source, refused, preparations, report)
        answers = intake.accept_many(home.store, uploads, home.settings.holdout_share, utc_now(), vouched=True)
    refused.update(str(answer) for answer in answers if isinstance(answer, ClientError))
    receipts = [answer for answer in answers if isinstance(answer, intake.Receipt)]
    duplicates = sum(receipt.duplicate for receipt in receipts)
    counts = {"accepted": len(receipts) - duplicates, "duplicate": duplicates, "refused": sum(refused.values())}
    if as_json:
        emit({"source": source, **counts, "reasons": dict(refused), "preparations": dict(preparations)})
    else:
        console.print(", ".join(f"{count} {name}" for name, count in counts.items()))
        for reason, count in refused.most_common(MAX_REASONS):
            say(f"  {count} × {reason}")
        print_preparations(preparations)
    if not receipts:
        raise BadImage("no picture was accepted; expected labelled pictures, <digit>/*.png")


def checked_people(paths: list[Path], read_as: str) -> list[handwriting.Person]:
    """Return the people at ``paths``. Raises BadImage if a set fails ``convention_check``; ``--as given`` skips it."""
    people = handwriting.people(paths, read_as)
    for person in people if read_as != reading_options.GIVEN else ():
        convention_check.check(person.name, person.samples())
    return people


def _uploads(
    people: list[handwriting.Person],
    source: str,
    refused: Counter[str],
    preparations: Counter[str],
    report: Progress,
) -> Iterator[intake.Upload]:
    """Read the pictures lazily, one at a time; count refusals by their reason and digits by their preparation."""
    for number, person in enumerate(people, start=1):
        for sample in person.samples():
            try:
                digit = sample.digit()
            except BadImage as error:
                refused[str(error)] += 1
                continue
            preparations[digit.preparation] += 1
            yield intake.Upload(source, digit, sample.label)
        report("read and store", number, len(people))


def replay(
    paths: Paths,
    confirm_rate: Annotated[float, typer.Option(min=0, max=1, help="Share of right answers to confirm.")] = 0.1,
    family: FamilyName = "cnn",
    as_json: Json = False,
    read_as: ReadAs = "",
) -> None:
    """Send labelled handwriting through the champion, as phones would.

    Each path is one person. Wrong answers become corrections, a share of the right ones confirmations. Fails only if no
    picture could be read.
    """
    known_family(family)
    home = open_home()
    people = checked_people(paths, read_as)
    phone = replaying.phone(home, family)
    done = []
    with progress(quiet=as_json) as report:
        for number, person in enumerate(people, start=1):
            done.append(replaying.replay(home, phone, person, confirm_rate, utc_now()))
            report("people write", number, len(people))
    if as_json:
        emit([asdict(one) | {"accuracy": one.accuracy} for one in done])
    else:
        people_table(done)
    if not any(one.read for one in done):
        raise BadImage("no picture was read; expected labelled pictures, <digit>/*.png")


def people_table(done: Sequence[Replayed]) -> None:
    """Print each person's role, the champion's accuracy on their digits, and the number of uploads."""
    shown = table(
        "People write, the champion reads", "person", "role", ">read", ">right", ">wrong", ">stored", ">known"
    )
    for one in done:
        role = "–" if one.role is None else "judge" if one.role is Role.HOLDOUT else "teach"
        counts = (one.read, percent(one.accuracy), one.wrong, one.stored, one.duplicates)
        shown.add_row(one.source, role, *map(str, counts))
    print_table(shown)
    for one in done:
        for reason, count in Counter(one.refused).most_common(MAX_REASONS):
            say(f"  {one.source}: {count} × {reason}")
