"""The last hidden layer of a network: the values that its last linear layer takes, as one more output.

They are an embedding of the input: a linear layer alone tells the classes apart in them.
"""

import math
from dataclasses import replace

from .errors import Unsupported
from .features import Feature
from .layers import Plan
from .network import Network, Step

OUTPUT = "last hidden layer"
"""The name of the output that ``Model.with_hidden`` adds."""
LINEAR = frozenset({"innerProduct", "batchedMatmul", "linear", "matmul"})
"""Kinds of layers and operations that multiply by a constant matrix if they take one tensor."""


def widened(network: Network) -> tuple[Network, Feature]:
    """Return the network with the output ``OUTPUT``, flattened to one axis, and the description of that output.

    Raises ``Unsupported`` if no layer is linear.
    """
    at = max((i for i, step in enumerate(network.steps) if step.kind in LINEAR and len(step.inputs) == 1), default=None)
    if at is None:
        raise Unsupported("no last hidden layer: expected a network with a linear layer; give one that has")
    shapes = {name: entrance.shape for name, entrance in network.entrances.items()}
    for step in network.steps:
        shapes.update(zip(step.outputs, step.plan.shapes, strict=True))
    if OUTPUT in shapes:
        raise Unsupported(f"a network with a tensor of the name {OUTPUT!r}, which this runtime adds; rename it")
    (taken,) = network.steps[at].inputs
    size = math.prod(shapes[taken])
    copy = Plan(((size,),), lambda x: x.reshape(x.shape[0], size), 0)
    steps = (*network.steps[:at], Step(OUTPUT, "copy", copy, (taken,), (OUTPUT,)), *network.steps[at:])
    wider = replace(network, outputs={**network.outputs, OUTPUT: (size,)}, steps=steps)
    return wider, Feature(name=OUTPUT, kind="array", shape=(size,), dtype="float32")
