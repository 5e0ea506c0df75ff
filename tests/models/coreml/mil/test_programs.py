"""Whole programs: those that run, and the refusals with their messages."""

import struct
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from models import coreml
from tests.models.coreml.mil import programs
from tests.models.coreml.mil.programs import Program, Text


def _changed(change: Callable[[Program], Any], stored: bool = True) -> bytes:
    """Return the small network's package after a change to it."""
    made = programs.network(stored)
    change(made)
    return made.package()


def _operation(made: Program, kind: str) -> Any:
    return next(each for each in made.block.operations if each.type == kind)


def test_the_same_weights_in_the_program_and_beside_it() -> None:
    """A program answers alike whether its weights are in it or in the weight file, within half precision's rounding."""
    images = np.random.default_rng(0).integers(0, 256, (50, 4, 4), np.uint8)
    inside, beside = (coreml.load(data) for data in (programs.network().model(), programs.network(True).package()))
    found, other = inside.predict({"image": images}), beside.predict({"image": images})
    np.testing.assert_allclose(found["scores"], other["scores"], atol=2e-3)
    assert (found["label"] == np.array(["a", "b", "c"])[found["scores"].argmax(1)]).all()
    assert inside.labels == ("a", "b", "c")
    assert (inside.label_name, inside.probabilities_name, inside.kind) == ("label", "scores", "mlProgram")


def test_batches_do_not_matter() -> None:
    """One image alone and among others gives the same; none gives none."""
    model = coreml.load(programs.network().model())
    images = np.random.default_rng(1).integers(0, 256, (2000, 4, 4), np.uint8)
    many = model.predict({"image": images})["scores"]
    for i in (0, 1023, 1999):
        np.testing.assert_allclose(model.predict({"image": images[i : i + 1]})["scores"][0], many[i], atol=1e-6)
    assert model.predict({"image": images[:0]})["scores"].shape == (0, 3)


def test_quantised_weights() -> None:
    """A quantised matrix is ``(q - zero point) · scale``."""
    found = coreml.load(programs.compact().package()).predict({"x0": np.ones((2, 1, 4), np.float32)})
    expected = ((np.arange(12).reshape(3, 4) - 6) * 0.5).sum(1)
    np.testing.assert_allclose(found["y0"][:, 0], [expected] * 2)


def test_whole_labels() -> None:
    """Labels may be whole numbers, in one tensor."""
    made = programs.network()
    classify = made.block.operations[-1]
    del classify.inputs["classes"].arguments[:]
    programs.immediate(classify.inputs["classes"].arguments.add().value, np.array([7, 8, 9]))
    made.message.description.output[0].type.int64Type.SetInParent()
    model = coreml.load(made.model())
    assert model.labels == (7, 8, 9)
    assert model.predict({"image": np.zeros((1, 4, 4), np.uint8)})["label"].dtype == np.int64


def test_what_it_contains() -> None:
    """The summary lists operations with shapes, weights and how they are stored; options are no weights."""
    summary = coreml.inspect(programs.network(True).package())
    assert (summary.problem, summary.kind, summary.lowest_ios) == (None, "mlProgram", "15.0")
    rows = {layer.kind: layer for layer in summary.layers}
    assert list(rows) == ["mul", "conv", "relu", "avg_pool", "reshape", "linear", "softmax", "classify"]
    assert (rows["conv"].weights, rows["conv"].precisions, rows["conv"].shapes) == (18, ("float16",), ((1, 2, 4, 4),))
    assert (rows["linear"].weights, rows["linear"].precisions) == (24, ("float32",))
    assert rows["conv"].inputs == ("kernel", "scaled")
    assert (summary.weights, summary.labels) == (42, ("a", "b", "c"))
    compact = coreml.inspect(programs.compact().package())
    assert (compact.weights, compact.precisions) == (12, ("linear 8 bit",))


ABSENT: dict[str, tuple[Callable[[], bytes], str]] = {
    "an unknown operation": (
        lambda: _changed(lambda made: setattr(_operation(made, "relu"), "type", "lstm")),
        r"operation 'r' \(lstm\): this kind of operation is not supported",
    ),
    "an unknown parameter": (
        lambda: _changed(lambda made: _operation(made, "conv").inputs["dynamic"].arguments.add(name="scaled")),
        r"operation 'c' \(conv\): the parameter 'dynamic'",
    ),
    "weights that are computed": (
        lambda: _changed(lambda made: setattr(_operation(made, "linear").inputs["weight"].arguments[0], "name", "f")),
        r"operation 'd' \(linear\): weight that is computed while running",
    ),
    "control flow": (
        lambda: _changed(lambda made: _operation(made, "relu").blocks.add()),
        r"operation 'r' \(relu\): this kind of operation",
    ),
    "two functions": (
        lambda: _changed(lambda made: made.message.mlProgram.functions["other"].SetInParent()),
        "an ML Program of 2 functions",
    ),
    "another weight file version": (
        lambda: _changed(lambda made: made.blob.__setitem__(4, 3)),
        "the weight file @model_path/weights/weight.bin, which is not of version 2",
    ),
    "a padding of another kind": (
        lambda: _changed(
            lambda made: (
                programs.immediate(_operation(made, "conv").inputs["pad_type"].arguments[0].value, Text("x"))
                or _operation(made, "conv")
                .inputs["pad_type"]
                .arguments[0]
                .value.immediateValue.tensor.strings.values.pop(0)
            )
        ),
        r"operation 'c' \(conv\): pad_type 'x'",
    ),
    "convolution in one dimension": (lambda: _one("conv", (1, 1, 4), weight=np.ones((1, 1, 3))), "other than"),
    "a product with a vector": (lambda: _one("matmul", (4,), y=np.ones((4, 2))), "a product with a vector"),
    "division of whole numbers": (lambda: _whole("real_div"), "division or power of whole numbers"),
    "power of whole numbers": (lambda: _whole("pow"), "division or power of whole numbers"),
    "a cast to bytes": (lambda: _one("cast", (2,), dtype=Text("uint8")), "a cast to 'uint8'"),
    "a brain float": (lambda: _typed(13), "a constant of type 13"),
}

