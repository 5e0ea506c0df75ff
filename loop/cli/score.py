"""``loop score`` and ``loop inspect``: measure and describe any Core ML digit model, on any machine."""

import time
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from rich.table import Table
from rich.text import Text

from loop.cli import one_picture
from loop.cli.output import Json, console, emit, percent, print_table, say, table
from loop.cli.reading_options import ReadAs, print_preparations
from loop.data import labelled
from loop.data.labelled import Labelled
from loop.errors import BadModel, DiskFull
from loop.evaluation import digit_classifier, plots, scales, scoring
from loop.evaluation.digit_classifier import DigitClassifier
from loop.evaluation.scoring import Images, Score
from models import coreml
from models.coreml import kinds, package

File = Annotated[
    Path,
    typer.Argument(
        help="Core ML model: .mlmodel, or .mlpackage, zipped or not.", show_default=False, metavar="FILE.mlmodel"
    ),
]
Data = Annotated[
    Path,
    typer.Argument(
        help="Labelled digits: a folder or zip of <digit>/*.png, IDX files alone, in a folder or in a zip (the test "
        "set of several), .npz, CSV, optdigits, Semeion; or one picture without a label.",
        show_default=False,
    ),
]
Sheet = Annotated[
    Path | None,
    typer.Option(
        "--sheet", help="File for the contact sheet of the worst images; default: <model>-worst.png, none with --json."
    ),
]

WORST_SHOWN = 40


def score(file: File, data: Data, as_json: Json = False, sheet: Sheet = None, read_as: ReadAs = "") -> None:
    """Measure any Core ML digit model: accuracy, confusions, time per image.

    Works on any file with the ten digits as labels. Assumptions about what the file does not state are printed. For one
    picture, it prints what the model reads.
    """
    model = digit_classifier.load(_bytes(file), file.name)
    if one_picture.is_picture(data):
        one_picture.score(digit_classifier.classifier(model), file, data, as_json)
        return
    examples = labelled.read(data, read_as)
    reader = scales.classifier(model, examples.images, examples.labels)
    result, milliseconds, problems = _scored(reader, examples)
    if sheet is None and not as_json:
        sheet = Path(f"{file.stem}-worst.png")
    if sheet is not None:
        _save(sheet, file, examples, result)
    document = _document(file, data, reader, examples, result) | {
        "milliseconds_per_image": milliseconds,
        "problems": list(problems),
        "sheet": sheet,
    }
    if as_json:
        emit(document)
    else:
        _print(document)


def inspect(file: File, as_json: Json = False) -> None:
    """Describe a Core ML file: inputs, outputs, labels, layers, lowest iOS."""
    try:
        summary = coreml.inspect(_bytes(file), name=file.name)
    except coreml.AnotherKind as error:
        raise BadModel(str(error)) from error
    except coreml.ModelError as error:
        raise BadModel(f"{error}; name an .mlmodel") from error
    if as_json:
        emit(summary.to_dict())
    else:
        _describe(summary)


def _bytes(file: Path) -> bytes:
    if file.is_dir():
        return _packed(file)
    try:
        with file.open("rb") as opened:
            data = opened.read(coreml.Limits().file_bytes + 1)  # one byte too many is what the loader refuses
    except OSError as error:
        raise BadModel(f"{file} cannot be read ({error.strerror}); name an .mlmodel") from error
    return data


def _packed(folder: Path) -> bytes:
    """A package's folder as the zip that it may come as, too."""
    kind = kinds.of_folder(folder)
    if kind.as_model:
        raise BadModel(f"{folder}: expected a Core ML model, got {kind.name}; {kind.as_model}")
    try:
        return package.packed(folder)
    except OSError as error:
        raise BadModel(f"{folder} cannot be read ({error.strerror}); make it readable") from error
    except coreml.ModelError as error:
        raise BadModel(f"{error}; copy the whole package again") from error


def _scored(reader: DigitClassifier, examples: Labelled) -> tuple[Score, float, tuple[str, ...]]:
    """The score, milliseconds per image, and what is wrong with the answers."""
    part = scoring.Slice(examples.name, examples.images, examples.labels, np.ones(len(examples.labels)))
    seconds = 0.0

    def timed(images: Images) -> Any:
        nonlocal seconds
        start = time.perf_counter()
        answers = reader.probabilities(images)
        seconds += time.perf_counter() - start
        return answers

    report = scoring.score(timed, reader.model, (part,))
    return report.scores[0], seconds * 1000 / len(examples.labels), report.health.problems


def _save(sheet: Path, file: Path, examples: Labelled, result: Score) -> None:
    worst = result.worst(WORST_SHOWN)
    captions = [f"{result.labels[i]} → {_answer(int(result.predictions[i]))}" for i in worst]
    title = f"{file.stem} on {examples.name}: the {len(worst)} lowest margins of {result.n:,}, shown → answered"
    try:
        plots.sheet(examples.images[worst], captions, sheet, title)
    except OSError as error:
        raise DiskFull(f"{sheet} cannot be written ({error.strerror}); name another file with --sheet") from error


