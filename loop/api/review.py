"""``/v1/review``: reviewers get questions, answer them, take answers back, and see how far they are.

The reviewer is the name of the caller's key. A question is handed out blind: what a model guessed, and why it is asked,
is in no answer of this API before the reviewer's own answer is stored.
"""

import base64
from dataclasses import asdict
from datetime import timedelta
from typing import Annotated, Literal, Self

import numpy as np
from fastapi import APIRouter
from pydantic import BaseModel, Field, model_validator
from starlette.requests import Request

from loop.access import Role
from loop.api import examples
from loop.api.guard import Guarded, caller_of, needs, service_of
from loop.api.schemas import Incoming, Label, Timestamp
from loop.asking import quality, review
from loop.asking.quality import Reviewer
from loop.asking.review import Answered
from loop.data import digits
from loop.store.asking import pool, questions, reviewers
from loop.store.asking.values import Flag, QuestionStatus, Word

MOST = 100
"""Questions that one request hands out."""
NUMBER = {"ge": 1, "lt": 2**63}
REVIEWERS = needs("reviewer", "ops")
REFUSED = (400, 401, 403, 408, 413, 422, 503)
Id = Annotated[int, Field(strict=True, description="The number of a question.", examples=[12], **NUMBER)]
Status = Annotated[
    QuestionStatus,
    Field(
        description="`open`: it needs more answers; `answered`: agreed on; `disputed`: reviewers did not agree; "
        "`dropped`: its drawing was taken back, or it was open for too long."
    ),
]

router = APIRouter(prefix="/v1/review", route_class=Guarded, tags=["review"])


NoDigit = Literal[Flag.NOT_A_DIGIT, Flag.UNREADABLE, Flag.TWO_DIGITS]
"""Without a name in the OpenAPI document: it would be that of the flag of a correction, and generators give up."""


class WantedQuestions(Incoming):
    """Ask for questions."""

    count: Annotated[int, Field(strict=True, ge=1, le=MOST)] = Field(
        10, description="At most so many, with those that the caller holds already."
    )


class ToAnswer(BaseModel):
    """One question: which digit is this?"""

    id: int
    image: str = Field(description="A PNG of 28 by 28 pixels, white on black, in base64.")


class HandedOut(BaseModel):
    """The caller's questions, in the order in which to answer them."""

    questions: list[ToAnswer]
    held_until: Timestamp = Field(
        description="Until then nobody else gets them. Asking again renews the hold; giving back ends it."
    )


class Said(Incoming):
    """An answer: exactly one of ``label``, ``flag`` and ``skip``."""

    question: Id
    label: Label | None = Field(None, description="The digit.")
    flag: NoDigit | None = Field(None, description="Why it is no single digit that can be read.")
    skip: bool = Field(False, description="Do not answer; the question is not asked of the caller again.")
    seconds: Annotated[float, Field(ge=0, le=86_400, allow_inf_nan=False)] | None = Field(
        None, description="From when the question was shown until it was answered."
    )

    @model_validator(mode="after")
    def _one_word(self) -> Self:
        if (self.label is not None) + (self.flag is not None) + self.skip != 1:
            raise ValueError("exactly one of label, flag and skip")
        return self


class Stored(BaseModel):
    """The answer is on disk. The same answer again gets the same; the guess is that of the phone's model."""

    question: int
    answer: int
    status: Status
    repeated: bool = Field(description="True if the caller had given the same answer before.")
    predicted: int | None = Field(description="What the phone's model read, if the phone said it.")
    runner_up: int | None = Field(description="The second guess of the phone's model, if the phone said it.")


class Undo(Incoming):
    """Take back the caller's last answer."""

    question: Id | None = Field(
        None, description="The question of that answer. With it a request can be repeated, and undoes one answer only."
    )


class Undone(BaseModel):
    """The question is open again, and held for nobody: asking for questions hands it out."""

    question: int
    repeated: bool = Field(description="True if the answer to this question was undone before.")


class Back(Incoming):
    """Questions that the caller will not answer now."""

    questions: list[Id] = Field(max_length=10 * MOST)


class GivenBack(BaseModel):
    """The questions are free for others."""

    questions: list[int]


class Myself(BaseModel):
    """How one reviewer answers. Skips are no answers, and undone answers do not count."""

    reviewer: str
    answered: int
    skipped: int
    seconds: float | None = Field(description="Median time per answer, as the reviewer's page measured it.")
    gold: int = Field(description="Answers to questions with a known answer, which are mixed in.")
    gold_right: int
    compared: int = Field(description="Answers to questions on which several reviewers agreed in the end.")
    agreed: int = Field(description="Those of them that were the agreed answer.")
    accuracy: float | None = Field(description="Estimated by Dawid and Skene's model from all answers; for ops.")


