"""``load`` and the ``Model`` it returns: one interface to any kind of Core ML model.

Bytes → message (``package``, ``proto``) → body (``neural``, ``mil``, ``svm``, ``pipeline``) → model. A body
takes checked arrays and returns arrays; ``Model`` adds the parts that all kinds share.
"""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import neural, package, pipeline, svm, vectors
from .arguments import checked
from .body import Arrays, Body
from .budget import Budget
from .errors import BadInput, LimitExceeded, Unsupported
from .features import Feature
from .labels import Labels
from .limits import Limits
from .metadata import texts
from .mil import program
from .proto import parse


@dataclass(frozen=True, slots=True, eq=False)
class Model:
    """A loaded file. ``inputs`` and ``outputs`` are in file order; ``labels`` is None unless it classifies.

    ``label_name`` and ``probabilities_name`` are the keys of the two classifier outputs in what ``predict`` returns;
    a classifier without probabilities (a plain support-vector machine) has None for the second.
    """

    name: str
    sha256: str
    kind: str
    spec_version: int
    inputs: tuple[Feature, ...]
    outputs: tuple[Feature, ...]
    labels: Labels | None
    label_name: str | None
    probabilities_name: str | None
    metadata: Mapping[str, str]
    body: Body = field(repr=False)
    limits: Limits = field(repr=False)

    def predict(self, inputs: Arrays, wanted: Iterable[str] | None = None) -> dict[str, NDArray[Any]]:
        """Return the outputs named in ``wanted``, or all, for ``n`` inputs at once.

        Takes, for each input by name: grayscale images ``(n, height, width) uint8``, colour images
        ``(n, height, width, 3) uint8`` in RGB order, arrays ``(n, *shape)`` of numbers. Gives arrays ``(n, …)``,
        float32 from networks; of classifiers probabilities ``(n, k)`` in the order of ``labels`` and the predicted
        labels ``(n,)`` as int64 or strings. Raises ``BadInput`` for arrays or names that do not match the description,
        ``LimitExceeded`` if the outputs of all ``n`` together are too large; then give fewer inputs.
        """
        names = [output.name for output in self.outputs]
        kept = frozenset(names if wanted is None else wanted)
        if not kept <= set(names):
            raise BadInput(f"{self.name}: expected names among the outputs {names[:8]}, got {sorted(kept)[:8]}")
        given = checked(inputs, self.inputs, self.name)
        count = next(iter(given.values())).shape[0]
        values = count * self.body.cost(kept)
        if values > self.limits.results:
            raise LimitExceeded(
                f"{self.name}: {values} values of outputs for {count} inputs, at most {self.limits.results} are kept: "
                "give fewer inputs or ask for fewer outputs"
            )
        with np.errstate(all="ignore"):  # the phone also overflows to infinity
            found = self.body.run(given, kept)
        return {name: found[name] for name in names if name in kept}

    def with_hidden(self) -> "Model":
        """Return the same model with one output more, ``LAST_HIDDEN``: what its last linear layer takes.

        That output is ``(n, d) float32``; asked for together with others it costs no second run. Raises ``Unsupported``
        for support-vector machines, pipelines, and networks without a linear layer.
        """
        if self.body.widened is None:
            raise Unsupported(f"{self.name}: a model of kind {self.kind} has no hidden layer; give a neural network")
        body = self.body.widened()
        return replace(self, outputs=body.outputs, body=body)


def load(data: bytes, *, name: str = "model.mlmodel", limits: Limits | None = None) -> Model:
    """Return the model in ``data``, a ``.mlmodel`` or a zipped ``.mlpackage``; ``name`` is for error messages.

    Raises ``ModelError`` and no other error.
    """
    limits = limits or Limits()
    contents = package.opened(data, name, limits)
    message = parse(contents.model, name, limits)
    loaded = build(message, Budget(name, limits, contents.files))
    return Model(
        name=name,
        sha256=hashlib.sha256(data).hexdigest(),
        kind=message.WhichOneof("Type"),
        spec_version=message.specificationVersion,
        inputs=loaded.inputs,
        outputs=loaded.outputs,
        labels=loaded.labels,
        label_name=loaded.label_name,
        probabilities_name=loaded.probabilities_name,
        metadata=MappingProxyType(texts(message.description.metadata)),
        body=loaded,
        limits=limits,
    )


def build(message: Any, budget: Budget) -> Body:
    """Return the body of a model message of any supported kind."""
    if message.specificationVersion < 1:
        raise budget.malformed(f"expected a specification version from 1, got {message.specificationVersion}")
    kind = message.WhichOneof("Type")
    with np.errstate(all="ignore"):  # weights may be infinite, and so may results computed from them
        return _build(kind, message, budget)


def _build(kind: str | None, message: Any, budget: Budget) -> Body:
    if kind in neural.KINDS:
        return neural.build(message, budget)
    if kind == "supportVectorClassifier":
        return svm.build(message, budget)
    if kind in pipeline.KINDS:
        return pipeline.build(message, budget, build)
    if kind in vectors.KINDS:
        return vectors.build(message, budget)
    if kind == program.KIND:
        return program.build(message, budget)
    raise budget.unsupported(f"a model of kind {kind or 'none'}")
