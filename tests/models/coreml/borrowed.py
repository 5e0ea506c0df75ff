"""coremltools' own layer tests, run against this runtime in place of a Mac.

The wheel carries the tests that Apple runs on macOS: networks from ``NeuralNetworkBuilder`` with the answers that Core
ML must give, computed with numpy, TensorFlow or by hand. Elsewhere they skip themselves. Here their ``MLModel`` is this
runtime.
"""

import importlib
import sys
import unittest
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from models import coreml

PACKAGE = "coremltools.test.neural_network"


class NotSupported(Exception):
    """This runtime does not support the test's network."""


@dataclass
class Tally:
    """The results of the borrowed tests of one module."""

    compared: int = 0
    passed: set[str] = field(default_factory=set)
    unsupported: set[str] = field(default_factory=set)
    failed: dict[str, str] = field(default_factory=dict)


class Runtime:
    """Replaces coremltools' ``MLModel``: one image in, one out, no axis for images."""

    def __init__(self, model: Any, **options: Any) -> None:
        """Take a specification or a path; which processor would run it does not matter."""
        self.compute_unit = options.get("compute_units")
        self.data = Path(model).read_bytes() if isinstance(model, str) else model.SerializeToString()

    def get_spec(self) -> Any:
        """Return the specification, as ``MLModel`` does."""
        return sys.modules["coremltools"].proto.Model_pb2.Model.FromString(self.data)

    def predict(self, inputs: dict[str, Any], **options: Any) -> dict[str, Any]:
        """Answer as Core ML would; arrays ``(1, n, C, H, W)`` are n images."""
        del options
        try:
            model = coreml.load(self.data)
        except coreml.Unsupported as error:
            raise NotSupported(str(error)) from error
        shapes = {feature.name: feature.shape for feature in model.inputs}
        many = all(len(shapes[name]) == 3 and np.ndim(x) == 5 for name, x in inputs.items())
        lifted = {name: np.asarray(x)[0 if many else None] for name, x in inputs.items()}
        found = model.predict(lifted)
        return {name: x[None] if many else x[0] for name, x in found.items()}


class _Unmarked(ModuleType):
    """Replaces pytest in the borrowed tests: marks are dropped, and tests that Apple skips run."""

    def __getattr__(self, name: str) -> Any:
        """Return something that decorates anything with nothing, and is its own attributes."""
        return self if name == "mark" else _undecorated


def _undecorated(*given: Any, **options: Any) -> Any:
    if len(given) == 1 and callable(given[0]) and not options:
        return given[0]
    return _undecorated


def module(name: str, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Import one of the wheel's test modules and give it a Mac."""
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "pytest", _Unmarked("pytest"))
        loaded = importlib.import_module(f"{PACKAGE}.{name}")
    monkeypatch.setattr(loaded, "_is_macos", lambda: True, raising=False)
    monkeypatch.setattr(loaded, "_macos_version", lambda: (14, 0), raising=False)
    for owner in (loaded, sys.modules["coremltools"].models):
        if hasattr(owner, "MLModel"):
            monkeypatch.setattr(owner, "MLModel", Runtime)
    return loaded


def run(module: ModuleType, skip: Callable[[str], bool]) -> Tally:
    """Run the module's tests, without the guards for macOS, and return the result of each."""
    tally = Tally()
    for name, test in _cases(module, skip):
        np.random.seed(0)  # noqa: NPY002  (the borrowed tests draw from the global generator)
        try:
            test(tally)
        except NotSupported as error:
            tally.unsupported.add(str(error).split("(")[1].split(")")[0])
        except unittest.SkipTest:
            continue
        except (AssertionError, AttributeError, coreml.ModelError) as error:
            tally.failed[name] = str(error).strip().splitlines()[0][:200]
        else:
            tally.passed.add(name)
    return tally


def _cases(module: ModuleType, skip: Callable[[str], bool]) -> Iterator[tuple[str, Callable[[Tally], None]]]:
    """Yield the module's tests, class by class; each takes the tally that ``_test_model`` counts in."""
    for name, kind in list(vars(module).items()):
        if not (isinstance(kind, type) and issubclass(kind, unittest.TestCase)):
            continue
        for test in sorted(vars(kind)):
            if test.startswith("test") and not skip(test):
                function = getattr(kind, test)
                bare = getattr(function, "__wrapped__", function)

                def call(tally: Tally, kind: Any = kind, bare: Any = bare) -> None:
                    case = kind("run")
                    case.tally, case.borrowed = tally, bare.__name__
                    bare(case)

                yield f"{name}.{test}", call
