"""An ML Program as a model: its constants read, its operations planned, its classifier found.

Rules, checked in file order: a name is given once, by an input, a constant or an operation, and before it is used;
every operation and every parameter is known; every shape is the one the file states. Programs of several functions,
with state or with control flow are refused by name.
"""
# ruff: noqa: TID252  (relative, so that the folder can be lifted out whole)

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import numpy as np

from .. import labels, network, preprocessing
from ..body import Body, arguments, classifier_outputs, features
from ..budget import Budget
from ..layers.layer import Array, Plan, Shape
from ..network import Step
from ..neural import Answer, classifier, plain, reshaped, shapes_of
from ..preprocessing import EXACT_ARRAYS, RANK4_IMAGES, Entrance
from ..proto import model_pb2
from . import arrange, compressed, elementwise, sums, values, windows
from .operation import Kind, Operation
from .values import Constant, as_float

KIND, CONSTANT, CLASSIFY = "mlProgram", "const", "classify"
OPERATIONS: Mapping[str, Kind] = MappingProxyType(
    {**arrange.OPERATIONS, **elementwise.OPERATIONS, **sums.OPERATIONS, **windows.OPERATIONS}
)
"""Every operation that this runtime knows, beside constants and ``classify``."""
_LISTS = ("values", "classes")
_FRACTIONS, _FLOATS = ("real_div", "pow"), (10, 11)
"""Operations that give fractions here, and the types that have them."""


@dataclass(slots=True)
class _Scope:
    """The results of the operations read so far."""

    budget: Budget
    shapes: dict[str, Shape] = field(default_factory=dict)
    constants: dict[str, Constant] = field(default_factory=dict)
    unread: dict[str, Any] = field(default_factory=dict)
    """``Value`` messages of constants; each is read when an operation first wants it."""

    def constant(self, name: str) -> Constant | None:
        """Return the constant of a name; None where it is a tensor."""
        if name in self.unread:
            self.constants[name] = values.read(self.unread.pop(name), self.budget)
        return self.constants.get(name)

    def check_new(self, operation: Any) -> None:
        """Refuse an operation with an output of an existing name or without a name."""
        names = [output.name for output in operation.outputs]
        known = any(name in each for name in names for each in (self.shapes, self.constants, self.unread))
        if not names or known or "" in names or len(set(names)) < len(names):
            raise self.budget.malformed(
                f"operation {operation.type!r}: among its outputs {names[:8]} one has no name or one that exists"
            )


def build(message: Any, budget: Budget) -> Body:
    """Return the body of an ML Program."""
    inputs = arguments(message.description, budget)
    outputs = features(message.description.output, "output", budget)
    function = _function(message.mlProgram, budget)
    body = function.block_specializations[function.opset]
    entrances = _entrances(inputs, function, budget)
    scope = _Scope(budget, {name: entrance.shape for name, entrance in entrances.items()})
    steps = list(_steps(body, scope))
    last = body.operations[-1] if body.operations else None
    if last is None or last.type != CLASSIFY:
        built = network.assembled(steps, entrances, [output.name for output in outputs], budget)
        return plain(built, inputs, outputs, shapes_of(built, outputs, False, budget))
    answer = _answer(last, message.description, scope)
    others = [output for output in outputs if output.name not in (answer.label, answer.probabilities)]
    built = network.assembled(steps, entrances, [answer.tensor, *(output.name for output in others)], budget)
    shapes = shapes_of(built, others, False, budget)
    return classifier(built, inputs, reshaped(outputs, shapes), shapes, answer, budget)


def _function(program: Any, budget: Budget) -> Any:
    """Return a program's only function, which has a block for its own set of operations."""
    if len(program.functions) != 1:
        raise budget.unsupported(f"an ML Program of {len(program.functions)} functions, other than one,")
    (function,) = program.functions.values()
    if function.opset not in function.block_specializations:
        raise budget.malformed(f"an ML Program without operations for its own set {function.opset!r}")
    return function


def _entrances(inputs: Any, function: Any, budget: Budget) -> dict[str, Entrance]:
    """Return the entrances of a program: tensors have the shape that the file gives them, pixels are not scaled."""
    mapping = model_pb2().Model().neuralNetwork
    mapping.arrayInputShapeMapping, mapping.imageInputShapeMapping = EXACT_ARRAYS, RANK4_IMAGES
    entrances = preprocessing.entrances(mapping, inputs, budget)
    for stated in function.inputs:
        shape = values.shape_of(stated.type, budget)
        described = entrances[stated.name].shape if stated.name in entrances else None
        if described is None or shape not in (None, described):
            raise budget.malformed(f"input {stated.name!r}: the program states {shape}, the description {described}")
    return entrances


def _steps(body: Any, scope: _Scope) -> Iterator[Step]:
    """Yield the planned operations in order; constants and values computed only from them go into ``scope``."""
    for index, operation in enumerate(body.operations):
        scope.check_new(operation)
        name = operation.outputs[0].name
        if operation.type == CONSTANT:
            scope.unread[name] = operation.attributes["val"]
        elif operation.type in compressed.OPERATIONS:
            scope.constants[name] = _dense(operation, scope)
        elif operation.type != CLASSIFY:
            step = _step(operation, scope)
            scope.shapes.update(zip(step.outputs, step.plan.shapes, strict=True))
            yield step
        elif index + 1 != len(body.operations):
            raise scope.budget.malformed("operations behind the one that classifies")