class Team(BaseModel):
    """All reviewers together."""

    alpha: float | None = Field(
        description="Krippendorff's alpha (nominal) of the questions that several reviewers answered: 1 is perfect "
        "agreement, 0 is chance; null without such questions."
    )
    questions: int = Field(description="Questions that several reviewers answered.")
    reviewers: list[Myself]


class Progress(BaseModel):
    """The state of the queue and of the caller."""

    open: int = Field(description="Questions that need answers, of anybody.")
    answered_today: int = Field(description="Answers of the caller since midnight UTC.")
    last_question: int | None = Field(description="The question of the caller's last answer or skip, which undo takes.")
    me: Myself = Field(description="Of the caller's last 1,000 answers.")
    team: Team | None = Field(description="For ops; null for a reviewer.")


@router.post(
    "/next",
    responses=examples.refusals(*REFUSED),
    openapi_extra=REVIEWERS,
    operation_id="next_questions",
    summary="Get the next questions",
)
def hand_out(request: Request, wanted: WantedQuestions) -> HandedOut:
    """They are held for the caller for `review.hold_seconds`. A page asks for the next few before it needs them."""
    service, rules = service_of(request), service_of(request).home.settings.review
    now = service.clock()
    found = review.hand_out(
        service.home.store, caller_of(request).name, wanted.count, now, rules.hold_seconds, rules.gold_every
    )
    shown = [ToAnswer(id=question.id, image=_png(question.pixels)) for question in found]
    return HandedOut(questions=shown, held_until=now + timedelta(seconds=rules.hold_seconds))


@router.post(
    "/answers",
    responses=examples.refusals(*REFUSED, 404, 409, 507),
    openapi_extra=REVIEWERS,
    operation_id="answer_question",
    summary="Answer a question",
)
def answer(request: Request, said: Said) -> Stored:
    """An answer that arrives after its hold is accepted while nobody else has the place."""
    service = service_of(request)
    word = Word(said.label, said.flag)
    made = review.answer(
        service.home.store, caller_of(request).name, said.question, word, service.clock(), said.seconds
    )
    return _stored(made)


@router.post(
    "/undo",
    responses=examples.refusals(*REFUSED, 409, 507),
    openapi_extra=REVIEWERS,
    operation_id="undo_answer",
    summary="Undo the last answer",
)
def undo(request: Request, wanted: Undo) -> Undone:
    """The caller's last answer no longer counts. What a night has taught cannot be undone here."""
    service = service_of(request)
    undone = review.undo(service.home.store, caller_of(request).name, service.clock(), wanted.question)
    return Undone(question=undone.question_id, repeated=undone.repeated)


@router.post(
    "/give-back",
    responses=examples.refusals(*REFUSED),
    openapi_extra=REVIEWERS,
    operation_id="give_back_questions",
    summary="Give questions back",
)
def give_back(request: Request, back: Back) -> GivenBack:
    """Others get them at once, as if they had never been handed out. Giving back twice is no error."""
    review.give_back(service_of(request).home.store, caller_of(request).name, back.questions)
    return GivenBack(questions=back.questions)


@router.get(
    "/status",
    responses=examples.refusals(401, 403, 422, 503),
    openapi_extra=REVIEWERS,
    operation_id="review_status",
    summary="Get the state of the queue",
)
def status(request: Request) -> Progress:
    """How many questions are open, how many the caller answered, how fast, and how well."""
    service, caller = service_of(request), caller_of(request)
    now = service.clock()
    with service.home.store.read() as tx:
        waiting, today = pool.open_questions(tx), reviewers.answered_on_day(tx, caller.name, now)
        mine, last = quality.of_reviewer(tx, caller.name), questions.last_of(tx, caller.name)
        everybody = quality.of_all(tx) if caller.role is Role.OPS else None
    team = None
    if everybody is not None:
        shown = [_myself(each) for each in everybody.reviewers]
        team = Team(alpha=everybody.alpha, questions=everybody.questions, reviewers=shown)
    number = None if last is None else last.question_id
    return Progress(open=waiting, answered_today=today, last_question=number, me=_myself(mine), team=team)


def _myself(reviewer: Reviewer) -> Myself:
    return Myself(**asdict(reviewer))


def _stored(made: Answered) -> Stored:
    return Stored(
        question=made.question_id,
        answer=made.answer_id,
        status=made.status,
        repeated=made.repeated,
        predicted=made.predicted,
        runner_up=made.runner_up,
    )


def _png(pixels: bytes) -> str:
    return base64.b64encode(digits.to_png(np.frombuffer(pixels, np.uint8).reshape(digits.SIDE, digits.SIDE))).decode()
