"""Summarise a file for people: layers, shapes, weights and their precision, metadata, the lowest iOS version.

A file that parses but does not run here is described too; ``problem`` gives the reason.
"""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from . import neural, package, pipeline, versions
from .body import features
from .budget import Budget
from .errors import ModelError
from .features import Feature
from .labels import Labels
from .limits import Limits
from .metadata import texts
from .mil import contents as mil_contents
from .mil import program
from .model import build
from .network import Network, Step
from .proto import parse
from .weights import every, precision, stored

LOWEST_IOS: Mapping[int, str] = {
    1: "11.0", 2: "11.2", 3: "12.0", 4: "13.0", 5: "14.0", 6: "15.0", 7: "16.0", 8: "17.0", 9: "18.0", 10: "26.0",
}  # fmt: skip
"""The first iOS for each specification version; coremltools 9.0, ``_SPECIFICATION_VERSION_IOS_…``. A file may use
more than the version it states has; then what it uses counts (``versions``)."""


@dataclass(frozen=True, slots=True)
class LayerSummary:
    """One layer, or one model in a pipeline that has none; ``stage`` counts a pipeline's networks and others from 0.

    ``shapes`` are those of its outputs for one image, empty where the file does not run. ``weights`` are values
    stored, ``precisions`` how (``float32``, ``float16``, ``linear 8 bit``, ``table 4 bit``), ``macs`` elementary steps
    per image.
    """

    stage: int
    name: str
    kind: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    shapes: tuple[tuple[int, ...], ...]
    weights: int
    precisions: tuple[str, ...]
    macs: int


@dataclass(frozen=True, slots=True)
class Summary:
    """One file; ``to_dict`` gives it as plain JSON values."""

    name: str
    sha256: str
    size_bytes: int
    kind: str
    spec_version: int
    lowest_ios: str
    inputs: tuple[Feature, ...]
    outputs: tuple[Feature, ...]
    labels: Labels | None
    metadata: Mapping[str, str]
    layers: tuple[LayerSummary, ...]
    weights: int
    precisions: tuple[str, ...]
    macs: int
    problem: str | None
    """The reason why ``load`` refuses the file; None if it runs."""

    def to_dict(self) -> dict[str, Any]:
        """Return dictionaries, lists, strings and numbers only."""
        plain: dict[str, Any] = asdict(self)
        return plain


def inspect(data: bytes, *, name: str = "model.mlmodel", limits: Limits | None = None) -> Summary:
    """Return the summary of a file; raises ``ModelError`` where it is no Core ML model or describes no features."""
    limits = limits or Limits()
    contents = package.opened(data, name, limits)
    message = parse(contents.model, name, limits)
    described = Budget(name, limits)
    inputs = features(message.description.input, "input", described)
    outputs = features(message.description.output, "output", described)
    problem = labels = None
    networks: list[Network] = []
    try:
        body = build(message, Budget(name, limits, contents.files))
        labels, networks = body.labels, list(body.networks)
    except ModelError as error:
        problem = str(error)
    layers = tuple(_layers(message, networks))
    version = max(message.specificationVersion, *(versions.needed(model) for model in pipeline.flat(message)), 0)
    return Summary(
        name=name,
        sha256=hashlib.sha256(data).hexdigest(),
        size_bytes=len(data),
        kind=message.WhichOneof("Type") or "none",
        spec_version=message.specificationVersion,
        lowest_ios=LOWEST_IOS.get(version, "unknown"),
        inputs=inputs,
        outputs=outputs,
        labels=labels,
        metadata=texts(message.description.metadata),
        layers=layers,
        weights=sum(layer.weights for layer in layers),
        precisions=tuple(sorted({each for layer in layers for each in layer.precisions})),
        macs=sum(layer.macs for layer in layers),
        problem=problem,
    )


def _layers(message: Any, networks: list[Network]) -> Iterator[LayerSummary]:
    """Yield the layers of a model and of all models in it; ``networks`` are the planned ones, in the same order."""
    planned = iter(networks)
    for stage, model in enumerate(pipeline.flat(message)):
        kind = model.WhichOneof("Type") or "none"
        if kind in neural.KINDS:
            network = next(planned, None)
            steps = network.steps if network else ()
            for index, layer in enumerate(getattr(model, kind).layers):
                yield _layer(layer, stage, steps[index] if steps else None)
        elif kind == program.KIND:
            yield from _operations(model, stage, next(planned, None))
        else:
            yield _other(model, kind, stage)


def _layer(message: Any, stage: int, step: Step | None) -> LayerSummary:
    found = [params for params in every(message) if stored(params)]
    return LayerSummary(
        stage=stage,
        name=message.name,
        kind=message.WhichOneof("layer") or "unknown",
        inputs=tuple(message.input),
        outputs=tuple(message.output),
        shapes=step.plan.shapes if step else (),
        weights=sum(stored(params) for params in found),
        precisions=tuple(sorted({precision(params) for params in found})),
        macs=step.plan.macs if step else 0,
    )


def _operations(model: Any, stage: int, network: Network | None) -> Iterator[LayerSummary]:
    """Yield the operations of an ML Program that compute something."""
    steps = {step.name: step for step in network.steps} if network else {}
    for found in mil_contents.operations(model.mlProgram):
        step = steps.get(found.name)
        yield LayerSummary(
            stage=stage,
            name=found.name,
            kind=found.kind,
            inputs=found.inputs,
            outputs=found.outputs,
            shapes=step.plan.shapes if step else (),
            weights=found.weights,
            precisions=found.precisions,
            macs=step.plan.macs if step else 0,
        )


def _other(model: Any, kind: str, stage: int) -> LayerSummary:
    """Return the summary of a model without layers; a support-vector machine's weights are all its numbers."""
    weights = 0
    if kind == "supportVectorClassifier":
        svm = model.supportVectorClassifier
        weights = sum(len(row.values) for row in svm.denseSupportVectors.vectors)
        weights += sum(len(row.nodes) for row in svm.sparseSupportVectors.vectors)
        weights += sum(len(each.alpha) for each in svm.coefficients) + len(svm.rho)
    description = model.description
    return LayerSummary(
        stage=stage,
        name=kind,
        kind=kind,
        inputs=tuple(feature.name for feature in description.input),
        outputs=tuple(feature.name for feature in description.output),
        shapes=(),
        weights=weights,
        precisions=("float64",) if weights else (),
        macs=0,
    )
