"""Run Core ML's ``.mlmodel`` files on any machine, with numpy and the protobuf reader only.

    model = coreml.load(data)
    model.predict({"image": images})

Rules:

- A file is checked whole while loading: graph, shapes, weights, cost. What loads, runs.
- Nothing is guessed: an unknown or unsupported layer or option is an error that names the layer, its kind, the file.
- ``load``, ``inspect`` and ``predict`` raise only ``ModelError``, in limited time and memory (``Limits``).
- Only numpy and protobuf are imported from outside this folder (see ``proto``); it works alone when copied.
"""

from .errors import AnotherKind, BadInput, LimitExceeded, Malformed, ModelError, Unsupported
from .features import Feature
from .hidden import OUTPUT as LAST_HIDDEN
from .layers import KINDS
from .limits import Limits
from .model import Model, load
from .summary import LayerSummary, Summary, inspect

__all__ = [
    "KINDS",
    "LAST_HIDDEN",
    "AnotherKind",
    "BadInput",
    "Feature",
    "LayerSummary",
    "LimitExceeded",
    "Limits",
    "Malformed",
    "Model",
    "ModelError",
    "Summary",
    "Unsupported",
    "inspect",
    "load",
]
