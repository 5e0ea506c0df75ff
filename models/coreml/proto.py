"""Bytes to protobuf message, without importing coremltools.

Only coremltools' generated modules (``coremltools.proto.*_pb2``) are wanted; importing the package itself
takes 7 s and loads TensorFlow. The generated modules import each other relatively, so their folder is
given a second name, a package below this one without an ``__init__``. protobuf keeps one class per message and
process, whatever it is imported as: a real ``import coremltools``, before or after, is not disturbed.

protobuf builds an object of some 100 bytes for a message that may take two bytes in a file, so ``parse`` first
walks the wire format and counts (``wire.check``).
"""

import importlib
import importlib.util
import sys
from functools import cache
from importlib.machinery import ModuleSpec, PathFinder
from typing import Any

from google.protobuf.message import DecodeError

from .errors import Malformed, ModelError
from .limits import Limits
from .wire import check

_PACKAGE = f"{__package__}.generated"


class NoReader(ModelError):
    """The generated protobuf modules are not installed."""


def _folder() -> str:
    """Return the folder of the generated modules; coremltools is looked up, not imported."""
    search: list[str] | None = None
    folder = ""
    for name in ("coremltools", "coremltools.proto"):
        spec = PathFinder.find_spec(name, search)
        if spec is None or spec.submodule_search_locations is None:
            raise NoReader("reading .mlmodel needs coremltools' generated modules: pip install coremltools")
        search = list(spec.submodule_search_locations)
        folder = search[0]
    return folder


@cache
def model_pb2() -> Any:
    """Return the generated module ``Model_pb2``; raises ``NoReader`` where coremltools is not installed."""
    spec = ModuleSpec(_PACKAGE, None, is_package=True)
    spec.submodule_search_locations = [_folder()]
    sys.modules.setdefault(_PACKAGE, importlib.util.module_from_spec(spec))
    return importlib.import_module(f"{_PACKAGE}.Model_pb2")


def parse(data: bytes, file: str, limits: Limits) -> Any:
    """Return the ``Model`` message in ``data``; raises ``ModelError`` if it is another file or too large."""
    message = model_pb2().Model()
    check(data, message.DESCRIPTOR, file, limits)
    try:
        message.ParseFromString(data)
    except DecodeError as error:
        raise Malformed(f"{file}: expected a Core ML model, got other bytes ({error})") from error
    return message
