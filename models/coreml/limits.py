"""Limits on one file; everything is checked while loading, before memory of that size is allocated."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """Upper bounds on one file; the defaults accept ImageNet-sized classifiers and use at most about 2 GB per core.

    All counts are per image, in float32 values (4 bytes), multiply-adds, or items.
    """

    file_bytes: int = 256 << 20
    fields: int = 1_000_000
    """Messages, strings and unpacked numbers in the file, which take more memory parsed than stored."""
    depth: int = 32
    """Messages inside messages; an ML Program's constants lie 17 deep, a pipeline inside a pipeline adds three."""
    layers: int = 10_000
    labels: int = 100_000
    rank: int = 8
    weights: int = 128 << 20
    """Values after unpacking, over the whole file."""
    tensor: int = 32 << 20
    """Values of one tensor, or of one layer's working memory."""
    tensors: int = 256 << 20
    """Values of all tensors together, as if none were freed."""
    macs: int = 100_000_000_000
    products: int = 256 << 10
    """Separate matrix products: one for each group and band of each convolution, some 10 µs each."""
    results: int = 64 << 20
    """Values of all outputs that one ``predict`` keeps, over all its images."""
