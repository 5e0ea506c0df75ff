"""The loaded form of every kind of Core ML model: its features, and a function that runs it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from .budget import Budget
from .errors import LimitExceeded
from .features import Feature, read
from .labels import Labels
from .network import Network

Arrays = Mapping[str, NDArray[Any]]
Wanted = frozenset[str]
"""Names of outputs."""


@dataclass(frozen=True, slots=True, eq=False)
class Body:
    """A loaded model or stage of a pipeline.

    ``run`` takes checked arrays for ``inputs`` and returns the wanted outputs; ``cost`` returns the number of values of
    4 bytes that it keeps for them per image.
    """

    inputs: tuple[Feature, ...]
    outputs: tuple[Feature, ...]
    run: Callable[[Arrays, Wanted], dict[str, NDArray[Any]]]
    cost: Callable[[Wanted], int]
    labels: Labels | None = None
    label_name: str | None = None
    probabilities_name: str | None = None
    networks: tuple[Network, ...] = ()
    """The networks inside, in file order, for ``inspect``."""
    widened: Callable[[], "Body"] | None = None
    """Return the same model with ``hidden.OUTPUT`` among its outputs; None for kinds without hidden layers."""


def features(messages: Any, what: str, budget: Budget) -> tuple[Feature, ...]:
    """Return the inputs or outputs of a description; at least one, each name once."""
    if len(messages) > budget.limits.layers:
        raise LimitExceeded(f"{budget.file}: {len(messages)} {what}s, at most {budget.limits.layers} are allowed")
    found = tuple(read(message, budget) for message in messages)
    names = [feature.name for feature in found]
    if not found or len(set(names)) != len(names):
        raise budget.malformed(f"expected at least one {what}, each with a different name, got {names[:8]}")
    return found


def arguments(description: Any, budget: Budget) -> tuple[Feature, ...]:
    """Return the inputs of a description; refuse kinds that an array cannot represent."""
    found = features(description.input, "input", budget)
    for feature in found:
        if feature.kind not in ("image", "array", "double", "int64"):
            raise budget.unsupported(f"input {feature.name!r} of kind {feature.kind}")
    return found


def classifier_outputs(description: Any, labels: Labels, budget: Budget) -> tuple[str, str | None]:
    """Return the names of the label and the probabilities (None if the file has none) of a classifier."""
    kinds = {output.name: output.type.WhichOneof("Type") for output in description.output}
    label, probabilities = description.predictedFeatureName, description.predictedProbabilitiesName
    wanted = "int64Type" if isinstance(labels[0], int) else "stringType"
    if kinds.get(label) != wanted:
        raise budget.malformed(f"expected an output {label!r} of {wanted} for the predicted label")
    if probabilities and kinds.get(probabilities) != "dictionaryType":
        raise budget.malformed(f"expected an output {probabilities!r} of dictionaryType for the probabilities")
    return label, probabilities or None
