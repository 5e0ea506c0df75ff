"""``loop worth`` on a simulated deployment with the real network: nights of questions, answers, then the measurement.

Eleven people draw; a third of them judge. Each day each of them sends a part of the drawings; each night the loop asks
what it would ask (`ask.strategy`, 15 % by lot), and a reviewer gives the true digit. The champion stays the shipped
base. Then run the command on the home that is left:

    python -m benchmarks.worth --folder DIR [--nights 5] [--a-night 500]
    LOOP_HOME=DIR LOOP_MNIST=MNIST loop worth --minutes 20
"""

import argparse
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np

from benchmarks.unseen_writers import SHARED, Writer, read_writers
from loop import home as homes
from loop import intake, registry
from loop.asking import nightly, review
from loop.clock import utc_now
from loop.data import digits
from loop.home import Home
from loop.home.settings import load
from loop.intake import Receipt, Upload
from loop.night import retrain
from loop.store import schema
from loop.store.asking.values import Word
from loop.store.values import Kind
from models.family import no_progress

HOLD_SECONDS, AT_ONCE = 3_600, 50


def deployed(folder: Path, writers: list[Writer], nights: int, a_night: int) -> Home:
    """A home in which reviewers have answered so many nights' questions, the last when all drawings were there."""
    home = homes.at(load(home=folder, mnist=SHARED / "data" / "mnist", actor="benchmark"), migrated=False)
    schema.migrate(home.store)
    retrain.create_base(home)
    now, truth = utc_now(), dict[int, int]()
    for night in range(nights):
        moment = now + timedelta(days=night)
        for number, writer in enumerate(writers):
            part = Writer(writer.name, writer.images[night::nights], writer.labels[night::nights])
            truth |= sent(home, part, moment, judges=number % 3 == 0)
        print(nightly.ask(home, "cnn", moment, a_night, no_progress).why, flush=True)
        while found := review.hand_out(home.store, "ada", AT_ONCE, moment, HOLD_SECONDS):
            for question in found:
                if question.correction_id is not None:
                    review.answer(home.store, "ada", question.id, Word(truth[question.correction_id]), moment)
    return home


def sent(home: Home, writer: Writer, now: datetime, *, judges: bool) -> dict[int, int]:
    """Send these drawings of one person with what the champion says of them; their true digits by upload."""
    champion = registry.champion(home, "cnn")
    if champion is None:
        raise SystemExit("expected a champion, got none")
    said = home.models.get(champion.artifact_digest).probabilities(writer.images)
    second, first = np.argsort(said, axis=1)[:, -2:].T
    uploads = [
        Upload(
            writer.name,
            digits.digit(writer.images[i]),
            None,
            kind=Kind.DRAWING,
            predicted=int(first[i]),
            confidence=float(said[i, first[i]]),
            runner_up=int(second[i]),
            runner_up_confidence=float(said[i, second[i]]),
            rate=1.0,
        )
        for i in range(len(writer.labels))
    ]
    answers = intake.accept_many(home.store, uploads, 1.0 if judges else 0.0, now, vouched=True)
    receipts = [each for each in answers if isinstance(each, Receipt)]
    if len(receipts) != len(uploads):
        raise SystemExit(f"expected {len(uploads)} receipts, got {answers}")
    return {each.id: int(label) for each, label in zip(receipts, writer.labels, strict=True)}


def main() -> None:
    """Leave the home."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--nights", type=int, default=5)
    parser.add_argument("--a-night", type=int, default=500)
    options = parser.parse_args()
    deployed(options.folder, read_writers(), options.nights, options.a_night).store.close()


if __name__ == "__main__":
    main()
