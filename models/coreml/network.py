"""A neural network: its graph checked, every shape known, every layer planned; and its execution.

Rules, checked in this order while loading:

1. Every layer has a kind that this runtime knows, and its inputs are the network's inputs or earlier layers' outputs.
2. All outputs have different names, also different from the inputs' names. (So the graph has no cycle.)
3. Apple's compiler accepts it (``compiles``).
4. Each layer accepts the shapes that reach it; every tensor and the sum of all stay within ``Limits``.
5. The outputs in the description exist.

Execution takes images in chunks whose working set fits the processor's cache, and drops a tensor after its last use.
"""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import blas, compiles
from .budget import Budget
from .layers import KINDS, Layer, Plan
from .layers.layer import Array, Shape
from .preprocessing import Entrance

CHUNK = 1 << 20
"""Values of a chunk's largest layer with inputs, outputs and working memory: 4 MB, nearly the size of an L2 cache.

From 2^18 to 2^22 all took 1.1 to 1.6 s of processor time for 10,000 MNIST images (2 cores, load 5, one run
each); smaller chunks hold less memory."""
LIVE = 64 << 20
"""The largest number of values of all tensors in a chunk: 256 MB, unless a single image needs more."""


@dataclass(frozen=True, slots=True)
class Step:
    """One planned layer in the network: its input and output tensors, and the tensors that are not used after it."""

    name: str
    kind: str
    plan: Plan
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    dropped: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Network:
    """A checked network, ready to run."""

    entrances: Mapping[str, Entrance]
    outputs: Mapping[str, Shape]
    steps: tuple[Step, ...]
    chunk: int
    """The number of images in a chunk."""

    @property
    def macs(self) -> int:
        """Elementary steps per image."""
        return sum(step.plan.macs for step in self.steps)

    def cost(self, wanted: Collection[str]) -> int:
        """Values per image that keeping these outputs takes."""
        return sum(math.prod(self.outputs[name]) for name in wanted)

    def run(self, given: Mapping[str, NDArray[Any]], wanted: Collection[str]) -> dict[str, Array]:
        """Return the wanted outputs ``(n, …)`` for checked inputs ``(n, …)`` as a caller gives them."""
        count = next(iter(given.values())).shape[0]
        results = {name: np.empty((count, *self.outputs[name]), np.float32) for name in wanted}

        def work(chunk: slice) -> None:
            with np.errstate(all="ignore"):  # threads do not inherit it
                found = self._chunk({name: e.convert(given[name][chunk]) for name, e in self.entrances.items()})
            for name, result in results.items():
                result[chunk] = found[name]

        blas.map_chunks(work, count, self.chunk)
        return results

    def _chunk(self, tensors: dict[str, Array]) -> dict[str, Array]:
        for step in self.steps:
            given = step.plan.run(*(tensors[name] for name in step.inputs))
            arrays = given if isinstance(given, tuple) else (given,)
            tensors.update(zip(step.outputs, arrays, strict=True))
            for name in step.dropped:
                del tensors[name]
        return tensors


def build(
    layers: Sequence[Any], entrances: Mapping[str, Entrance], outputs: Sequence[str], exact: bool, budget: Budget
) -> Network:
    """Return the network of ``layers`` behind ``entrances``, keeping the tensors named ``outputs``.

    With ``exact``, tensors have the rank that the file states, not always 5.
    """
    shapes = {name: entrance.shape for name, entrance in entrances.items()}
    steps: list[Step] = []
    for message in layers:
        budget.layer()
        layer = _layer(message, shapes, layers, budget)
        compiles.check(layer, exact)
        plan = spent(KINDS[layer.kind](layer), layer)
        shapes.update(zip(message.output, plan.shapes, strict=True))
        steps.append(Step(layer.name, layer.kind, plan, tuple(message.input), tuple(message.output)))
    return assembled(steps, entrances, outputs, budget)


def spent(plan: Plan, layer: Layer) -> Plan:
    """Return ``plan``, refusing one whose tensors or work are over the limits."""
    for shape in (*plan.shapes, (plan.scratch,)) if plan.scratch else plan.shapes:
        layer.fits(shape)
    layer.budget.spend(plan.shapes, plan.macs)
    return plan


def assembled(
    steps: Sequence[Step], entrances: Mapping[str, Entrance], outputs: Sequence[str], budget: Budget
) -> Network:
    """Return the network of planned steps, each tensor dropped after its last use unless ``outputs`` names it."""
    shapes = {name: entrance.shape for name, entrance in entrances.items()}
    for step in steps:
        shapes.update(zip(step.outputs, step.plan.shapes, strict=True))
    for name in outputs:
        if name not in shapes:
            raise budget.malformed(f"no layer gives the output {name!r}")
    last = {name: index for index, step in enumerate(steps) for name in step.inputs}
    wanted, ordered = frozenset(outputs), []
    for index, step in enumerate(steps):
        touched = dict.fromkeys([*step.inputs, *step.outputs])
        dropped = tuple(name for name in touched if last.get(name, -1) <= index and name not in wanted)
        ordered.append(replace(step, dropped=dropped))
    kept = {name: shapes[name] for name in outputs}
    return Network(entrances, kept, tuple(ordered), _chunk_size(ordered, entrances, shapes))


def _layer(message: Any, shapes: Mapping[str, Shape], layers: Sequence[Any], budget: Budget) -> Layer:
    """Return the layer of one message, refusing an unknown kind, missing inputs and outputs that exist already."""
    kind = message.WhichOneof("layer")
    where = f"layer {message.name!r} ({kind})"
    if kind is None:
        raise budget.unsupported(f"layer {message.name!r} is of a kind that the specification reader does not know")
    if kind not in KINDS:
        raise budget.unsupported(f"{where}: this kind of layer")
    for name in message.input:
        if name not in shapes:
            later = any(name in other.output for other in layers)
            problem = "is only given by a later layer: a cycle or wrong order" if later else "is given by no layer"
            raise budget.malformed(f"{where}: input {name!r} {problem}")
    outputs = list(message.output)
    if "" in outputs or len(set(outputs)) < len(outputs) or not shapes.keys().isdisjoint(outputs):
        raise budget.malformed(f"{where}: among outputs {outputs[:8]} one has no name or an existing name")
    given = tuple(shapes[name] for name in message.input)
    return Layer(message.name, kind, getattr(message, kind), given, len(outputs), budget)


def _chunk_size(steps: Sequence[Step], entrances: Mapping[str, Entrance], shapes: Mapping[str, Shape]) -> int:
    """Return how many images at once keep the largest step within ``CHUNK`` and all that is held within ``LIVE``."""
    largest = 1
    live = peak = sum(math.prod(entrance.shape) for entrance in entrances.values())
    for step in steps:
        given = sum(math.prod(shapes[name]) for name in step.outputs)
        largest = max(largest, sum(math.prod(shapes[name]) for name in step.inputs) + given + step.plan.scratch)
        live += given
        peak = max(peak, live + step.plan.scratch)
        live -= sum(math.prod(shapes[name]) for name in step.dropped)
    return max(1, min(1024, CHUNK // largest, LIVE // peak))
