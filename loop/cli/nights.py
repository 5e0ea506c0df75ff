"""``loop retrain``: one night, by hand or for a slot. ``loop gate-power``: the error rates of its gate."""

from dataclasses import asdict
from typing import Annotated, Any

import typer

from loop.asking import upkeep as asking
from loop.asking.nightly import Asked
from loop.cli import verdicts
from loop.cli.output import FamilyName, Json, emit, open_home, progress, say
from loop.cli.setup import known_family
from loop.clock import utc_now
from loop.errors import RunInProgress, SlotTaken, StoreUnavailable
from loop.evaluation import gate, power, scoring
from loop.home import Home, logs
from loop.home.settings import load
from loop.night import publishing
from loop.night import retrain as nightly
from loop.night.choosing import Without
from loop.night.retrain import Night
from loop.schedule import night_process
from loop.store.feedback import trust
from loop.store.nights import slots


def retrain(
    family: FamilyName = "cnn",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Train and judge, but register nothing.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Run even if there are too few new corrections.")] = False,
    without: Annotated[
        list[str] | None, typer.Option("--without", help="Leave this source out of the lesson; may be repeated.")
    ] = None,
    without_quarantined: Annotated[
        bool, typer.Option("--without-quarantined", help="Leave out sources with quarantined or rejected uploads.")
    ] = False,
    slot: Annotated[str | None, typer.Option(help="Run the night of this slot; schedulers use this option.")] = None,
    as_json: Json = False,
) -> None:
    """Run one night now: snapshot, fine-tune, export, evaluate, judge, publish.

    A night with too few new corrections is skipped, and a refused challenger is registered with its verdict; neither is
    an error. --without and --without-quarantined imply --force: the lesson is another one, however little is new.
    """
    known_family(family)
    home = open_home()
    leaving_out = Without(frozenset(without or ()), quarantined=without_quarantined)
    if slot is not None:
        if dry_run or force or as_json or not leaving_out.nobody:
            raise typer.BadParameter(
                "--slot excludes all other options but --family: a slot is a whole night, and its output is a log"
            )
        _take(home, slot)
        return
    with home.store.read() as tx:
        for name in without or ():
            trust.get(tx, name)  # a misspelt name must not mean that everybody teaches
    force = force or not leaving_out.nobody
    with progress(quiet=as_json) as report:
        done = nightly.run(home, family, dry_run=dry_run, force=force, without=leaving_out, progress=report)
        asked = None if dry_run else asking.follow(home, family, utc_now())
    if as_json:
        emit(document(home, done) | {"asked": None if asked is None else asdict(asked)})
    else:
        show(home, done)
        _show_questions(asked)


def _take(home: Home, slot: str) -> None:
    """The night of a slot, as a log. The exit status asks the scheduler to try later if only the moment was wrong."""
    logs.begin(home.settings)
    try:
        with home.store.read() as tx:
            family = slots.get(tx, slot).family
        show(home, nightly.run(home, family, slot=slot))
        _show_questions(asking.follow(home, family, utc_now()))
    except (RunInProgress, SlotTaken, StoreUnavailable) as error:
        say(str(error))
        raise typer.Exit(night_process.EXIT_TRY_LATER) from None


def gate_power(
    repetitions: Annotated[int, typer.Option(min=10, help="Simulated nights per cell of the table.")] = 1000,
    seed: Annotated[int, typer.Option(help="Seed of the simulation.")] = 0,
    as_json: Json = False,
) -> None:
    """Simulate the gate's error rates for each amount of feedback.

    The table says how often the gate passes an equal model, refuses a worse one and detects a better one.
    """
    policy = load().gate
    with progress(quiet=as_json) as report:
        simulated = power.simulate(policy, seed, repetitions, progress=report)
    if as_json:
        emit(asdict(simulated))
    else:
        say(simulated.markdown())


def _show_questions(asked: Asked | None) -> None:
    if asked is not None and asked.scored:
        say(f"questions: {asked.why}")


def document(home: Home, done: Night) -> dict[str, Any]:
    """A night as the JSON that ``loop retrain --json`` prints."""
    version, judged = done.version, done.judged
    return {
        "run": done.run,
        "status": done.status,
        "reason": done.reason,
        "version": None if version is None else version.number,
        "promoted": version is not None and publishing.promoted(home, version),
        "verdict": None if judged is None else judged.outcome,
        "verdicts": {} if judged is None else {name: gate.as_json(each) for name, each in judged.verdicts.items()},
        "lesson": None if done.makeup is None else asdict(done.makeup),
        "jury": None if judged is None else dict(judged.jury),
        "accuracy": {}
        if judged is None
        else {
            "before": None if judged.before is None else scoring.summary(judged.before),
            "after": scoring.summary(judged.after),
        },
        "artifact": None
        if version is None
        else {
            "path": str(home.artifacts.path(version.artifact_digest, ".mlmodel").absolute()),
            "sha256": version.artifact_digest,
            "bytes": version.artifact_bytes,
        },
        "seconds": dict(done.seconds),
    }


def show(home: Home, done: Night) -> None:
    """Print a night: its status, accuracies, verdicts and version."""
    outcome = document(home, done)
    say(f"run {done.run}: {done.status}{f' – {done.reason}' if done.reason else ''}", "bold")
    if done.makeup is not None:
        say(f"lesson: {done.makeup.text}")
    if done.judged is None:
        return
    verdicts.before_and_after(outcome["accuracy"]["before"], outcome["accuracy"]["after"])
    for question, each in outcome["verdicts"].items():
        verdicts.verdict(question, each["outcome"], each["reasons"])
    say(f"jury: {done.judged.jury['text']}")
    if done.version is not None:
        state = "champion" if outcome["promoted"] else "registered, not promoted"
        say(f"version {done.version.number}: {state}\n{outcome['artifact']['path']}")
