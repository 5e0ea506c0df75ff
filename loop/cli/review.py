"""``loop review``: answer questions in the terminal. ``loop ask``: ask the next questions now."""

from dataclasses import asdict, dataclass, field
from typing import Annotated

import numpy as np
import typer

from loop.asking import announcing, nightly, pacing, quality, review
from loop.asking.quality import Quality
from loop.cli import label_studio
from loop.cli.output import FamilyName, Json, console, emit, open_home, print_table, progress, say, table
from loop.cli.setup import known_family
from loop.cli.terminal_digit import drawn
from loop.clock import utc_now
from loop.errors import AlreadyAnswered, BadSettings, NothingToUndo, QuestionClosed, UnknownQuestion
from loop.feed.asking import AskingPolicy
from loop.feed.document import MILLION
from loop.home import Home
from loop.store.asking import policies, questions, unanswered
from loop.store.asking.policies import SetPolicy
from loop.store.asking.values import Flag, Question, QuestionStatus, Word

AHEAD = 5
"""Questions that are fetched at once, so that an answer needs no wait."""
FLAGS = {"n": Flag.NOT_A_DIGIT, "u": Flag.UNREADABLE, "t": Flag.TWO_DIGITS}
KEYS = "0-9 answers · s skips · n not a digit · u unreadable · t two digits · z undoes · q ends"

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode="rich")
Reviewer = Annotated[str | None, typer.Option("--as", help="Name of the reviewer; default: the actor of the settings.")]


@dataclass
class Session:
    """One reviewer at one terminal: what was fetched and not answered yet, and how much was answered."""

    home: Home
    reviewer: str
    fetched: list[Question] = field(default_factory=list)
    answered: int = 0

    def next(self) -> Question | None:
        """The next question; None if there is none."""
        rules = self.home.settings.review
        if not self.fetched:
            self.fetched = review.hand_out(
                self.home.store, self.reviewer, AHEAD, utc_now(), rules.hold_seconds, rules.gold_every
            )
        return self.fetched[0] if self.fetched else None

    def answer(self, question: Question, word: Word, seconds: float) -> str:
        """Answer a question; what became of it, in words."""
        self.fetched = [each for each in self.fetched if each.id != question.id]
        try:
            done = review.answer(self.home.store, self.reviewer, question.id, word, utc_now(), seconds)
        except (AlreadyAnswered, QuestionClosed, UnknownQuestion) as refused:
            return str(refused)
        self.answered += 1
        guess = "" if question.predicted is None else f"; the phone's model: {question.predicted}"
        return f"{_said(word)}{guess}{' – agreed' if done.status is QuestionStatus.ANSWERED else ''}"

    def undo(self) -> str:
        """Undo the last answer; its question comes next."""
        try:
            undone = review.undo(self.home.store, self.reviewer, utc_now())
        except NothingToUndo as refused:
            return str(refused)
        self.close()
        self.fetched = []
        self.answered -= 1
        return f"undone: question {undone.question_id}"

    def close(self) -> None:
        """Give back what was fetched and not answered."""
        review.give_back(self.home.store, self.reviewer, [question.id for question in self.fetched])


@app.callback(invoke_without_command=True)
def review_(context: typer.Context, reviewer: Reviewer = None) -> None:
    """Answer questions: look at a digit, press its key.

    The model's guess is shown after the answer.
    """
    if context.invoked_subcommand is not None:
        return
    if not console.is_terminal:
        raise BadSettings("loop review: expected a terminal; use the page /review, or `loop review status --json`")
    home = open_home()
    session = Session(home, reviewer or home.actor)
    say(KEYS)
    try:
        while (question := session.next()) is not None:
            if not _ask(session, question):
                break
        else:
            say("no question is open; thank you")
    finally:
        session.close()
    say(f"{session.answered} answered")