def _answer(prediction: int) -> str:
    return "none" if prediction == scoring.NO_ANSWER else str(prediction)


def _document(file: Path, data: Path, reader: DigitClassifier, examples: Labelled, result: Score) -> dict[str, Any]:
    return {
        "model": reader.model,
        "file": file,
        "data": data,
        "n": result.n,
        "errors": result.errors,
        "accuracy": result.accuracy,
        "interval": list(result.interval),
        "per_class": [
            {"digit": digit, "n": n, "accuracy": accuracy if n else None}
            for digit, (n, accuracy) in enumerate(result.per_class)
        ],
        "confusion": result.confusion.tolist(),
        "assumptions": list(reader.assumptions),
        "preparations": dict(examples.preparations),
        "refused": [{"name": name, "reason": reason} for name, reason in examples.refused],
    }


def _print(document: dict[str, Any]) -> None:
    low, high = document["interval"]
    headline = Text(percent(document["accuracy"]), "bold")
    headline += Text(f" of {document['n']:,} images, 95 % interval {100 * low:.2f} to {100 * high:.2f} %", "")
    console.print(headline + Text(f", {document['errors']:,} wrong", ""))
    console.print(f"{document['milliseconds_per_image']:.3f} ms per image on this machine")
    for problem in document["problems"]:
        say(problem, "bold red")
    say("\nHow the file was read", "bold")
    for line in document["assumptions"]:
        say(f"  {_printable(line)}")
    print_preparations(document["preparations"])
    print_table(_classes(document))
    print_table(_confusion(document["confusion"]))
    if refused := document["refused"]:
        first = _printable(f"{refused[0]['name']}: {refused[0]['reason']}")
        say(f"{len(refused)} files were not read, for instance {first}")
    say(f"Worst images: {document['sheet']}")


def _classes(document: dict[str, Any]) -> Table:
    shown = table("\nEach digit", "digit", ">n", ">accuracy", "most often read as")
    for row, counts in zip(document["per_class"], document["confusion"], strict=True):
        wrong = {digit: count for digit, count in enumerate(counts) if count and digit != row["digit"]}
        most = max(wrong, key=lambda digit: wrong[digit], default=None)
        taken = "" if most is None else f"{most} ({wrong[most]}×)"
        shown.add_row(str(row["digit"]), f"{row['n']:,}", percent(row["accuracy"]), taken)
    return shown


def _confusion(counts: list[list[int]]) -> Table:
    shown = table("Confusion: row = digit shown, column = answer", "", *(f">{digit}" for digit in range(10)))
    for digit, row in enumerate(counts):
        cells = [Text(str(n) if n else "·", "dim" if i == digit or not n else "") for i, n in enumerate(row)]
        shown.add_row(str(digit), *cells)
    return shown


def _describe(summary: coreml.Summary) -> None:
    facts = f", {summary.size_bytes:,} bytes, specification {summary.spec_version}, iOS {summary.lowest_ios} and later"
    console.print(Text(summary.kind, "bold") + Text(f"{facts}, sha256 {summary.sha256[:12]}…", ""))
    if summary.problem:
        say(f"does not run here: {_printable(summary.problem)}", "bold red")
    for word, features in (("input", summary.inputs), ("output", summary.outputs)):
        for feature in features:
            say(f"  {word:<6} {_printable(_feature(feature))}")
    if summary.labels:
        say(f"  labels {_printable(', '.join(map(str, summary.labels)))}")
    for key, text in summary.metadata.items():
        say(f"  {_printable(f'{key}: {text}')}")
    shown = table("\nLayers", "layer", "kind", "shape", ">weights", "stored as", ">operations")
    for layer in summary.layers:
        shapes, stored = " ".join("×".join(map(str, shape)) for shape in layer.shapes), ", ".join(layer.precisions)
        name = _printable(layer.name)
        shown.add_row(name, layer.kind, shapes, _count(layer.weights), stored, _count(layer.macs))
    shown.add_section()
    shown.add_row("total", "", "", _count(summary.weights), ", ".join(summary.precisions), _count(summary.macs))
    print_table(shown)


def _count(number: int) -> str:
    return f"{number:,}" if number else ""


def _printable(text: str) -> str:
    """A stranger's text without control characters."""
    return "".join(letter if letter.isprintable() else "�" for letter in text)


def _feature(feature: coreml.Feature) -> str:
    size = (feature.height, feature.width) if feature.kind == "image" else feature.shape
    words = (f"{feature.name!r}:", feature.colour, feature.kind, "×".join(map(str, size)), feature.dtype)
    text = " ".join(word for word in words if word)
    return f"{text} ({feature.description})" if feature.description else text