WRONG: dict[str, tuple[Callable[[], bytes], str]] = {
    "no weights in the package": (
        lambda: programs.packed(programs.network(True).model(), {"other.bin": b""}),
        "weights in '@model_path/weights/weight.bin', which the package does not contain",
    ),
    "a path out of the package": (
        lambda: _stored(lambda value: setattr(value, "fileName", "@model_path/../../../etc/passwd")),
        r"weights in '@model_path/\.\./\.\./\.\./etc/passwd', which the package does not contain",
    ),
    "an absolute path": (lambda: _stored(lambda value: setattr(value, "fileName", "/etc/passwd")), "does not contain"),
    "an offset beyond the file": (lambda: _stored(lambda value: setattr(value, "offset", 1 << 40)), "outside the file"),
    "an offset at no record": (lambda: _stored(lambda value: setattr(value, "offset", 65)), "expected a record"),
    "another type in the record": (lambda: _record(struct.pack("<I", 2), 4), "expected a record of float16 at"),
    "another size in the record": (lambda: _record(struct.pack("<Q", 35), 8), r"expected 36 bytes for \(2, 1, 3, 3\)"),
    "values beyond the file": (lambda: _record(struct.pack("<Q", 1 << 60), 16), "outside the file"),
    "another shape than stated": (
        lambda: _changed(lambda made: _stated(made, "conv", (1, 2, 3, 4))),
        r"operation 'c' \(conv\): the file states the shape \(1, 2, 3, 4\), the operation gives \(1, 2, 4, 4\)",
    ),
    "an input of another shape": (
        lambda: _changed(lambda made: setattr(made.message.description.input[0].type.imageType, "width", 5)),
        r"input 'image': the program states \(1, 1, 4, 4\), the description \(1, 1, 4, 5\)",
    ),
    "a name before it is given": (
        lambda: _changed(lambda made: setattr(_operation(made, "relu").inputs["x"].arguments[0], "name", "s")),
        r"operation 'r' \(relu\): no earlier operation gives 's'",
    ),
    "a name given twice": (
        lambda: _changed(lambda made: setattr(_operation(made, "relu").outputs[0], "name", "c")),
        "one that exists",
    ),
    "no operand": (
        lambda: _changed(lambda made: _operation(made, "relu").inputs.pop("x", None)), "expected one 'x', got 0"
    ),
    "two operands": (
        lambda: _changed(lambda made: _operation(made, "relu").inputs["x"].arguments.add(name="c")),
        "expected one 'x', got 2",
    ),
    "an output that nothing gives": (lambda: _changed(lambda made: made.gives("nobody")), "gives the output 'nobody'"),
    "fewer labels than scores": (
        lambda: _changed(lambda made: _classes(made).pop()), r"2 labels, but 's' has the shape \(1, 3\)"
    ),
    "a label of another name": (
        lambda: _changed(lambda made: setattr(made.block.operations[-1].outputs[0], "name", "other")),
        "classify gives",
    ),
    "operations behind the classifier": (
        lambda: _changed(lambda made: made.operation("relu", "late", (1, 3), x="s")), "behind the one that classifies"
    ),
    "no operations for the set": (
        lambda: _changed(lambda made: setattr(made.function, "opset", "CoreML6")), "without operations for its own set"
    ),
    "strides of 0": (lambda: _one("max_pool", (1, 1, 4, 4), kernel_sizes=np.array([2, 2]), strides=np.array([0, 1])),
                     "expected numbers from 1"),
    "three kernel sizes": (lambda: _one("max_pool", (1, 1, 4, 4), kernel_sizes=np.array([2, 2, 2])), "two numbers"),
    "a text as a number": (lambda: _one("leaky_relu", (4,), alpha=Text("x")), "expected numbers as alpha, got text"),
    "fractions as axes": (lambda: _one("squeeze", (1, 4), axes=np.array([0.5])), "expected whole numbers as axes"),
    "an axis outside": (lambda: _one("softmax", (4,), axis=np.array(3)), "axis 3 is outside rank 1"),
    "a reflection of more than there is": (
        lambda: _one("pad", (1, 4), pad=np.array([4, 0]), mode=Text("reflect")), "cannot be reflected"
    ),
    "a kernel for other channels": (lambda: _one("conv", (1, 3, 4, 4), weight=np.ones((2, 2, 1, 1))), "channels in"),
    "an empty constant": (lambda: _one("add", (4,), y=np.ones((0,))), r"broadcast|empty"),
}  # fmt: skip

