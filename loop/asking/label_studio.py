"""The queue in Label Studio's JSON: open questions as tasks, and annotations as answers.

A task's ``data`` has ``image`` (a PNG as data URL), ``question`` and ``digest`` (SHA-256 of the 784 pixels), by which
an import knows its questions again. Models' guesses are left out unless asked for: they would sway the answers.
Format: https://labelstud.io/guide/tasks and https://labelstud.io/guide/export.
"""

import base64
import hashlib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
from sqlalchemy.orm import Session

from loop.asking import review
from loop.data import digits
from loop.errors import AlreadyAnswered, BadField, QuestionClosed
from loop.store import Store
from loop.store.asking import questions
from loop.store.asking.values import Flag, Question, QuestionStatus, Word

CHOICES: dict[str, Word] = {str(digit): Word(digit) for digit in range(10)} | {flag: Word(flag=flag) for flag in Flag}
FROM, TO = "digit", "image"
"""The names of the control and of the picture in Label Studio's labelling configuration."""
CONFIG = "\n".join(
    (
        "<View>",
        f'  <Image name="{TO}" value="$image" zoom="true"/>',
        f'  <Choices name="{FROM}" toName="{TO}" choice="single" showInline="true">',
        *(f'    <Choice value="{value}" hotkey="{value[0]}"/>' for value in CHOICES),
        "  </Choices>",
        "</View>",
    )
)
MAX_NAME = 80
LONGEST_SECONDS = 86_400.0


@dataclass(frozen=True, slots=True)
class Unknown:
    """A task that was left out: its name in the file, and the number of a question that this store does not have."""

    task: str
    question: int


@dataclass(frozen=True, slots=True)
class Imported:
    """What an import did: new answers, those that were stored before, and those that came too late to be needed.

    Annotations of questions that other reviewers hold and have not answered are ``held``: the same file, imported
    later, stores those that are needed then. ``unknown`` are the tasks that were left out.
    """

    answers: int
    repeated: int
    not_needed: int
    skips: int
    reviewers: dict[str, int]
    held: int = 0
    unknown: tuple[Unknown, ...] = ()


def tasks(store: Store, most: int, guesses: bool = False) -> list[dict[str, Any]]:
    """At most ``most`` open questions as tasks, oldest first; questions with known answers are not among them."""
    with store.read() as tx:
        return [_task(question, guesses) for question in questions.open_ones(tx, most)]


def answers(store: Store, document: object, now: datetime, skip_unknown: bool = False) -> Imported:
    """Store the annotations of an export from Label Studio: all of them, or after an error none.

    An annotator is the reviewer ``label-studio: NAME``. Annotations of questions that need no more answers are counted
    and left out. With ``skip_unknown`` so are tasks of questions that the store does not have: an erasure after the
    export removes them. A question with other pixels stays an error. Raises ``BadField``, which names the task.
    """
    if not isinstance(document, list):
        raise BadField(f"file: expected a list of tasks, got {_kind(document)}; export as JSON (not JSON-MIN, not CSV)")
    counts: Counter[str] = Counter()
    people: Counter[str] = Counter()
    unknown = []
    with store.exclusive() as tx:
        for place, task in enumerate(document, 1):
            name = f"task {place}" + (f" (id {task['id']!r:.40})" if isinstance(task, Mapping) and "id" in task else "")
            number = _number(task, name)
            question = questions.get(tx, number)
            if question is None and skip_unknown:
                unknown.append(Unknown(name, number))
                continue
            _check(question, number, task["data"], name)
            for reviewer, word, seconds in _annotations(task, name):
                outcome = _store(tx, reviewer, number, word, seconds, now, name)
                counts[outcome] += 1
                people[reviewer] += outcome == "answers"
    kept = {reviewer: n for reviewer, n in sorted(people.items()) if n}
    return Imported(
        counts["answers"],
        counts["repeated"],
        counts["not needed"],
        counts["skips"],
        kept,
        counts["held"],
        tuple(unknown),
    )


def _task(question: Question, guesses: bool) -> dict[str, Any]:
    png = digits.to_png(np.frombuffer(question.pixels, np.uint8).reshape(digits.SIDE, digits.SIDE))
    image = f"data:image/png;base64,{base64.b64encode(png).decode()}"
    task: dict[str, Any] = {"data": {"image": image, "question": question.id, "digest": _digest(question)}}
    if guesses and question.predicted is not None:
        value = {"choices": [str(question.predicted)]}
        result = {"from_name": FROM, "to_name": TO, "type": "choices", "value": value}
        task["predictions"] = [{"model_version": "the phone's model", "result": [result]}]
    return task