@app.command()
def status(as_json: Json = False) -> None:
    """Count questions by arm and status; say what phones send, how reviewers answer, and how far they agree."""
    home = open_home()
    with home.store.read() as tx:
        counts, policy, team = questions.counts(tx), policies.latest(tx), quality.of_all(tx)
        stuck = unanswered.count(tx, utc_now()).stuck
    if as_json:
        rows = [{"arm": arm, "status": state, "n": n} for (arm, state), n in counts.items()]
        policy_ = None if policy is None else asdict(policy)
        emit({"questions": rows, "stuck": stuck, "policy": policy_, "team": asdict(team)})
        return
    if not counts:
        say("no question was asked yet; `loop ask` asks about the drawings that wait")
    for (arm, state), n in sorted(counts.items()):
        say(f"{arm}, {state}: {n:,}")
    if stuck:
        say(f"stuck: {stuck:,} open questions that every reviewer of the last week has answered or skipped; add one")
    _policy(policy)
    _team(team)


app.command("export")(label_studio.export)
app.command("import")(label_studio.import_)


def ask(
    family: FamilyName = "cnn",
    count: Annotated[
        int | None, typer.Option(min=0, max=100_000, help="Questions; default: up to ask.per_day.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Choose the next questions from the drawings that wait, and set the phones' policy."""
    known_family(family)
    home = open_home()
    pace = pacing.adapt(home, family, utc_now())
    with progress(quiet=as_json) as report:
        asked = nightly.ask(home, family, utc_now(), count, report)
    proposal = announcing.announce(home, utc_now(), pace)
    if as_json:
        emit(asdict(asked) | {"pace": asdict(pace), "policy": None if proposal is None else asdict(proposal)})
        return
    say(asked.why, "bold")
    say(f"{asked.random:,} by lot, {asked.asked:,} by {asked.strategy}")
    say(f"{asked.left:,} drawings wait, {asked.dropped:,} were dropped")
    for reason in pace.reasons:
        say(f"pace: {reason}")
    for reason in () if proposal is None else proposal.reasons[: -len(pace.reasons) or None]:
        say(f"policy: {reason}")


def _ask(session: Session, question: Question) -> bool:
    """Show one question and take one key; False to end."""
    pixels = np.frombuffer(question.pixels, np.uint8).reshape(28, 28)
    console.print(drawn(pixels, colours=console.color_system is not None), end="")
    shown = utc_now()
    while True:
        key = typer.getchar().lower()
        seconds = (utc_now() - shown).total_seconds()
        if key in {"q", "\x03", "\x04"}:
            return False
        if key == "z":
            say(session.undo())
            return True
        if key == "s" or key in FLAGS or (key.isascii() and key.isdigit()):
            word = Word(int(key)) if key.isdigit() else Word(flag=FLAGS.get(key))
            say(session.answer(question, word, seconds))
            return True
        say(KEYS)


def _policy(policy: SetPolicy | None) -> None:
    """Print what phones send now, and why."""
    if policy is None:
        say("no asking policy was set yet, so phones send no drawings; `loop ask` sets the first")
        return
    now = AskingPolicy(**policy.document)
    say(
        f"policy since {policy.set_at:%Y-%m-%d %H:%M} UTC: phones send {_percent(now.unsure_ppm)} of the drawings with "
        f"a margin below {now.margin_ppm / MILLION:g}, {_percent(now.other_ppm)} of the others"
    )
    for reason in policy.reasons:
        say(f"policy: {reason}")


def _percent(ppm: int) -> str:
    return f"{100 * ppm / MILLION:g} %"


def _team(team: Quality) -> None:
    """Print a table of the reviewers, and their agreement."""
    if not team.reviewers:
        return
    shown = table(
        "Reviewers", "name", ">answered", ">skipped", ">seconds each", ">known answers right", ">agreed", ">accuracy"
    )
    for each in team.reviewers:
        shown.add_row(
            each.reviewer,
            f"{each.answered:,}",
            f"{each.skipped:,}",
            "–" if each.seconds is None else f"{each.seconds:.1f}",
            f"{each.gold_right} of {each.gold}",
            f"{each.agreed} of {each.compared}",
            "–" if each.accuracy is None else f"{100 * each.accuracy:.1f} %",
        )
    print_table(shown)
    if not team.questions:
        say("agreement: no question has answers of two reviewers yet")
    elif team.alpha is None:
        say(
            f"agreement: all answers to {team.questions:,} questions are the same digit; alpha needs two different ones"
        )
    else:
        say(f"agreement (Krippendorff's alpha) {team.alpha:.3f} over {team.questions:,} questions; 1 is perfect")


def _said(word: Word) -> str:
    return "skipped" if word.skips else str(word.flag or word.label)
