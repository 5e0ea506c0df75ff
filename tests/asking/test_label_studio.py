"""The queue in Label Studio's JSON: out, annotated as Label Studio does it, and in again; and what is refused."""

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from sqlalchemy import func, select
from typer.testing import CliRunner

from loop.asking import label_studio, review
from loop.asking.label_studio import Imported, Unknown
from loop.clock import utc_now
from loop.data import digits
from loop.errors import BadField
from loop.home.settings import Settings
from loop.store import Store, tables
from loop.store.asking.values import Word
from loop.store.feedback import erasures
from loop.store.values import Status
from tests.asking.conftest import ask, ask_gold, drawing, send
from tests.conftest import NOW
from tests.helpers import stores

Change = Callable[[list[dict[str, Any]]], object]


def asked(store: Store, count: int = 3, quorum: int = 1) -> None:
    """Questions 1 to ``count``, and a gold one."""
    receipts = send(store, *(drawing("a phone", seed) for seed in range(count)))
    ask(store, [receipt.id for receipt in receipts], quorum)
    ask_gold(store, 1)


def annotated(tasks: list[dict[str, Any]], *choices: str | None, by: object = 1) -> list[dict[str, Any]]:
    """The tasks as Label Studio exports them, one annotation each; None: cancelled."""
    return [
        task
        | {
            "id": 100 + place,
            "annotations": [
                {
                    "id": 7,
                    "completed_by": by,
                    "was_cancelled": choice is None,
                    "lead_time": 1.25,
                    "result": []
                    if choice is None
                    else [
                        {"type": "choices", "from_name": "digit", "to_name": "image", "value": {"choices": [choice]}}
                    ],
                }
            ],
        }
        for place, (task, choice) in enumerate(zip(tasks, choices, strict=True))
    ]


def stored(store: Store) -> int:
    """How many answers there are."""
    with store.read() as tx:
        return tx.scalar(select(func.count()).select_from(tables.Answer)) or 0


def test_open_questions_go_out_blind(store: Store) -> None:
    """Picture, number and digest; neither a guess, unless asked for, nor the reason, nor gold questions."""
    asked(store)
    review.answer(store, "ada", 2, Word(7), NOW)
    tasks = label_studio.tasks(store, 10)
    assert [task["data"]["question"] for task in tasks] == [1, 3]
    assert all(set(task) == {"data"} and set(task["data"]) == {"image", "question", "digest"} for task in tasks)
    kind, _, data = tasks[0]["data"]["image"].partition(",")
    assert kind == "data:image/png;base64"
    expected = np.asarray(drawing("a phone", 0).image.pixels)  # type: ignore[union-attr]
    assert (digits.read(base64.b64decode(data)).pixels == expected).all()
    (guess,) = label_studio.tasks(store, 1, guesses=True)[0]["predictions"]
    assert guess["result"][0]["value"] == {"choices": ["1"]}
    assert len(label_studio.tasks(store, 1)) == 1


def test_the_configuration_offers_every_answer() -> None:
    """Label Studio's XML: a picture and one choice, with a key for each."""
    view = ElementTree.fromstring(label_studio.CONFIG)  # noqa: S314 (our own text)
    choices = view.findall("./Choices/Choice")
    assert [each.get("value") for each in choices] == list(label_studio.CHOICES)
    assert len({each.get("hotkey") for each in choices}) == len(choices) == 13
    assert view.find("Image").get("value") == "$image"  # type: ignore[union-attr]


def test_annotations_come_in_once(store: Store) -> None:
    """A digit labels, a flag notes, a cancelled one skips; the annotator is the reviewer; twice changes nothing."""
    asked(store)
    document = annotated(
        label_studio.tasks(store, 10), "7", "two-digits", None, by={"id": 4, "email": "ada@example.org"}
    )
    first = label_studio.answers(store, document, NOW)
    assert first == Imported(2, 0, 0, 1, {"label-studio: ada@example.org": 2})
    assert label_studio.answers(store, document, NOW) == Imported(0, 3, 0, 0, {})
    with store.read() as tx:
        rows = tx.execute(
            select(tables.Correction.status, tables.Correction.label).order_by(tables.Correction.id)
        ).all()
        seconds = tx.scalars(select(tables.Answer.seconds)).all()
    assert [tuple(row) for row in rows] == [(Status.ACCEPTED, 7), (Status.NOTED, None), (Status.PENDING, None)]
    assert seconds == [1.25] * 3