def _digest(question: Question) -> str:
    return hashlib.sha256(question.pixels).hexdigest()


def _number(task: object, name: str) -> int:
    data = task.get("data") if isinstance(task, Mapping) else None
    if not isinstance(data, Mapping):
        raise _bad(f"{name}: data: expected an object, got {_kind(data)}")
    number = data.get("question")
    if not isinstance(number, int) or isinstance(number, bool) or not 1 <= number < 2**63:
        raise _bad(f"{name}: data.question: expected the number of a question, got {number!r:.40}")
    return number


def _check(question: Question | None, number: int, data: Mapping[str, Any], name: str) -> None:
    """The question must be the one that was exported."""
    if question is None:
        raise _bad(
            f"{name}: data.question: expected a question of this store, got {number}, which it does not have; if its "
            "source was erased after the export, leave such tasks out with --skip-unknown"
        )
    if data.get("digest") != _digest(question):
        raise _bad(f"{name}: data.digest: expected that of question {number}, got another; is it of another store?")


def _annotations(task: Mapping[str, Any], name: str) -> list[tuple[str, Word, float | None]]:
    given = task.get("annotations", [])
    if not isinstance(given, list):
        raise _bad(f"{name}: annotations: expected a list, got {_kind(given)}")
    found: dict[str, tuple[str, Word, float | None]] = {}
    for annotation in given:
        if not isinstance(annotation, Mapping):
            raise _bad(f"{name}: annotations: expected objects, got {_kind(annotation)}")
        reviewer, word = _reviewer(annotation.get("completed_by"), name), _word(annotation, name)
        if reviewer in found and found[reviewer][1] != word:
            raise _bad(f"{name}: annotations: expected one answer of {reviewer}, got two different ones")
        found[reviewer] = reviewer, word, _seconds(annotation.get("lead_time"))
    return list(found.values())


def _reviewer(completed_by: object, name: str) -> str:
    who = completed_by
    if isinstance(completed_by, Mapping):
        who = completed_by.get("email") or completed_by.get("username") or completed_by.get("id")
    if isinstance(who, bool) or not isinstance(who, int | str) or not 0 < len(str(who)) <= MAX_NAME:
        raise _bad(f"{name}: completed_by: expected an annotator, got {completed_by!r:.40}")
    if not str(who).isprintable():
        raise _bad(f"{name}: completed_by: expected printable characters, got others")
    return f"label-studio: {who}"


def _word(annotation: Mapping[str, Any], name: str) -> Word:
    if annotation.get("was_cancelled"):
        return Word()
    results = annotation.get("result")
    if not isinstance(results, list) or len(results) != 1 or not isinstance(results[0], Mapping):
        raise _bad(f"{name}: result: expected one choice, got {_kind(results)}")
    value = results[0].get("value")
    chosen = value.get("choices") if isinstance(value, Mapping) else None
    if not isinstance(chosen, list) or len(chosen) != 1 or not isinstance(chosen[0], str) or chosen[0] not in CHOICES:
        expected = ", ".join(CHOICES)
        raise _bad(f"{name}: choices: expected one of {expected}, got {chosen!r:.60}")
    return CHOICES[chosen[0]]


def _seconds(lead_time: object) -> float | None:
    if isinstance(lead_time, int | float) and not isinstance(lead_time, bool) and 0 <= lead_time <= LONGEST_SECONDS:
        return float(lead_time)
    return None


def _store(tx: Session, reviewer: str, number: int, word: Word, seconds: float | None, now: datetime, name: str) -> str:
    try:
        done = review.answer_in(tx, reviewer, number, word, now, seconds)
    except QuestionClosed:
        question = questions.get(tx, number)
        return "held" if question is not None and question.status is QuestionStatus.OPEN else "not needed"
    except AlreadyAnswered as error:
        raise _bad(f"{name}: {error}") from error
    if done.repeated:
        return "repeated"
    return "skips" if word.skips else "answers"


def _bad(message: str) -> BadField:
    return BadField(f"{message}; nothing was imported")


def _kind(value: object) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, list):
        return f"a list of {len(value)}"
    return "an object" if isinstance(value, Mapping) else f"{value!r:.40}"
