"""``loop demo``: the whole loop once, ending with a better model on a phone."""

import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from loop.cli import demo_phone, demonstration, feedback, nights, slashed_zeros, versions
from loop.cli.demonstration import PhoneReads
from loop.cli.output import errors, line, progress
from loop.data import handwriting
from loop.evaluation.gate import FEEDBACK
from loop.feed.client import Synced
from loop.home import settings
from loop.intake.replay import Replayed
from loop.night import retrain
from loop.night.retrain import Night

NAME_COLUMNS = 13

Writers = Annotated[
    list[Path] | None,
    typer.Option(
        "--writers", help="One person each: a folder or zip of <digit>/*.png. Default: scikit-learn's digits."
    ),
]

More = Annotated[list[Path] | None, typer.Argument(metavar="[PATH]…", help="More people, after --writers.")]


def demo(
    more: More = None,
    writers: Writers = None,
    mnist: Annotated[Path | None, typer.Option(help="MNIST's IDX files or mnist.npz. Default: LOOP_MNIST.")] = None,
    confirm_rate: Annotated[float, typer.Option(min=0, max=1, help="Share of right answers that people confirm.")] = 1,
) -> None:
    """Run the whole loop once on real handwriting, from corrections to a better phone.

    Creates a scratch home under LOOP_HOME/demo. People write, and correct what the phone misread; a night trains and
    judges a new version; the signed feed brings it to the phone; a rollback takes it back. Takes about two minutes.
    """
    loaded = settings.load(mnist=mnist)
    paths = [*(writers or ()), *(more or ())]
    made = demonstration.prepare(loaded, say=lambda text: errors.print(text, soft_wrap=True))
    people = handwriting.people(paths) if paths else slashed_zeros.people(unseen=made.corpus == "digits")
    if not paths:
        errors.print(slashed_zeros.DESCRIPTION, soft_wrap=True)
    errors.print(demonstration.VOUCHED, soft_wrap=True)
    with progress() as report:
        home = demonstration.create_base(made, people, report)
        phone = demo_phone.begin(home, demonstration.FAMILY)
        installed = phone.sync()
        replayed = demonstration.play(home, people, confirm_rate, report)
        judged = demonstration.judged_digits(home)
        before = phone.read(installed, judged.images)
    feedback.people_table(replayed)
    with progress() as report:
        done = retrain.run(home, demonstration.FAMILY, progress=report)
    nights.show(home, done)
    versions.listing(versions.documents(home))
    updated = phone.sync()
    reads = demonstration.compare(home, judged, before, phone.read(updated, judged.images))
    _corrections(replayed)
    _night(done)
    _phone(installed, updated, reads)
    if updated.current != installed.current:
        _rollback(*demonstration.there_and_back(home, phone))
    _line("pictures", *map(str, reads.pictures))
    _line("next", f"LOOP_HOME={home.settings.home} {_command()} status")


def _command() -> str:
    """How this process was started: the installed command, or the module."""
    return f"{sys.executable} -m loop" if sys.argv[0].endswith("__main__.py") else sys.argv[0]


def _corrections(replayed: tuple[Replayed, ...]) -> None:
    read, wrong = sum(one.read for one in replayed), sum(one.wrong for one in replayed)
    stored = sum(one.stored for one in replayed)
    _line("corrections", f"{len(replayed)} people wrote {read:,} digits; {wrong:,} were misread; {stored:,} uploads")


def _night(done: Night) -> None:
    judged = done.judged
    if judged is None or judged.before is None:
        _line("night", f"{done.status}: {done.reason}")
        return
    before, after = judged.before.on(FEEDBACK), judged.after.on(FEEDBACK)
    if before is not None and after is not None:
        change = f"{100 * before.accuracy:.1f} % → {100 * after.accuracy:.1f} % on people who never teach"
        _line("night", f"the gate's verdict is {judged.outcome}: {change}")


def _phone(installed: Synced, updated: Synced, reads: PhoneReads) -> None:
    number = "none" if updated.current is None else updated.current.version
    if updated.current == installed.current:
        _line("phone", f"keeps version {number}, since no better version was promoted")
        return
    again = f"it now reads {reads.fixed} of the {reads.wrong_before} digits that it misread"
    wrong = f"{reads.wrong_after} of {reads.n:,} are still wrong"
    _line("phone", f"installed version {number} from the signed feed: {again}; {wrong}")


def _rollback(back: Synced, again: Synced) -> None:
    first, second = (held.version for held in (back.current, again.current) if held is not None)
    _line("rollback", f"the phone followed to version {first}; after a new promotion it runs version {second} again")


def _line(name: str, *texts: str) -> None:
    line(name, *map(Text, texts), width=NAME_COLUMNS)