TOO_MUCH: dict[str, Callable[[], bytes]] = {
    "tiling by 2^24": lambda: _one("tile", (4,), reps=np.array([1 << 24])),
    "padding by 2^24": lambda: _one("pad", (4, 4), pad=np.array([1 << 24, 1 << 24])),
    "a dilation of 2^24": lambda: _one(
        "conv", (1, 1, 4, 4), weight=np.ones((1, 1, 2, 2)), dilations=np.array([1 << 24] * 2), pad_type=Text("same")
    ),
    "doubling 60 times": lambda: _doubling(60),
    "a constant of 2^60 values": lambda: _sized(1 << 60),
    "one constant in a thousand places": lambda: _shared(1000),
    "upsampling by 2^20": lambda: _one(
        "upsample_nearest_neighbor", (1, 1, 64, 64), scale_factor_height=float(1 << 20)
    ),
}  # fmt: skip


def _one(kind: str, shape: tuple[int, ...], /, **parameters: Any) -> bytes:
    """Return a program of one operation on an array."""
    made = Program()
    made.array("x0", *shape)
    operation = made.operation(kind, "y0", (), x="x0", **parameters)
    del operation.outputs[0].type.tensorType.dimensions[:]
    operation.outputs[0].type.tensorType.dimensions.add().unknown.SetInParent()
    made.gives("y0")
    return made.model()


def _whole(kind: str) -> bytes:
    made = Program()
    made.array("x0", 4)
    made.operation(kind, "y0", (4,), x="x0", y=2).outputs[0].type.tensorType.dataType = programs.INT32
    made.gives("y0")
    return made.model()


def _typed(kind: int) -> bytes:
    made = programs.network()
    value = made.block.operations[0].attributes["val"]
    value.type.tensorType.dataType = kind
    return made.model()


def _stored(change: Callable[[Any], Any]) -> bytes:
    return _changed(lambda made: change(made.block.operations[0].attributes["val"].blobFileValue))


def _record(data: bytes, at: int) -> bytes:
    """Return the network's package with other bytes in the first record of its weight file."""

    def change(made: Program) -> None:
        start = made.block.operations[0].attributes["val"].blobFileValue.offset + at
        made.blob[start : start + len(data)] = data

    return _changed(change)


def _stated(made: Program, kind: str, shape: tuple[int, ...]) -> None:
    output = _operation(made, kind).outputs[0]
    output.type.Clear()
    programs.typed(output.type, shape)


def _classes(made: Program) -> Any:
    return made.block.operations[-1].inputs["classes"].arguments[0].value.immediateValue.list.values


def _doubling(times: int) -> bytes:
    made = Program()
    made.array("x0", 2)
    last = "x0"
    for i in range(times):
        last = made.operation("concat", f"c{i}", (2 << (i + 1),), values=[last, last], axis=np.array(0)).outputs[0].name
    made.gives(last)
    return made.model()


def _sized(count: int) -> bytes:
    made = programs.network(True)
    value = made.block.operations[0].attributes["val"]
    value.type.tensorType.dimensions[0].constant.size = count
    return made.package()


def _shared(times: int) -> bytes:
    """Return a program that uses one matrix of 4 MB in many places: each would be a copy."""
    made = Program()
    made.array("x0", 1, 1024)
    made.weights("matrix", np.zeros((1024, 1024), np.float32))
    last = "x0"
    for i in range(times):
        made.operation("linear", f"d{i}", (1, 1024), x=last, weight="matrix")
        last = f"d{i}"
    made.gives(last)
    return made.package()


@pytest.mark.parametrize("wish", ABSENT)
def test_what_is_missing_here_is_named(wish: str) -> None:
    """What this runtime does not do is refused by the name of the operation, never guessed."""
    make, match = ABSENT[wish]
    with pytest.raises(coreml.Unsupported, match=match):
        coreml.load(make())


@pytest.mark.parametrize("attack", WRONG)
def test_what_contradicts_itself_is_malformed(attack: str) -> None:
    """A program that cannot mean anything is refused with the reason; no name in it leads out of the package."""
    make, match = WRONG[attack]
    with pytest.raises(coreml.Malformed, match=match):
        coreml.load(make())


@pytest.mark.slow
@pytest.mark.parametrize("attack", TOO_MUCH)
def test_what_would_need_too_much_is_refused(attack: str) -> None:
    """Huge factors, constants and copies are refused before anything of that size exists."""
    with pytest.raises(coreml.ModelError):
        coreml.load(TOO_MUCH[attack]())


def test_the_model_of_a_package_alone() -> None:
    """An ML Program without its weight file is named as that, with what to give instead."""
    with pytest.raises(coreml.AnotherKind, match=r"without the weights .*; give the \.mlpackage"):
        coreml.load(programs.network(True).model())
