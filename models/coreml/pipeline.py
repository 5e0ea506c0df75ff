"""Pipelines: models in sequence; each takes the inputs and the outputs of earlier stages.

Rules, checked while loading: every stage's inputs exist with the right kind and size; the last stage of a classifier
pipeline classifies; a stage gives each output in the description.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from numpy.typing import NDArray

from .arguments import checked
from .body import Arrays, Body, Wanted, arguments, classifier_outputs, features
from .budget import Budget
from .features import Feature

KINDS = ("pipeline", "pipelineClassifier", "pipelineRegressor")


def build(message: Any, budget: Budget, stage: Callable[[Any, Budget], Body]) -> Body:
    """Return the body of a pipeline; ``stage`` builds one of its models."""
    budget.layer()
    inputs = arguments(message.description, budget)
    outputs = features(message.description.output, "output", budget)
    kind = message.WhichOneof("Type")
    models = stages_in(message)
    if not models:
        raise budget.malformed("a pipeline without models")
    stages: list[Body] = []
    given = {feature.name: feature for feature in inputs}
    for position, model in enumerate(models):
        stages.append(_fitted(stage(model, budget), given, position, budget))
        given.update({feature.name: feature for feature in stages[-1].outputs})
    for output in outputs:
        if output.name not in given:
            raise budget.malformed(f"no stage of the pipeline gives the output {output.name!r}")
    networks = tuple(network for each in stages for network in each.networks)
    whole = Body(inputs, outputs, _runner(stages, budget.file), _cost(stages), networks=networks)
    return _classifying(whole, stages[-1], message, budget) if kind == "pipelineClassifier" else whole


def stages_in(message: Any) -> Sequence[Any]:
    """Return the models of a pipeline message."""
    kind = message.WhichOneof("Type")
    models: Sequence[Any] = (message if kind == "pipeline" else getattr(message, kind)).pipeline.models
    return models


def flat(message: Any) -> Iterator[Any]:
    """Yield a model that is not a pipeline, or the models in the pipeline, in order."""
    if message.WhichOneof("Type") not in KINDS:
        yield message
        return
    for model in stages_in(message):
        yield from flat(model)


def _fitted(body: Body, given: dict[str, Feature], position: int, budget: Budget) -> Body:
    """Return ``body``; refuse it if an input is missing or has another kind or size."""
    for wanted in body.inputs:
        found = given.get(wanted.name)
        if found is None:
            raise budget.malformed(
                f"stage {position} of the pipeline needs {wanted.name!r}, which no earlier stage gives"
            )
        same_image = (found.height, found.width, found.colour) == (wanted.height, wanted.width, wanted.colour)
        same_size = math.prod(found.shape) == math.prod(wanted.shape)
        if found.kind != wanted.kind or not same_image or not same_size:
            raise budget.malformed(f"stage {position} of the pipeline gets {wanted.name!r} in another kind or size")
    return body


def _classifying(body: Body, last: Body, message: Any, budget: Budget) -> Body:
    if last.labels is None:
        raise budget.malformed("the last stage of a classifier pipeline is not a classifier")
    label, probabilities = classifier_outputs(message.description, last.labels, budget)
    if label != last.label_name or probabilities not in (None, last.probabilities_name):
        raise budget.malformed("the last stage of a classifier pipeline does not give its label and probabilities")
    return replace(body, labels=last.labels, label_name=label, probabilities_name=probabilities)


def _needs(stages: list[Body], wanted: Wanted) -> list[Wanted]:
    """Return the outputs of each stage that the result or a later used stage needs."""
    needed, found = set(wanted), []
    for stage in reversed(stages):
        given = needed & {output.name for output in stage.outputs}
        found.append(frozenset(given))
        needed -= given
        needed.update(feature.name for feature in stage.inputs if given)
    return found[::-1]


def _cost(stages: list[Body]) -> Callable[[Wanted], int]:
    def cost(wanted: Wanted) -> int:
        return sum(stage.cost(needed) for stage, needed in zip(stages, _needs(stages, wanted), strict=True))

    return cost


def _runner(stages: list[Body], file: str) -> Callable[[Arrays, Wanted], dict[str, NDArray[Any]]]:
    def run(arrays: Arrays, wanted: Wanted) -> dict[str, NDArray[Any]]:
        pool = dict(arrays)
        for stage, needed in zip(stages, _needs(stages, wanted), strict=True):
            if not needed:
                continue
            taken = {}
            for feature in stage.inputs:
                x = pool[feature.name]
                taken[feature.name] = x.reshape(x.shape[0], *feature.shape) if feature.kind == "array" else x
            pool.update(stage.run(checked(taken, stage.inputs, file), needed))
        return {name: pool[name] for name in wanted}

    return run
