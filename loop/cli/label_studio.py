"""``loop review export`` and ``loop review import``: the queue in Label Studio's JSON."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from loop import durable
from loop.asking import label_studio
from loop.cli.output import Json, emit, open_home, say
from loop.clock import utc_now
from loop.errors import BadField, BadSettings

MAX_BYTES = 512 * 2**20


def export(
    path: Annotated[Path, typer.Argument(help="File to write: a JSON list of tasks.", show_default=False)],
    most: Annotated[int, typer.Option(min=1, max=1_000_000, help="At most so many questions, oldest first.")] = 10_000,
    guesses: Annotated[
        bool, typer.Option("--with-guesses", help="With what phones' models read: answers will lean to it.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Write the open questions as Label Studio's tasks.

    The labelling configuration for the project is written beside it, as FILE.xml. The questions stay open: others may
    answer them meanwhile.
    """
    found = label_studio.tasks(open_home().store, most, guesses)
    config = path.with_suffix(".xml")
    try:
        durable.write_whole(path, json.dumps(found, ensure_ascii=False).encode())
        durable.write_whole(config, label_studio.CONFIG.encode() + b"\n")
    except OSError as error:
        raise BadSettings(
            f"{path}: expected a file that can be written, got {error.strerror}; choose another"
        ) from error
    if as_json:
        emit({"tasks": len(found), "file": str(path), "config": str(config)})
        return
    say(f"{len(found):,} questions in {path}; the labelling configuration is in {config}")


def import_(
    path: Annotated[Path, typer.Argument(help="Label Studio's export, as JSON.", show_default=False)],
    skip_unknown: Annotated[
        bool, typer.Option("--skip-unknown", help="Leave out tasks of questions that were erased after the export.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Store the annotations of Label Studio's export as answers: all of them, or after an error none.

    An annotator becomes the reviewer `label-studio: NAME`. Importing a file twice changes nothing.
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            raise BadField(f"{path}: expected at most {MAX_BYTES // 2**20} MiB, got more; export fewer tasks at once")
        document = json.loads(path.read_bytes())
    except OSError as error:
        raise BadField(f"{path}: expected a file that can be read, got {error.strerror}; correct the path") from error
    except (ValueError, RecursionError) as error:
        raise BadField(f"{path}: expected JSON, got something else; export as JSON from Label Studio") from error
    done = label_studio.answers(open_home().store, document, utc_now(), skip_unknown)
    if as_json:
        emit(asdict(done))
        return
    say(f"{done.answers:,} answers stored, {done.skips:,} skipped, {done.repeated:,} stored before", "bold")
    if done.not_needed:
        say(f"{done.not_needed:,} not needed: their questions are closed")
    if done.held:
        say(f"{done.held:,} held: other reviewers are answering their questions now; import the file again later")
    if done.unknown:
        say(f"{len(done.unknown):,} left out: this store does not have their questions")
    for each in done.unknown:
        say(f"  {each.task}: question {each.question}")
    for reviewer, n in done.reviewers.items():
        say(f"{reviewer}: {n:,}")