def _step(message: Any, scope: _Scope) -> Step:
    """Return one operation, planned."""
    budget, name, kind = scope.budget, message.outputs[0].name, OPERATIONS.get(message.type)
    budget.layer()
    if kind is None or len(message.blocks):
        raise budget.unsupported(f"operation {name!r} ({message.type}): this kind of operation")
    unknown = [key for key in message.inputs if key not in (*kind.operands, *kind.constants)]
    if unknown:
        raise budget.unsupported(f"operation {name!r} ({message.type}): the parameter {unknown[0]!r}")
    operands = [_operand(each, message, scope) for key in kind.operands for each in _bound(message, key, scope)]
    op = Operation(
        name=name,
        kind=message.type,
        params=None,
        shapes=tuple(shape for _, shape, _ in operands),
        outputs=len(message.outputs),
        budget=budget,
        given={key: _given(message, key, scope) for key in sorted(kind.constants) if key in message.inputs},
    )
    for shape in op.shapes:
        op.fits(shape, "operand")
    plan = network.spent(kind.plan(op), op)
    _check_outputs(message, plan, op)
    tensors = tuple(name for name, _, constant in operands if constant is None)
    constants = [constant for _, _, constant in operands]
    return Step(name, message.type, _filled(plan, constants), tensors, tuple(each.name for each in message.outputs))


def _bound(message: Any, key: str, scope: _Scope) -> Any:
    """Return a parameter's bindings: one name or value, or at least one for a list."""
    found = message.inputs[key].arguments if key in message.inputs else ()
    if not found or (len(found) > 1 and key not in _LISTS):
        where = f"operation {message.outputs[0].name!r} ({message.type})"
        raise scope.budget.malformed(f"{where}: expected one {key!r}, got {len(found)}")
    return found


def _operand(binding: Any, message: Any, scope: _Scope) -> tuple[str, Shape, Array | None]:
    """Return an operand's name, shape, and array if it is constant, with the images' axis in front."""
    named = binding.WhichOneof("binding") == "name"
    found = scope.constant(binding.name) if named else values.read(binding.value, scope.budget)
    where = f"operation {message.outputs[0].name!r} ({message.type})"
    if isinstance(found, tuple):
        raise scope.budget.unsupported(f"{where}: text as a tensor")
    if found is not None:
        scope.budget.spend_weights(found.shape)
        return binding.name, found.shape, as_float(found)[None]
    if binding.name not in scope.shapes:
        raise scope.budget.malformed(f"{where}: no earlier operation gives {binding.name!r}")
    return binding.name, scope.shapes[binding.name], None


def _given(message: Any, key: str, scope: _Scope) -> Constant:
    """Return a parameter that has to be constant."""
    found: list[Constant] = []
    for binding in message.inputs[key].arguments:
        named = binding.WhichOneof("binding") == "name"
        constant = scope.constant(binding.name) if named else values.read(binding.value, scope.budget)
        if constant is None:
            raise scope.budget.unsupported(
                f"operation {message.outputs[0].name!r} ({message.type}): {key} that is computed while running"
            )
        found.append(constant)
    return found[0] if len(found) == 1 else values.joined(found, scope.budget)


def _dense(message: Any, scope: _Scope) -> Array:
    """Return a compressed constant's values; its parameters are attributes (iOS 16) or inputs (iOS 18)."""
    attributes = {key: values.read(value, scope.budget) for key, value in message.attributes.items() if key != "name"}
    inputs = {key: _given(message, key, scope) for key in message.inputs}
    name, outputs = message.outputs[0].name, len(message.outputs)
    op = Operation(name, message.type, None, (), outputs, scope.budget, {**attributes, **inputs})
    found = compressed.OPERATIONS[message.type](op)
    _check_outputs(message, Plan((found.shape,), lambda: found, 0), op)
    return found


def _check_outputs(message: Any, plan: Plan, op: Operation) -> None:
    """Refuse an operation that would give other shapes than the file states: one of the two is wrong."""
    if op.kind in _FRACTIONS and message.outputs[0].type.tensorType.dataType not in _FLOATS:
        raise op.unsupported("division or power of whole numbers")
    stated = [values.shape_of(output.type, op.budget) for output in message.outputs]
    if len(stated) != len(plan.shapes):
        raise op.malformed(f"expected {len(plan.shapes)} outputs, got {len(stated)}")
    for shape, found in zip(stated, plan.shapes, strict=True):
        if shape not in (None, found):
            raise op.malformed(f"the file states the shape {shape}, the operation gives {found}")


def _filled(plan: Plan, constants: list[Array | None]) -> Plan:
    """Return the plan with its constant operands put in their places."""
    if all(constant is None for constant in constants):
        return plan

    def run(*tensors: Array) -> Array | tuple[Array, ...]:
        rest = iter(tensors)
        return plan.run(*(next(rest) if constant is None else constant for constant in constants))

    return Plan(plan.shapes, run, plan.macs, plan.scratch)


def _answer(message: Any, description: Any, scope: _Scope) -> Answer:
    """Return the parameters of ``classify``: the tensor of the probabilities, the labels, the names of both outputs."""
    budget = scope.budget
    tensor, _, constant = _operand(_bound(message, "probabilities", scope)[0], message, scope)
    _bound(message, "classes", scope)
    found = _given(message, "classes", scope)
    names: labels.Labels = (
        found
        if isinstance(found, tuple)
        else tuple(int(each) for each in np.ravel(found)[: budget.limits.labels + 1].tolist())
    )
    if constant is not None or (not isinstance(found, tuple) and found.dtype.kind not in "iu"):
        raise budget.malformed("classify: expected computed probabilities and labels that are texts or whole numbers")
    label, probabilities = classifier_outputs(description, labels.checked(names, budget), budget)
    given = [output.name for output in message.outputs]
    if given[:1] != [label] or (probabilities is not None and given[1:] != [probabilities]):
        raise budget.malformed(f"classify gives {given[:4]}, the description names {label!r} and {probabilities!r}")
    return Answer(tensor, names, label, probabilities)