def test_what_others_answered_meanwhile_is_not_needed(store: Store) -> None:
    """It is counted, and the rest is stored."""
    asked(store, 2)
    document = annotated(label_studio.tasks(store, 10), "7", "7")
    review.answer(store, "ada", 1, Word(3), NOW)
    assert label_studio.answers(store, document, NOW) == Imported(1, 0, 1, 0, {"label-studio: 1": 1})


def test_what_others_hold_is_counted_apart(store: Store) -> None:
    """It is not stored while they may answer; the same file, imported after they gave it back, stores it."""
    asked(store, 2)
    document = annotated(label_studio.tasks(store, 10), "7", "7")
    review.hand_out(store, "ada", 1, NOW, 300)
    assert label_studio.answers(store, document, NOW) == Imported(1, 0, 0, 0, {"label-studio: 1": 1}, held=1)
    review.give_back(store, "ada", [1])
    assert label_studio.answers(store, document, NOW) == Imported(1, 1, 0, 0, {"label-studio: 1": 1})


def test_tasks_of_erased_sources_can_be_left_out(store: Store) -> None:
    """Their questions are gone: the error names the option; with it the other annotations are stored."""
    receipts = send(store, drawing("a phone", 0), drawing("another phone", 1))
    ask(store, [receipt.id for receipt in receipts])
    document = annotated(label_studio.tasks(store, 10), "7", "7")
    with store.exclusive() as tx:
        erasures.erase(tx, "a phone", "ops", NOW)
    with pytest.raises(
        BadField, match=r"task 1 .id 100.: data.question: .* got 1, .* leave .* out with --skip-unknown"
    ):
        label_studio.answers(store, document, NOW)
    done = label_studio.answers(store, document, NOW, skip_unknown=True)
    assert done == Imported(1, 0, 0, 0, {"label-studio: 1": 1}, unknown=(Unknown("task 1 (id 100)", 1),))
    document[1]["data"]["digest"] = "0" * 64
    with pytest.raises(BadField, match=r"data\.digest"):
        label_studio.answers(store, document, NOW, skip_unknown=True)


def test_a_long_id_is_cut(store: Store) -> None:
    """What another program calls its task neither fills an error nor breaks its line."""
    tasks = [{"id": "x\n" * 5_000, "data": {"question": 99}}]
    with pytest.raises(BadField) as refused:
        label_studio.answers(store, tasks, NOW)
    assert len(str(refused.value)) < 300
    assert "\n" not in str(refused.value)
    (left_out,) = label_studio.answers(store, tasks, NOW, skip_unknown=True).unknown
    assert len(left_out.task) < 60


REFUSED: dict[str, tuple[Change, str]] = {
    "unknown task": (lambda t: t[1]["data"].update(question=99), "task 2 .id 101.: data.question: .*does not have"),
    "another store": (lambda t: t[1]["data"].update(digest="0" * 64), "task 2 .id 101.: data.digest: .*another store"),
    "no number": (lambda t: t[1]["data"].pop("question"), "task 2 .id 101.: data.question"),
    "no data": (lambda t: t[1].pop("data"), "task 2 .id 101.: data: expected an object, got nothing"),
    "no task": (lambda t: t.append(7), "task 3: data"),
    "wrong label": (lambda t: _result(t)["value"].update(choices=["ten"]), "task 2 .id 101.: choices: .*'ten'"),
    "two labels": (lambda t: _result(t)["value"].update(choices=["1", "7"]), "task 2 .id 101.: choices"),
    "another format": (lambda t: t[1]["annotations"][0].update(result=[]), "task 2 .id 101.: result"),
    "boxes": (lambda t: _result(t).update(value={"x": 1}), "task 2 .id 101.: choices: .*got None"),
    "nobody": (lambda t: t[1]["annotations"][0].pop("completed_by"), "task 2 .id 101.: completed_by"),
    "annotations": (lambda t: t[1].update(annotations={}), "task 2 .id 101.: annotations: expected a list"),
    "two answers": (
        lambda t: t[1]["annotations"].append(annotated([{}], "3")[0]["annotations"][0]),
        "task 2 .id 101.: annotations: expected one answer",
    ),
}


