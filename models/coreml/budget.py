"""The resources used so far while loading one file, and its limits; a pipeline's stages share one budget."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from .errors import LimitExceeded, Malformed, Unsupported
from .limits import Limits


@dataclass(slots=True)
class Budget:
    """Running sums over one file; ``file`` is its name for messages, ``files`` are the other files of a package."""

    file: str
    limits: Limits
    files: Mapping[str, bytes] = field(default_factory=dict)
    layers: int = 0
    weights: int = 0
    values: int = 0
    macs: int = 0
    products: int = 0

    def malformed(self, why: str) -> Malformed:
        """Return the error to raise for a file that contradicts itself."""
        return Malformed(f"{self.file}: {why}")

    def unsupported(self, what: str) -> Unsupported:
        """Return the error to raise for something that this runtime does not support."""
        return Unsupported(f"{self.file}: {what} is not supported")

    def layer(self) -> None:
        """Count one layer or stage."""
        self.layers += 1
        self._check("layers", self.layers, self.limits.layers)

    def spend_weights(self, shape: tuple[int, ...]) -> None:
        """Count weights about to be unpacked."""
        self.weights += math.prod(shape)
        self._check("weights", self.weights, self.limits.weights)

    def spend_products(self, count: int) -> None:
        """Count the separate matrix products that one layer does for each image."""
        self.products += count
        self._check("matrix products per image", self.products, self.limits.products)

    def spend(self, shapes: tuple[tuple[int, ...], ...], macs: int) -> None:
        """Count the tensors and the work that one layer adds for each image."""
        self.values += sum(math.prod(shape) for shape in shapes)
        self.macs += macs
        self._check("values in its tensors", self.values, self.limits.tensors)
        self._check("multiply-adds per image", self.macs, self.limits.macs)

    def _check(self, what: str, count: int, limit: int) -> None:
        if count > limit:
            raise LimitExceeded(f"{self.file}: {count} {what}, at most {limit} are allowed")
