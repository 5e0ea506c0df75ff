"""Neural networks as models: plain networks, classifiers and regressors."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from numpy.typing import NDArray

from . import compiles, hidden, labels, network, preprocessing
from .body import Arrays, Body, Wanted, arguments, classifier_outputs, features
from .budget import Budget
from .features import Feature
from .layers.layer import Shape
from .network import Network

KINDS = ("neuralNetwork", "neuralNetworkClassifier", "neuralNetworkRegressor")


def build(message: Any, budget: Budget) -> Body:
    """Return the body of a neural network, classifier or regressor."""
    kind = message.WhichOneof("Type")
    if kind == "neuralNetworkClassifier":
        return _classifier(message, budget)
    inputs = arguments(message.description, budget)
    outputs = features(message.description.output, "output", budget)
    graph = getattr(message, kind)
    entrances = preprocessing.entrances(graph, inputs, budget)
    exact = compiles.exact(graph, inputs, budget)
    built = network.build(graph.layers, entrances, [output.name for output in outputs], exact, budget)
    shapes = shapes_of(built, outputs, graph.arrayInputShapeMapping == preprocessing.RANK5_ARRAYS, budget)
    return plain(built, inputs, outputs, shapes)


def _classifier(message: Any, budget: Budget) -> Body:
    """Return the body of a classifier: the probabilities' tensor becomes ``(n, k)``, the label its largest."""
    inputs = arguments(message.description, budget)
    outputs = features(message.description.output, "output", budget)
    graph = message.neuralNetworkClassifier
    names = labels.read(graph, budget)
    label, probabilities = classifier_outputs(message.description, names, budget)
    others = [output for output in outputs if output.name not in (label, probabilities)]
    entrances = preprocessing.entrances(graph, inputs, budget)
    tensor = _probability_tensor(graph, probabilities, budget)
    given = [tensor, *(output.name for output in others)]
    built = network.build(graph.layers, entrances, given, compiles.exact(graph, inputs, budget), budget)
    shapes = shapes_of(built, others, graph.arrayInputShapeMapping == preprocessing.RANK5_ARRAYS, budget)
    found = Answer(tensor, names, label, probabilities)
    return classifier(built, inputs, reshaped(outputs, shapes), shapes, found, budget)


@dataclass(frozen=True, slots=True)
class Answer:
    """The classifier part of a network: the tensor of its probabilities, its labels, and the names of both outputs."""

    tensor: str
    names: labels.Labels
    label: str
    probabilities: str | None


def classifier(
    built: Network,
    inputs: tuple[Feature, ...],
    outputs: tuple[Feature, ...],
    shapes: Mapping[str, Shape],
    answer: Answer,
    budget: Budget,
) -> Body:
    """Return the body of a classifier; ``shapes`` are those of its outputs beside label and probabilities."""
    tensor, names = answer.tensor, answer.names
    if math.prod(built.outputs[tensor]) != len(names):
        raise budget.malformed(f"{len(names)} labels, but {tensor!r} has the shape {built.outputs[tensor]}")
    return _classifying(built, inputs, outputs, shapes, answer)


def _classifying(
    built: Network,
    inputs: tuple[Feature, ...],
    outputs: tuple[Feature, ...],
    shapes: Mapping[str, Shape],
    answer: Answer,
) -> Body:
    """Return the body of a checked classifier."""
    tensor, names, label, probabilities = answer.tensor, answer.names, answer.label, answer.probabilities

    def tensors(wanted: Wanted) -> Wanted:
        return wanted & shapes.keys() | ({tensor} if wanted & {label, probabilities} else set())

    def run(arrays: Arrays, wanted: Wanted) -> dict[str, NDArray[Any]]:
        found = built.run(arrays, tensors(wanted))
        result: dict[str, NDArray[Any]] = {
            name: found[name].reshape(-1, *shapes[name]) for name in wanted & shapes.keys()
        }
        if label in wanted:
            result[label] = labels.pick(found[tensor].reshape(-1, len(names)).argmax(axis=1), names)
        if probabilities in wanted:
            result[probabilities] = found[tensor].reshape(-1, len(names))
        return result

    def cost(wanted: Wanted) -> int:
        return built.cost(tensors(wanted)) + (labels.width(names) if label in wanted else 0)

    def widened() -> Body:
        wider, extra = hidden.widened(built)
        return _classifying(wider, inputs, (*outputs, extra), {**shapes, extra.name: extra.shape}, answer)

    return Body(inputs, outputs, run, cost, names, label, probabilities, (built,), widened)


def plain(
    built: Network, inputs: tuple[Feature, ...], outputs: tuple[Feature, ...], shapes: Mapping[str, Shape]
) -> Body:
    """Return the body of a network that gives arrays, in ``shapes``."""

    def run(arrays: Arrays, wanted: Wanted) -> dict[str, NDArray[Any]]:
        found = built.run(arrays, wanted)
        return {name: x.reshape(x.shape[0], *shapes[name]) for name, x in found.items()}

    def widened() -> Body:
        wider, extra = hidden.widened(built)
        return plain(wider, inputs, (*outputs, extra), {**shapes, extra.name: extra.shape})

    return Body(inputs, reshaped(outputs, shapes), run, built.cost, networks=(built,), widened=widened)


def reshaped(outputs: tuple[Feature, ...], shapes: Mapping[str, Shape]) -> tuple[Feature, ...]:
    """Return the outputs with the shapes that ``predict`` returns."""
    return tuple(replace(output, shape=shapes.get(output.name, output.shape)) for output in outputs)


def _probability_tensor(graph: Any, probabilities: str | None, budget: Budget) -> str:
    """Return the tensor of the probabilities: the named one, else that of the output, else the last."""
    given = [name for layer in graph.layers for name in layer.output]
    if graph.labelProbabilityLayerName:
        return str(graph.labelProbabilityLayerName)
    if probabilities in given:
        return str(probabilities)
    if not given:
        raise budget.malformed("a network without layers")
    return str(given[-1])


def shapes_of(built: Network, outputs: Sequence[Feature], stripped: bool, budget: Budget) -> dict[str, Shape]:
    """Return the shape for one image that each output is given in.

    That is the described shape; where there is none, the tensor's, if ``stripped`` without the axes that the rank-5
    mapping adds.
    """
    return {output.name: _shape(built.outputs[output.name], output, stripped, budget) for output in outputs}


def _shape(tensor: Shape, feature: Feature, stripped: bool, budget: Budget) -> Shape:
    size = math.prod(tensor)
    if feature.kind == "double" and size == 1:
        return ()
    if feature.kind != "array":
        raise budget.unsupported(f"output {feature.name!r}: kind {feature.kind} with {size} values")
    if feature.shape and math.prod(feature.shape) == size:
        return feature.shape
    if stripped and len(tensor) == 5 and tensor[:2] == (1, 1):
        return tensor[2:3] if tensor[3:] == (1, 1) else tensor[2:]
    return tensor