def _result(tasks: list[dict[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = tasks[1]["annotations"][0]["result"][0]
    return found


@pytest.mark.parametrize("case", REFUSED)
def test_a_wrong_file_stores_nothing(store: Store, case: str) -> None:
    """The error names the task, and the right task before it is not stored either."""
    asked(store, 2)
    document = json.loads(json.dumps(annotated(label_studio.tasks(store, 10), "7", "7")))
    change, message = REFUSED[case]
    change(document)
    with pytest.raises(BadField, match=message):
        label_studio.answers(store, document, NOW)
    assert stored(store) == 0
    with store.read() as tx:
        assert set(tx.scalars(select(tables.Correction.status))) == {Status.PENDING}


def test_no_list_of_tasks(store: Store) -> None:
    """Another export of Label Studio (COCO) is an object."""
    with pytest.raises(BadField, match="expected a list of tasks, got an object"):
        label_studio.answers(store, {"images": []}, NOW)


def test_a_changed_mind_is_refused(store: Store) -> None:
    """The annotator's answer stands here already; another one needs an undo first."""
    asked(store, 1, quorum=2)
    tasks = label_studio.tasks(store, 10)
    label_studio.answers(store, annotated(tasks, "7"), NOW)
    with pytest.raises(BadField, match=r"task 1 .id 100.: question 1: already answered with 7"):
        label_studio.answers(store, annotated(tasks, "1"), NOW)


def test_at_the_command_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Out, annotated, in; and files that are none."""
    from loop.cli import app

    monkeypatch.setenv("LOOP_HOME", str(tmp_path))
    store = Store(Settings(home=tmp_path).url)
    stores.migrate(store)
    asked(store)
    run, file = CliRunner(), tmp_path / "queue.json"
    out = run.invoke(app, ["review", "export", str(file), "--most", "2", "--json"])
    assert json.loads(out.stdout)["tasks"] == 2, out.output
    assert file.with_suffix(".xml").read_text().startswith("<View>")
    tasks = json.loads(file.read_text())
    file.write_text(json.dumps(annotated(tasks, "7", "4", by="ada")))
    done = run.invoke(app, ["review", "import", str(file)])
    assert "2 answers stored" in done.stdout, done.output
    assert "label-studio: ada: 2" in done.stdout
    tasks[0]["data"]["question"] = 99
    file.write_text(json.dumps(annotated(tasks, "7", "4", by="ada")))
    unknown = run.invoke(app, ["review", "import", str(file)])
    assert (unknown.exit_code, "--skip-unknown" in unknown.output + str(unknown.exception)) == (1, True)
    skipped = run.invoke(app, ["review", "import", str(file), "--skip-unknown"])
    assert "1 left out" in skipped.stdout
    assert "task 1 (id 100): question 99" in skipped.stdout
    shown = json.loads(run.invoke(app, ["review", "import", str(file), "--skip-unknown", "--json"]).stdout)
    assert shown["unknown"] == [{"task": "task 1 (id 100)", "question": 99}]
    review.hand_out(store, "ben", 1, utc_now(), 300)
    file.write_text(json.dumps(annotated(label_studio.tasks(store, 1), "7", by="ada")))
    held = run.invoke(app, ["review", "import", str(file)])
    assert "1 held" in held.stdout
    assert "import the file again later" in held.stdout
    file.write_text("question,label\n1,7\n")
    bad = run.invoke(app, ["review", "import", str(file)])
    assert (bad.exit_code, "expected JSON" in bad.output + str(bad.exception)) == (1, True)
    gone = run.invoke(app, ["review", "import", str(tmp_path / "gone.json")])
    assert gone.exit_code == 1
    store.close()
