"""``loop demo``: the loop on one screen."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from loop.cli import demonstration, feedback, nights, versions
from loop.cli.demonstration import Shown
from loop.cli.output import errors, progress, say
from loop.data import handwriting
from loop.home import settings
from loop.night import retrain

Writers = Annotated[
    list[Path] | None,
    typer.Option("--writers", help="A person each: folder or zip of <digit>/*.png. Default: scikit-learn's digits."),
]

More = Annotated[list[Path] | None, typer.Argument(metavar="[PATH]…", help="More people, after --writers.")]


def demo(
    more: More = None,
    writers: Writers = None,
    mnist: Annotated[Path | None, typer.Option(help="MNIST's IDX files or mnist.npz. Default: LOOP_MNIST.")] = None,
    confirm_rate: Annotated[float, typer.Option(min=0, max=1, help="Share of right answers that are confirmed.")] = 0.3,
) -> None:
    """Run the whole loop once, on real handwriting of people the base has never met.

    Makes a scratch home under LOOP_HOME/demo, registers the base, lets people write, runs one night, and shows what
    changed. Takes a minute or two.
    """
    loaded = settings.load(mnist=mnist)
    writers = [*(writers or ()), *(more or ())]
    made = demonstration.prepare(loaded, say=lambda text: errors.print(text, soft_wrap=True))
    people = handwriting.people(writers) if writers else handwriting.bundled(unseen=made.corpus == "digits")
    if not writers:
        errors.print("Handwriting: scikit-learn's digits, a person for each form that was filled in.")
    with progress() as report:
        home = demonstration.create_base(made, people, report)
        replayed = demonstration.play(home, people, confirm_rate, report)
    feedback.people_table(replayed)
    with progress() as report:
        done = retrain.run(home, demonstration.FAMILY, progress=report)
    shown = demonstration.draw(home, done, replayed)
    nights.tell(home, done)
    versions.listing(versions.documents(home))
    _files(shown)


def _files(shown: Shown) -> None:
    say(f"{shown.fixed} digits that the champion got wrong are right now")
    say(f"contact sheet   {shown.sheet}\nconfusions      {shown.confusion}")
    say(f"go on with      LOOP_HOME={shown.home.settings.home} {sys.argv[0]} history")
