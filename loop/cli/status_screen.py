"""``loop status``: one screen of eighty columns."""

from dataclasses import asdict
from datetime import datetime, timedelta

from rich.text import Text

from loop.cli.findings import as_row
from loop.cli.output import Json, emit, line, open_home, percent, when
from loop.clock import utc_now
from loop.operations.finding import Severity
from loop.operations.status import Champion, Standing, look
from loop.store import values
from loop.store.values import RunStatus

GIB = 1 << 30
COLOURS = {RunStatus.FINISHED: "green", RunStatus.SKIPPED: "yellow", RunStatus.FAILED: "bold red"}


def status(as_json: Json = False) -> None:
    """Show champions, nights, queues, feed, disk space and warnings."""
    standing = look(open_home(), utc_now())
    if as_json:
        emit(asdict(standing) | {"warnings": [as_row(each) for each in standing.warnings]})
    else:
        show(standing)


def show(standing: Standing) -> None:
    """Print it."""
    for champion in standing.champions:
        line("champion", *_champion(champion))
    if not standing.champions:
        line("champion", Text("none; `loop init` creates the first", "yellow"))
    if standing.under_way is not None:
        line("running", _under_way(standing.under_way, standing.at))
    line("last night", *_last(standing.last, standing.at))
    line("next night", _next(standing))
    counts = ", ".join(f"{n:,} {name}" for name, n in sorted(standing.uploads.items())) or "none"
    line("uploads", Text(f"{counts} since the last night that taught"), Text(_enough(standing)))
    line("jury", Text(standing.jury_text))
    if standing.worth is not None or standing.questions_a_day != standing.ask_per_day:
        line("asking", *_asking(standing))
    if standing.quarantined:
        line("held back", Text(f"{standing.quarantined:,} uploads wait for a reviewer: `loop quarantine`", "yellow"))
    if standing.corpus == "digits":
        line("corpus", Text("scikit-learn's 1,797 digits instead of MNIST: for demonstrations only", "yellow"))
    line("waiting", Text(f"{standing.arrivals:,} to be scored, {standing.deliveries:,} webhook deliveries"))
    line("feed", _feed(standing))
    line("disk", Text(f"{standing.disk_free / GIB:,.1f} GiB free"))
    for each in standing.warnings:
        colour = "bold red" if each.severity is Severity.BROKEN else "yellow"
        line(f"! {each.check}", Text(each.actual, colour), Text(each.fix, "cyan"))
    if not standing.warnings:
        line("warnings", Text("none; `loop doctor` checks more", "green"))


def _enough(standing: Standing) -> str:
    """How many new uploads the next night can teach; the others only judge."""
    return f"{standing.to_teach:,} of them teach; a night needs {standing.min_new:,}"


def _asking(standing: Standing) -> tuple[Text, ...]:
    """What asking was worth, and whether it asks less than it may."""
    lines = []
    if standing.worth is not None:
        lines.append(Text(f"{standing.worth['text']} ({standing.worth['at'][:10]})"))
    if standing.questions_a_day != standing.ask_per_day:
        lines.append(Text(f"{standing.questions_a_day:,} questions a day of {standing.ask_per_day:,}: `loop ask`"))
    return tuple(lines)


def _champion(each: Champion) -> tuple[Text, ...]:
    colour = {"passed": "green", "failed": "bold red"}.get(each.verdict, "yellow")
    head = Text(f"{each.family} version {each.version} ") + Text(each.verdict, colour)
    accuracy = ", ".join(f"{percent(share)} on {name}" for name, share in each.accuracy.items())
    lines = [head + Text(f", since {when(each.since)}")] + ([Text(accuracy)] if accuracy else [])
    if each.live is not None:
        interval = f"{percent(each.live.low)} to {percent(each.live.high)}, n={each.live.n:,}"
        lines.append(Text(f"{percent(each.live.accuracy)} on phones ({interval})"))
    return tuple(lines)


def _under_way(run: values.Run, now: datetime) -> Text:
    step = f", {run.step} {run.done} of {run.total}" if run.step else ""
    return Text(f"run {run.id} ({run.family}, {run.kind}) for {_ago(now - run.started_at)}{step}", "cyan")


def _last(run: values.Run | None, now: datetime) -> tuple[Text, ...]:
    if run is None:
        return (Text("none yet"),)
    head = Text(f"run {run.id} ") + Text(run.status, COLOURS.get(run.status, ""))
    version = f", version {run.reserved}" if run.reserved and run.status is RunStatus.FINISHED else ""
    head += Text(f"{version}, {_ago(now - run.started_at)} ago ({when(run.started_at)})")
    return (head, Text(run.reason, "dim")) if run.reason else (head,)


def _next(standing: Standing) -> Text:
    if standing.paused is not None:
        paused = standing.paused
        return Text(f"paused by {paused.actor} since {when(paused.since)}: {paused.reason}", "yellow")
    if standing.next_due is None:
        return Text("never: schedule.cron is not a cron expression", "bold red")
    return Text(f"in {_ago(standing.next_due - standing.at)} ({when(standing.next_due)})")


def _feed(standing: Standing) -> Text:
    if standing.feed is None:
        return Text("not published", "yellow")
    left = standing.feed.expires - standing.at
    if left <= timedelta():
        return Text(f"sequence {standing.feed.sequence}, expired {_ago(-left)} ago", "bold red")
    return Text(f"sequence {standing.feed.sequence}, expires in {_ago(left)} ({when(standing.feed.expires)})")


def _ago(span: timedelta) -> str:
    """A duration in its largest unit."""
    minutes = span.total_seconds() / 60
    if minutes < 2:
        return f"{span.total_seconds():.0f} s"
    if minutes < 120:
        return f"{minutes:.0f} min"
    return f"{minutes / 60:.0f} h" if minutes < 48 * 60 else f"{minutes / 1440:.0f} days"
